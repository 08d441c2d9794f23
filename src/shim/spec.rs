//! How a shim is told what to do: its command line, written by the server and read by the shim.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

/// What a shim is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The worker's folder, where `journal` and `shim.sock` are.
    pub dir: PathBuf,
    /// The worker's id, which tags its processes.
    pub worker_id: String,
    /// The CLI's working directory.
    pub cwd: PathBuf,
    /// Time between SIGTERM and SIGKILL where a stop does not say.
    pub grace: Duration,
    /// Beginnings of stdout lines that are volatile.
    pub volatile: Vec<Vec<u8>>,
    /// Whether the shim outlives the CLI's process and waits for the next one.
    pub keep: bool,
    /// Whether a stop closes stdin before it sends signals.
    pub eof_first: bool,
    /// The program and its arguments. Empty when nothing is to run yet.
    pub argv: Vec<OsString>,
}

impl Spec {
    /// Reads the arguments that follow `shim` on the command line.
    ///
    /// # Errors
    /// A sentence for people, when something is missing, unknown or no number.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut dir, mut worker_id, mut cwd, mut grace) = (None, None, None, None);
        let (mut volatile, mut keep, mut eof_first, mut argv) = (Vec::new(), false, false, Vec::new());
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|err| err.to_string())? {
            match arg {
                Long("dir") => dir = Some(PathBuf::from(value(&mut parser)?)),
                Long("id") => worker_id = Some(value(&mut parser)?.into_string().map_err(|_| "--id is not text")?),
                Long("cwd") => cwd = Some(PathBuf::from(value(&mut parser)?)),
                Long("grace-ms") => grace = Some(millis(&value(&mut parser)?)?),
                Long("volatile") => volatile.push(value(&mut parser)?.into_vec()),
                Long("keep") => keep = true,
                Long("eof-first") => eof_first = true,
                Value(program) => {
                    argv.push(program);
                    argv.extend(parser.raw_args().map_err(|err| err.to_string())?);
                }
                other => return Err(other.unexpected().to_string()),
            }
        }
        if argv.is_empty() && !keep {
            return Err("a program is missing after --".to_owned());
        }
        volatile.retain(|prefix: &Vec<u8>| !prefix.is_empty());
        Ok(Self {
            dir: dir.ok_or("--dir is missing")?,
            worker_id: worker_id.filter(|id| !id.is_empty()).ok_or("--id is missing")?,
            cwd: cwd.ok_or("--cwd is missing")?,
            grace: grace.ok_or("--grace-ms is missing")?,
            volatile,
            keep,
            eof_first,
            argv,
        })
    }

    /// The arguments that [`Spec::parse`] reads back, `shim` first.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["shim".into()];
        let mut option = |name: &str, value: &OsStr| args.extend([name.into(), value.to_owned()]);
        option("--dir", self.dir.as_os_str());
        option("--id", OsStr::new(&self.worker_id));
        option("--cwd", self.cwd.as_os_str());
        option("--grace-ms", OsStr::new(&self.grace.as_millis().to_string()));
        for prefix in &self.volatile {
            option("--volatile", OsStr::from_bytes(prefix));
        }
        if self.keep {
            args.push("--keep".into());
        }
        if self.eof_first {
            args.push("--eof-first".into());
        }
        args.push("--".into());
        args.extend(self.argv.iter().cloned());
        args
    }
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|err| err.to_string())
}

fn millis(text: &OsStr) -> Result<Duration, String> {
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.map(Duration::from_millis).ok_or_else(|| format!("--grace-ms takes milliseconds, not {}", text.display()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::time::Duration;

    use super::Spec;

    fn spec() -> Spec {
        Spec {
            dir: "/data/w 1".into(),
            worker_id: "0b5c".into(),
            cwd: "--odd".into(),
            grace: Duration::from_millis(1500),
            volatile: vec![b"{\"type\":\"stream_event\"".to_vec(), vec![0xff, b'=', b'-']],
            keep: true,
            eof_first: true,
            argv: ["claude", "--keep", "-p", "--", ""].map(OsString::from).to_vec(),
        }
    }

    #[test]
    fn a_command_line_is_read_back_as_it_was_written() {
        let mut spec = spec();
        assert_eq!(Spec::parse(spec.to_args().into_iter().skip(1)), Ok(spec.clone()));
        spec.argv = vec![OsString::from_vec(vec![0xff, b'x'])];
        (spec.keep, spec.eof_first) = (false, false);
        assert_eq!(Spec::parse(spec.to_args().into_iter().skip(1)), Ok(spec.clone()));
        spec.argv.clear();
        assert_eq!(Spec::parse(spec.to_args().into_iter().skip(1)), Err("a program is missing after --".to_owned()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let args = |skipped: &str| {
            let mut args = spec().to_args().into_iter().skip(1).peekable();
            let mut kept = Vec::new();
            while let Some(arg) = args.next() {
                if arg == skipped {
                    args.next();
                } else {
                    kept.push(arg);
                }
            }
            kept
        };
        for name in ["--dir", "--id", "--cwd", "--grace-ms"] {
            assert_eq!(Spec::parse(args(name)), Err(format!("{name} is missing")));
        }
    }
}
