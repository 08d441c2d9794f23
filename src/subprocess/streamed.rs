//! Programs whose output is handed on while they run.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{ChildEnd, EXIT_LOOK, ProcessGroup, READ_BYTES, Until, no_input, poll_time};

/// Runs `command` without stdin, and gives what it prints, on stdout and stderr together, to `out`. It runs in a process
/// group of its own. The group is killed when the time is over or `until.stop` says so; when the program has exited, what it
/// has left behind is the caller's to end. The bound of bytes is not looked at.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn stream(command: &mut Command, until: Until<'_>, out: &mut dyn FnMut(&[u8])) -> io::Result<ChildEnd> {
    let (mut reader, writer) = io::pipe()?;
    command.process_group(0).stdin(no_input()?).stdout(writer.try_clone()?).stderr(writer);
    let spawned = command.spawn();
    // Else the command itself keeps the pipe's other end open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut group = ProcessGroup(spawned?);
    let (mut chunk, mut closed) = (vec![0_u8; READ_BYTES], false);
    loop {
        if Instant::now() >= until.deadline {
            return Ok(ChildEnd::TimedOut);
        }
        if (until.stop)() {
            return Ok(ChildEnd::Stopped);
        }
        let status = group.0.try_wait()?;
        if !closed
            && is_readable(&reader, if status.is_some() { PollTimeout::ZERO } else { poll_time(until.deadline) })?
        {
            match reader.read(&mut chunk)? {
                0 => closed = true,
                count => out(&chunk[..count]),
            }
            continue;
        }
        match status {
            Some(status) => return Ok(end_of(status)),
            None if closed => std::thread::sleep(EXIT_LOOK),
            None => {}
        }
    }
}

fn is_readable(reader: &io::PipeReader, wait: PollTimeout) -> io::Result<bool> {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, wait) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn end_of(status: ExitStatus) -> ChildEnd {
    status.code().map_or_else(|| status.signal().map_or(ChildEnd::Stopped, ChildEnd::Signaled), ChildEnd::Exited)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(script: &str, time: Duration, stop: bool) -> (ChildEnd, String) {
        let until = Until { deadline: Instant::now() + time, bytes: 0, stop: &|| stop };
        let mut seen = Vec::new();
        let end = stream(Command::new("sh").args(["-c", script]), until, &mut |bytes| seen.extend_from_slice(bytes));
        (end.unwrap(), String::from_utf8(seen).unwrap())
    }

    #[test]
    fn output_is_forwarded_in_order_and_the_end_reported() {
        let long = Duration::from_secs(60);
        assert_eq!(run("echo out; echo err >&2; exit 3", long, false), (ChildEnd::Exited(3), "out\nerr\n".to_owned()));
        assert_eq!(run("kill -9 $$", long, false).0, ChildEnd::Signaled(9));
        assert_eq!(run("exec >&- 2>&-; exit 4", long, false).0, ChildEnd::Exited(4));
        assert_eq!(run("sleep 1000", Duration::from_millis(50), false).0, ChildEnd::TimedOut);
        assert_eq!(run("sleep 1000", long, true).0, ChildEnd::Stopped);
    }

    #[test]
    fn program_ends_although_a_child_holds_its_output_open() {
        let (end, seen) = run("sleep 5 & echo done", Duration::from_secs(60), false);
        assert_eq!((end, seen.as_str()), (ChildEnd::Exited(0), "done\n"));
    }
}
