//! Short dialogs with a program, line by line.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Bounds, ProcessGroup, READ_BYTES, STOP_NOTICED, discard_output};

/// Most bytes that are written to a program in one dialog. A pipe holds more, so no write waits for the program.
const WRITTEN_BYTES_MAX: usize = 32 * 1024;

/// The reply to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialogReply {
    /// Write this line (without its newline).
    Write(Vec<u8>),
    /// Wait for the next line.
    Wait,
    /// The dialog is over.
    Done,
}

/// The end of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialog {
    /// The last reply was [`DialogReply::Done`].
    Done,
    /// The program closed its output first; its exit code, unless a signal ended it.
    Closed(Option<i32>),
    /// The time was over, the program wrote more than the bound, or `stop` was set.
    GivenUp,
}

/// Runs `command`, writes the line `first` to it, and gives every line of its stdout to `reply`. Its stderr is discarded.
/// It runs in a process group of its own that is killed and waited for before this returns.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn converse(
    command: &mut Command,
    first: &[u8],
    bounds: Bounds,
    stop: &AtomicBool,
    reply: &mut dyn FnMut(&[u8]) -> DialogReply,
) -> io::Result<Dialog> {
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(discard_output());
    let mut group = ProcessGroup(command.spawn()?);
    let (Some(mut stdin), Some(mut stdout)) = (group.0.stdin.take(), group.0.stdout.take()) else {
        return Ok(Dialog::GivenUp);
    };
    // In a root without /dev/null the program's stderr is a pipe: a second reader keeps it from filling.
    let mut errors = group.0.stderr.take();
    let deadline = Instant::now() + bounds.time;
    let mut written = 0;
    let mut write = |line: &[u8]| {
        written += line.len() + 1;
        written <= WRITTEN_BYTES_MAX && stdin.write_all(&[line, b"\n"].concat()).is_ok()
    };
    // A program that has closed its stdin has ended, or is about to: its output says so.
    write(first);
    let (mut buffer, mut read) = (Vec::new(), 0);
    let mut chunk = vec![0_u8; READ_BYTES];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return Ok(Dialog::GivenUp);
        }
        let wait = left.min(STOP_NOTICED).max(Duration::from_millis(1));
        let mut fds = vec![PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        fds.extend(errors.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() != Some(false)).collect();
        if ready.get(1) == Some(&true)
            && let Some(pipe) = &mut errors
            && !matches!(pipe.read(&mut chunk), Ok(1..))
        {
            errors = None;
        }
        if ready.first() != Some(&true) {
            continue;
        }
        let count = match stdout.read(&mut chunk) {
            Ok(0) => return Ok(Dialog::Closed(group.0.wait()?.code())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        read += count;
        buffer.extend_from_slice(&chunk[..count]);
        while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            match reply(&line[..end]) {
                DialogReply::Write(line) if write(&line) => {}
                DialogReply::Write(_) => return Ok(Dialog::GivenUp),
                DialogReply::Wait => {}
                DialogReply::Done => return Ok(Dialog::Done),
            }
        }
        if read > bounds.bytes {
            return Ok(Dialog::GivenUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Bounds = Bounds { time: Duration::from_secs(60), bytes: 1_000_000 };

    fn talk(script: &str, bounds: Bounds) -> (Dialog, Vec<String>) {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let ended = converse(command.args(["-c", script]), b"one", bounds, &AtomicBool::new(false), &mut |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            match line {
                b"got one" => DialogReply::Write(b"two".to_vec()),
                b"got two" => DialogReply::Done,
                _ => DialogReply::Wait,
            }
        });
        (ended.unwrap(), lines)
    }

    #[test]
    fn dialog_writes_a_reply_to_each_line_until_done() {
        let (ended, lines) = talk("echo hello; while read -r l; do echo \"got $l\"; done", PLENTY);
        assert_eq!((ended, lines), (Dialog::Done, vec!["hello".into(), "got one".into(), "got two".into()]));
    }

    #[test]
    fn a_dialog_ends_with_a_program_that_ends_first() {
        assert_eq!(talk("echo sorry; exit 3", PLENTY), (Dialog::Closed(Some(3)), vec!["sorry".to_owned()]));
    }

    #[test]
    fn a_dialog_gives_up_on_silence_and_on_a_flood() {
        let short = Bounds { time: Duration::from_millis(300), ..PLENTY };
        assert_eq!(talk("sleep 1000", short).0, Dialog::GivenUp);
        assert_eq!(talk("yes", Bounds { bytes: 100_000, ..PLENTY }).0, Dialog::GivenUp);
    }
}
