//! Short-lived programs that are asked something: bounded in time and output, and gone when the answer is there.
//! A leaf module.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How soon a call notices that its answer is not wanted any more.
pub const STOP_NOTICED: Duration = Duration::from_millis(100);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Bounds of a call.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long it may take; then it is killed.
    pub time: Duration,
    /// Bytes of its output that are kept; the rest is read and dropped.
    pub bytes: usize,
}

/// What a program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its stdout, within the bound.
    pub output: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
}

/// Runs `command` with no stdin and its stderr thrown away, in a process group of its own that is killed and waited for
/// before this returns. Gives up early when `stop` is set.
///
/// # Errors
/// When the program cannot be run.
pub fn ask(command: &mut Command, bounds: Bounds, stop: &AtomicBool) -> io::Result<Answer> {
    // An end of input at once.
    let (no_input, _) = io::pipe()?;
    command.process_group(0).stdin(no_input).stdout(Stdio::piped()).stderr(thrown_away());
    let mut group = Group(command.spawn()?);
    let mut answer = Answer::default();
    if read_until(&mut group.0, Instant::now() + bounds.time, bounds.bytes, stop, &mut answer) {
        answer.code = group.0.wait()?.code();
    }
    Ok(answer)
}

/// Where output goes that nobody wants: `/dev/null`, or, in a root that has none, a pipe that is read beside the answer.
fn thrown_away() -> Stdio {
    File::options().write(true).open("/dev/null").map_or_else(|_| Stdio::piped(), Stdio::from)
}

/// A child that leads its own process group. Dropping it kills the group and waits for the child.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A child that was waited for has given its id back: then nothing may be sent there any more.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

/// Reads until the child closes its stdout; whether it did so before the deadline passed or `stop` was set.
fn read_until(child: &mut Child, deadline: Instant, bytes_max: usize, stop: &AtomicBool, answer: &mut Answer) -> bool {
    let Some(mut stdout) = child.stdout.take() else { return true };
    let mut thrown_away = child.stderr.take();
    let mut chunk = vec![0_u8; READ_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        // At least a millisecond, so that the last one is not spent in a busy loop.
        let wait = left.min(STOP_NOTICED).max(Duration::from_millis(1));
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds = vec![PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        fds.extend(thrown_away.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, wait) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => break,
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() != Some(false)).collect();
        if ready.get(1) == Some(&true)
            && let Some(pipe) = &mut thrown_away
            && !matches!(pipe.read(&mut chunk), Ok(1..))
        {
            thrown_away = None;
        }
        if ready.first() != Some(&true) {
            continue;
        }
        match stdout.read(&mut chunk) {
            Ok(0) => return true,
            Ok(count) => {
                let kept = count.min(bytes_max - answer.output.len());
                answer.output.extend_from_slice(&chunk[..kept]);
                answer.cut |= kept < count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Bounds = Bounds { time: Duration::from_secs(20), bytes: 1_000_000 };

    fn shell(script: &str, bounds: Bounds) -> Answer {
        ask(Command::new("sh").args(["-c", script]), bounds, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn output_and_exit_code_are_told() {
        assert_eq!(shell("printf hi; exit 3", PLENTY), Answer { output: b"hi".to_vec(), cut: false, code: Some(3) });
    }

    #[test]
    fn more_output_than_is_wanted_is_cut_and_said() {
        let answer = shell("printf 123456", Bounds { bytes: 4, ..PLENTY });
        assert_eq!(answer, Answer { output: b"1234".to_vec(), cut: true, code: Some(0) });
    }

    #[test]
    fn errors_are_thrown_away_where_there_is_no_dev_null() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 200000 /dev/zero >&2; printf done; exec 2>&-; exit 4"]);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut group, mut answer) = (Group(command.spawn().unwrap()), Answer::default());
        let deadline = Instant::now() + PLENTY.time;
        assert!(read_until(&mut group.0, deadline, PLENTY.bytes, &AtomicBool::new(false), &mut answer));
        assert_eq!((answer.output.as_slice(), group.0.wait().unwrap().code()), (&b"done"[..], Some(4)));
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let answer = shell("sleep 1000 & echo $!; sleep 1000", Bounds { time: Duration::from_millis(300), ..PLENTY });
        assert_eq!(answer.code, None);
        let pid = String::from_utf8(answer.output).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::path::Path::new(&format!("/proc/{}/fd", pid.trim())).exists() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "its child lives: {stat}");
    }
}
