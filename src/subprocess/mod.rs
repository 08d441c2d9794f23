//! Short-lived helper programs: bounded in time and output, and ended when the answer is there. A leaf module.

mod dialog;
mod streamed;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

pub(crate) use dialog::{Dialog, DialogReply, converse};
pub(crate) use streamed::stream;

/// Longest time in which a call notices that its answer is not wanted any more.
pub(crate) const STOP_NOTICED: Duration = Duration::from_millis(100);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of a program's stderr that are kept.
const STDERR_BYTES: usize = 4 * 1024;
/// Pause between two looks whether a program that has closed its output has exited.
const EXIT_LOOK: Duration = Duration::from_millis(1);

/// Bounds of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The time that it may take; then it is killed.
    pub time: Duration,
    /// Bytes of its output that are kept; the rest is read and dropped.
    pub bytes: usize,
}

/// Bounds of a call that is part of a request: its deadline is the request's, and it ends when nobody waits for it.
#[derive(Clone, Copy)]
pub(crate) struct Until<'a> {
    /// The time when it is killed.
    pub deadline: Instant,
    /// Bytes of its output that are kept; at one more it is killed.
    pub bytes: usize,
    /// Asked every [`STOP_NOTICED`]: when it returns true, the program is killed.
    pub stop: &'a dyn Fn() -> bool,
}

/// The end of a program of [`run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildEnd {
    /// Exited with this code.
    Exited(i32),
    /// A signal killed it, and not ours.
    Signaled(i32),
    /// Its output was over the bound.
    Cut,
    /// The deadline passed.
    TimedOut,
    /// The caller stopped waiting.
    Stopped,
}

/// The outcome of [`run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProgramOutcome {
    /// Its stdout, within the bound.
    pub stdout: Vec<u8>,
    /// The beginning of its stderr.
    pub stderr: Vec<u8>,
    /// Its end.
    pub end: ChildEnd,
}

/// The output of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramOutput {
    /// Its stdout, within the bound.
    pub output: Vec<u8>,
    /// True if there was more.
    pub cut: bool,
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
}

/// Runs `command` with no stdin and its stderr thrown away, in a process group of its own that is killed and waited for
/// before this returns. Gives up early when `stop` is set.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn ask(command: &mut Command, bounds: Bounds, stop: &AtomicBool) -> io::Result<ProgramOutput> {
    ask_with(command, no_input()?, discard_output(), bounds, stop)
}

/// Works like [`ask`], with these as its stdin and stderr.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn ask_with(
    command: &mut Command,
    input: Stdio,
    stderr: Stdio,
    bounds: Bounds,
    stop: &AtomicBool,
) -> io::Result<ProgramOutput> {
    command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(stderr);
    let mut group = ProcessGroup(command.spawn()?);
    let stdout = group.0.stdout.take();
    answer_of(&mut group, stdout, bounds, stop)
}

/// Works like [`ask`], with stderr as part of the answer, in the order of arrival.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn ask_both(command: &mut Command, bounds: Bounds, stop: &AtomicBool) -> io::Result<ProgramOutput> {
    let (reader, writer) = io::pipe()?;
    command.process_group(0).stdin(no_input()?).stdout(writer.try_clone()?).stderr(writer);
    let spawned = command.spawn();
    // The command has the pipe's other end until it is given something else.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    answer_of(&mut ProcessGroup(spawned?), Some(reader), bounds, stop)
}

fn answer_of(
    group: &mut ProcessGroup,
    output: Option<impl io::Read + AsFd>,
    bounds: Bounds,
    stop: &AtomicBool,
) -> io::Result<ProgramOutput> {
    let mut answer = ProgramOutput::default();
    let unwanted = group.0.stderr.take();
    if read_until((output, unwanted), Instant::now() + bounds.time, bounds.bytes, stop, &mut answer) {
        answer.code = group.0.wait()?.code();
    }
    Ok(answer)
}

/// Runs `command` with this stdin and returns its stdout and stderr apart, in a process group that is killed and waited for
/// before this returns.
///
/// # Errors
/// Fails when the program cannot be run.
pub(crate) fn run(command: &mut Command, input: Option<File>, until: Until<'_>) -> io::Result<ProgramOutcome> {
    let input = input.map_or_else(no_input, |file| Ok(file.into()))?;
    command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = ProcessGroup(command.spawn()?);
    let (mut stdout, mut stderr) = (group.0.stdout.take(), group.0.stderr.take());
    let mut outcome = ProgramOutcome { stdout: Vec::new(), stderr: Vec::new(), end: ChildEnd::Stopped };
    let mut chunk = vec![0_u8; READ_BYTES];
    while stdout.is_some() || stderr.is_some() {
        if let Some(end) = ended_early(&until, &outcome) {
            outcome.end = end;
            outcome.stdout.truncate(until.bytes);
            return Ok(outcome);
        }
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
        fds.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        fds.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, poll_time(until.deadline)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false)).collect::<Vec<_>>().into_iter();
        let out_ready = stdout.is_some() && ready.next() == Some(true);
        let err_ready = stderr.is_some() && ready.next() == Some(true);
        if out_ready {
            keep_some(&mut stdout, &mut chunk, &mut outcome.stdout, until.bytes.saturating_add(1))?;
        }
        if err_ready {
            keep_some(&mut stderr, &mut chunk, &mut outcome.stderr, STDERR_BYTES)?;
        }
    }
    outcome.end = end_of(&mut group, &until, &outcome)?;
    outcome.stdout.truncate(until.bytes);
    Ok(outcome)
}

