//! The command line of a shim, which the server writes and the shim reads.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

/// The parameters of a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The worker's folder, where `journal` and `shim.sock` are.
    pub dir: PathBuf,
    /// The worker's id, which tags its processes.
    pub worker_id: String,
    /// The CLI's working directory.
    pub cwd: PathBuf,
    /// Time between SIGTERM and SIGKILL, unless a stop names another.
    pub grace: Duration,
    /// The stdout lines that are more than records.
    pub lines: LineKinds,
    /// The shim outlives the CLI's process and waits for the next one.
    pub keep: bool,
    /// A stop closes stdin before it sends signals.
    pub eof_first: bool,
    /// The control group that the CLI is started in.
    pub cgroup: Option<PathBuf>,
    /// The program and its arguments. Empty when nothing is to run yet.
    pub argv: Vec<OsString>,
}

/// A pattern of lines: those that begin with something and do not contain something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpecLinePattern {
    /// The beginning.
    pub begins: Vec<u8>,
    /// Bytes that a line of this beginning must not contain, unless they are empty.
    pub lacks: Vec<u8>,
}

impl SpecLinePattern {
    /// Returns whether the pattern matches `line`.
    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        line.starts_with(&self.begins) && (self.lacks.is_empty() || memchr::memmem::find(line, &self.lacks).is_none())
    }
}

/// Lines of stdout that are more than records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineKinds {
    /// Beginnings of volatile ones.
    pub volatile: Vec<Vec<u8>>,
    /// Lines that end the message whose pieces are volatile; if empty, every line that is not volatile.
    pub message_ends: Vec<SpecLinePattern>,
}

impl LineKinds {
    /// Returns whether a line is volatile.
    pub(crate) fn is_volatile(&self, line: &[u8]) -> bool {
        self.volatile.iter().any(|prefix| line.starts_with(prefix))
    }

    /// Returns whether a line that is not volatile ends the message that is being written.
    pub(crate) fn ends_message(&self, line: &[u8]) -> bool {
        self.message_ends.is_empty() || self.message_ends.iter().any(|pattern| pattern.matches(line))
    }
}

impl Spec {
    /// Reads the arguments that follow `shim` on the command line.
    ///
    /// # Errors
    /// A sentence for people, when something is missing, unknown or not a number.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut dir, mut worker_id, mut cwd, mut grace) = (None, None, None, None);
        let (mut lines, mut keep, mut eof_first, mut argv) = (LineKinds::default(), false, false, Vec::new());
        let mut cgroup = None;
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|err| err.to_string())? {
            match arg {
                Long("dir") => dir = Some(PathBuf::from(value(&mut parser)?)),
                Long("id") => worker_id = Some(value(&mut parser)?.into_string().map_err(|_| "--id is not text")?),
                Long("cwd") => cwd = Some(PathBuf::from(value(&mut parser)?)),
                Long("grace-ms") => grace = Some(millis(&value(&mut parser)?)?),
                Long("volatile") => lines.volatile.push(value(&mut parser)?.into_vec()),
                Long("ends") => {
                    let begins = value(&mut parser)?.into_vec();
                    lines.message_ends.push(SpecLinePattern { begins, lacks: Vec::new() });
                }
                Long("unless") => {
                    let pattern = lines.message_ends.last_mut().ok_or("--unless comes after --ends")?;
                    pattern.lacks = value(&mut parser)?.into_vec();
                }
                Long("keep") => keep = true,
                Long("eof-first") => eof_first = true,
                Long("cgroup") => cgroup = Some(PathBuf::from(value(&mut parser)?)),
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
        lines.volatile.retain(|prefix| !prefix.is_empty());
        Ok(Self {
            dir: dir.ok_or("--dir is missing")?,
            worker_id: worker_id.filter(|id| !id.is_empty()).ok_or("--id is missing")?,
            cwd: cwd.ok_or("--cwd is missing")?,
            grace: grace.ok_or("--grace-ms is missing")?,
            lines,
            keep,
            eof_first,
            cgroup,
            argv,
        })
    }

    /// The arguments that [`Spec::parse`] reads back, `shim` first.
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["shim".into()];
        let mut option = |name: &str, value: &OsStr| args.extend([name.into(), value.to_owned()]);
        option("--dir", self.dir.as_os_str());
        option("--id", OsStr::new(&self.worker_id));
        option("--cwd", self.cwd.as_os_str());
        option("--grace-ms", OsStr::new(&self.grace.as_millis().to_string()));
        if let Some(cgroup) = &self.cgroup {
            option("--cgroup", cgroup.as_os_str());
        }
        for prefix in &self.lines.volatile {
            option("--volatile", OsStr::from_bytes(prefix));
        }
        for pattern in &self.lines.message_ends {
            option("--ends", OsStr::from_bytes(&pattern.begins));
            if !pattern.lacks.is_empty() {
                option("--unless", OsStr::from_bytes(&pattern.lacks));
            }
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

    use super::{LineKinds, Spec, SpecLinePattern};

    fn spec() -> Spec {
        Spec {
            dir: "/data/w 1".into(),
            worker_id: "0b5c".into(),
            cwd: "--odd".into(),
            grace: Duration::from_millis(1500),
            lines: LineKinds {
                volatile: vec![b"{\"type\":\"stream_event\"".to_vec(), vec![0xff, b'=', b'-']],
                message_ends: vec![
                    SpecLinePattern { begins: b"--assistant".to_vec(), lacks: b"\"sub\":".to_vec() },
                    SpecLinePattern { begins: b"end".to_vec(), lacks: Vec::new() },
                ],
            },
            keep: true,
            eof_first: true,
            cgroup: Some("/cgroup/w 1".into()),
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
    fn missing_options_are_named() {
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
