//! Short-lived programs that are asked something: bounded in time and output, and gone when the answer is there.
//! A leaf module.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
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
    ask_with(command, no_input()?, bounds, stop)
}

/// As [`ask`], with this as its stdin.
///
/// # Errors
/// When the program cannot be run.
pub fn ask_with(command: &mut Command, input: Stdio, bounds: Bounds, stop: &AtomicBool) -> io::Result<Answer> {
    command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(thrown_away());
    let mut group = Group(command.spawn()?);
    let stdout = group.0.stdout.take();
    answer_of(&mut group, stdout, bounds, stop)
}

/// As [`ask`], with what the program writes to stderr as part of its answer, in the order in which it came.
///
/// # Errors
/// When the program cannot be run.
pub fn ask_both(command: &mut Command, bounds: Bounds, stop: &AtomicBool) -> io::Result<Answer> {
    let (reader, writer) = io::pipe()?;
    command.process_group(0).stdin(no_input()?).stdout(writer.try_clone()?).stderr(writer);
    let spawned = command.spawn();
    // The command has the pipe's other end for as long as it is not told something else.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    answer_of(&mut Group(spawned?), Some(reader), bounds, stop)
}

fn answer_of(
    group: &mut Group,
    output: Option<impl io::Read + AsFd>,
    bounds: Bounds,
    stop: &AtomicBool,
) -> io::Result<Answer> {
    let mut answer = Answer::default();
    let unwanted = group.0.stderr.take();
    if read_until((output, unwanted), Instant::now() + bounds.time, bounds.bytes, stop, &mut answer) {
        answer.code = group.0.wait()?.code();
    }
    Ok(answer)
}

/// An end of input at once, as `/dev/null` gives it, which is not there in an empty root.
fn no_input() -> io::Result<Stdio> {
    let (reader, _) = io::pipe()?;
    Ok(reader.into())
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

/// Reads until the child closes its output; whether it did so before the deadline passed or `stop` was set. What comes on
/// the second pipe, where there is one, is dropped.
fn read_until(
    (output, mut unwanted): (Option<impl io::Read + AsFd>, Option<ChildStderr>),
    deadline: Instant,
    bytes_max: usize,
    stop: &AtomicBool,
    answer: &mut Answer,
) -> bool {
    let Some(mut stdout) = output else { return true };
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
        fds.extend(unwanted.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, wait) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => break,
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() != Some(false)).collect();
        if ready.get(1) == Some(&true)
            && let Some(pipe) = &mut unwanted
            && !matches!(pipe.read(&mut chunk), Ok(1..))
        {
            unwanted = None;
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
    fn what_goes_to_stderr_can_be_part_of_the_answer() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 1"]);
        let answer = ask_both(&mut command, PLENTY, &AtomicBool::new(false)).unwrap();
        assert_eq!(answer, Answer { output: b"out\nerr\n".to_vec(), cut: false, code: Some(1) });
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
        command.process_group(0).stdin(no_input().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group(command.spawn().unwrap());
        let stdout = group.0.stdout.take();
        let answer = answer_of(&mut group, stdout, PLENTY, &AtomicBool::new(false)).unwrap();
        assert_eq!(answer, Answer { output: b"done".to_vec(), cut: false, code: Some(4) });
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