/// Reads once from a pipe, which is closed at its end, and keeps up to `most` bytes in all.
fn keep_some(pipe: &mut Option<impl io::Read>, chunk: &mut [u8], kept: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let Some(reader) = pipe else { return Ok(()) };
    match reader.read(chunk) {
        Ok(0) => *pipe = None,
        Ok(count) => kept.extend_from_slice(&chunk[..count.min(most - kept.len())]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The reason that a program of [`run`] is to be killed now, if it is.
fn ended_early(until: &Until<'_>, outcome: &ProgramOutcome) -> Option<ChildEnd> {
    if outcome.stdout.len() > until.bytes {
        return Some(ChildEnd::Cut);
    }
    if Instant::now() >= until.deadline {
        return Some(ChildEnd::TimedOut);
    }
    (until.stop)().then_some(ChildEnd::Stopped)
}

/// Waits for the end of a program that has closed its output: it may live on without.
fn end_of(group: &mut ProcessGroup, until: &Until<'_>, outcome: &ProgramOutcome) -> io::Result<ChildEnd> {
    loop {
        if let Some(status) = group.0.try_wait()? {
            let signal = || status.signal().map_or(ChildEnd::Stopped, ChildEnd::Signaled);
            let cut = outcome.stdout.len() > until.bytes;
            return Ok(if cut { ChildEnd::Cut } else { status.code().map_or_else(signal, ChildEnd::Exited) });
        }
        if let Some(end) = ended_early(until, outcome) {
            return Ok(end);
        }
        std::thread::sleep(EXIT_LOOK);
    }
}

/// Returns the time to wait for output before the deadline and the caller are looked at again: at least a millisecond,
/// so that the last one is not spent in a busy loop.
fn poll_time(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now());
    let wait = left.min(STOP_NOTICED).max(Duration::from_millis(1));
    PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)
}

/// An end of input at once, as `/dev/null` gives it, which is not there in an empty root.
fn no_input() -> io::Result<Stdio> {
    let (reader, _) = io::pipe()?;
    Ok(reader.into())
}

/// The place where output goes that nobody wants: `/dev/null`, or, in a root that has none, a pipe that is read beside
/// the answer.
fn discard_output() -> Stdio {
    File::options().write(true).open("/dev/null").map_or_else(|_| Stdio::piped(), Stdio::from)
}

/// A child that leads its own process group. Dropping it kills the group and waits for the child.
struct ProcessGroup(Child);

impl Drop for ProcessGroup {
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
    answer: &mut ProgramOutput,
) -> bool {
    let Some(mut stdout) = output else { return true };
    let mut chunk = vec![0_u8; READ_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let mut fds = vec![PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        fds.extend(unwanted.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, poll_time(deadline)) {
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

    fn shell(script: &str, bounds: Bounds) -> ProgramOutput {
        ask(Command::new("sh").args(["-c", script]), bounds, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn output_and_exit_code_are_reported() {
        assert_eq!(
            shell("printf hi; exit 3", PLENTY),
            ProgramOutput { output: b"hi".to_vec(), cut: false, code: Some(3) }
        );
    }

    #[test]
    fn stderr_can_be_part_of_the_answer() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 1"]);
        let answer = ask_both(&mut command, PLENTY, &AtomicBool::new(false)).unwrap();
        assert_eq!(answer, ProgramOutput { output: b"out\nerr\n".to_vec(), cut: false, code: Some(1) });
    }

    fn run_shell(script: &str, time: Duration, bytes: usize, stop: &dyn Fn() -> bool) -> ProgramOutcome {
        let until = Until { deadline: Instant::now() + time, bytes, stop };
        run(Command::new("sh").args(["-c", script]), None, until).unwrap()
    }

    #[test]
    fn run_keeps_output_and_errors_apart() {
        let outcome = run_shell("echo out; echo err >&2; exit 3", PLENTY.time, 100, &|| false);
        assert_eq!(
            outcome,
            ProgramOutcome { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), end: ChildEnd::Exited(3) }
        );
    }

    #[test]
    fn run_ends_at_its_bounds_and_when_nobody_waits() {
        let outcome = run_shell("printf 12345; sleep 1000", PLENTY.time, 4, &|| false);
        assert_eq!((&outcome.stdout[..], outcome.end), (&b"1234"[..], ChildEnd::Cut));
        let end = |script: &str, time, stop: bool| run_shell(script, time, 4, &|| stop).end;
        assert_eq!(end("printf 12345", PLENTY.time, false), ChildEnd::Cut);
        assert_eq!(end("sleep 1000", Duration::from_millis(50), false), ChildEnd::TimedOut);
        assert_eq!(end("exec >&- 2>&-; sleep 1000", Duration::from_millis(50), false), ChildEnd::TimedOut);
        assert_eq!(end("sleep 1000", PLENTY.time, true), ChildEnd::Stopped);
        assert_eq!(end("kill -9 $$", PLENTY.time, false), ChildEnd::Signaled(9));
    }

    #[test]
    fn more_output_than_is_wanted_is_cut_and_said() {
        let answer = shell("printf 123456", Bounds { bytes: 4, ..PLENTY });
        assert_eq!(answer, ProgramOutput { output: b"1234".to_vec(), cut: true, code: Some(0) });
    }

    #[test]
    fn errors_are_thrown_away_where_there_is_no_dev_null() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 200000 /dev/zero >&2; printf done; exec 2>&-; exit 4"]);
        command.process_group(0).stdin(no_input().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = ProcessGroup(command.spawn().unwrap());
        let stdout = group.0.stdout.take();
        let answer = answer_of(&mut group, stdout, PLENTY, &AtomicBool::new(false)).unwrap();
        assert_eq!(answer, ProgramOutput { output: b"done".to_vec(), cut: false, code: Some(4) });
    }

    #[test]
    fn program_that_takes_too_long_is_killed_with_its_children() {
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
