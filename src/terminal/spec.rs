//! The command line of a terminal's process, which the server writes and the process parses.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::emulator::Size;

/// The first word of the command line.
pub(crate) const HOST: &str = "terminal";
/// The first word of the command line of the process that becomes the program.
pub(crate) const PROGRAM: &str = "terminal-program";

/// The parameters of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostSpec {
    /// The terminal's folder.
    pub(crate) dir: PathBuf,
    /// The tag of its processes.
    pub(crate) tag: String,
    /// The program's working directory.
    pub(crate) cwd: PathBuf,
    /// The initial size.
    pub(crate) size: Size,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// The program and its arguments.
    pub(crate) argv: Vec<OsString>,
}

impl HostSpec {
    /// Parses the arguments that follow [`HOST`].
    ///
    /// # Errors
    /// An error for people, when an argument is missing, unknown or not a number.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut dir, mut tag, mut cwd, mut argv) = (None, None, None, Vec::new());
        let (mut cols, mut rows, mut grace) = (None, None, None);
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|err| err.to_string())? {
            match arg {
                Long("dir") => dir = Some(PathBuf::from(value(&mut parser)?)),
                Long("tag") => tag = Some(value(&mut parser)?.into_string().map_err(|_| "--tag is not text")?),
                Long("cwd") => cwd = Some(PathBuf::from(value(&mut parser)?)),
                Long("cols") => cols = Some(number(&value(&mut parser)?)?),
                Long("rows") => rows = Some(number(&value(&mut parser)?)?),
                Long("grace-ms") => grace = Some(Duration::from_millis(number(&value(&mut parser)?)?)),
                Value(program) => {
                    argv.push(program);
                    argv.extend(parser.raw_args().map_err(|err| err.to_string())?);
                }
                other => return Err(other.unexpected().to_string()),
            }
        }
        if argv.is_empty() {
            return Err("a program is missing after --".to_owned());
        }
        Ok(Self {
            dir: dir.ok_or("--dir is missing")?,
            tag: tag.filter(|tag| !tag.is_empty()).ok_or("--tag is missing")?,
            cwd: cwd.ok_or("--cwd is missing")?,
            size: Size::new(cols.ok_or("--cols is missing")?, rows.ok_or("--rows is missing")?),
            grace: grace.ok_or("--grace-ms is missing")?,
            argv,
        })
    }

    /// Returns the arguments that [`HostSpec::parse`] accepts, with [`HOST`] first.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![HOST.into()];
        let mut option = |name: &str, value: &OsStr| args.extend([name.into(), value.to_owned()]);
        option("--dir", self.dir.as_os_str());
        option("--tag", OsStr::new(&self.tag));
        option("--cwd", self.cwd.as_os_str());
        option("--cols", OsStr::new(&self.size.cols.to_string()));
        option("--rows", OsStr::new(&self.size.rows.to_string()));
        option("--grace-ms", OsStr::new(&self.grace.as_millis().to_string()));
        args.push("--".into());
        args.extend(self.argv.iter().cloned());
        args
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|err| err.to_string())
}

fn number<N: std::str::FromStr>(text: &OsStr) -> Result<N, String> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| format!("not a number: {}", text.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_read_back_as_it_was_written() {
        let spec = HostSpec {
            dir: "/data/w 1/terminals/0b5c".into(),
            tag: "0b5c".into(),
            cwd: "--odd".into(),
            size: Size { cols: 80, rows: 24 },
            grace: Duration::from_millis(1500),
            argv: ["vim", "--dir", "--", ""].map(OsString::from).to_vec(),
        };
        assert_eq!(HostSpec::parse(spec.to_args().into_iter().skip(1)), Ok(spec));
        assert_eq!(HostSpec::parse(["--cols".into(), "x".into()]), Err("not a number: x".to_owned()));
    }
}
