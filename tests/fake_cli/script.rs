//! The prompts that the fake CLI understands. The first word says what to do; any other prompt is answered
//! `You said: ...`.
//!
//! ```text
//! echo TEXT                    answers TEXT
//! lines N [PER_SECOND] [PAD]   N messages `line 1`, `line 2`, ..., each with PAD bytes more; then `N lines`
//! deltas N [PER_SECOND [FILE]] one message of N words, as deltas where they were asked for; with FILE, N more after it
//!                              is there
//! flood BYTES [LINE]           messages of LINE bytes (1024) at full speed until there are BYTES
//! long BYTES                   one message of BYTES
//! permission [TOOL] [JSON]     asks to use a tool (Bash, `{"command":"true"}`); answers what was decided
//! tool TOOL JSON               a tool call and its result
//! work FILE                    a tool call that runs until there is FILE; then nothing until it is interrupted
//! hang [hard]                  nothing until it is interrupted; with `hard`, whatever comes
//! block                        ignores SIGTERM, SIGINT, SIGHUP and SIGQUIT from now on
//! fork [orphan]                starts a process in a session of its own that holds the pipes and ignores those signals
//! exit CODE                    ends in mid-turn
//! signal NAME                  sends itself a signal (SIGKILL, SIGSEGV, ...)
//! allocate MIB                 takes this much memory for a moment
//! fail TEXT                    the turn fails with TEXT
//! limit SECONDS TIMES TEXT     fails TIMES times at a usage limit that ends after SECONDS; then answers TEXT
//! play FILE [MS]               prints the lines of a recording (of a journal: those that were printed), MS milliseconds
//!                              between them; a line `#wait PATH` is not printed, and those after it wait for that file
//! raw TEXT                     prints TEXT as a line of stdout
//! bytes HEX                    prints these bytes, without a newline
//! stderr TEXT                  prints TEXT on stderr
//! env NAME, args, cwd, pid     answers with that
//! memory                       answers how many messages the session remembers
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, raise};
use serde_json::{Value, json};

use crate::claude::{Claude, TurnEnd};
use crate::lines::due;
use crate::pace::Count;
use crate::stubborn;

/// Longest nap of a turn that hangs; it only bounds how late the end of stdin is seen.
const NAP: Duration = Duration::from_millis(200);
/// Pause between two looks for a file.
const LOOK: Duration = Duration::from_millis(5);
/// Messages at full speed between two looks at the input.
const LOOK_EVERY: u64 = 64;

/// Plays one prompt.
pub(crate) fn play(claude: &mut Claude, prompt: &str) -> io::Result<TurnEnd> {
    let (word, rest) = prompt.split_once(char::is_whitespace).unwrap_or((prompt, ""));
    let number = |at: usize| rest.split_whitespace().nth(at).and_then(|word| word.parse::<f64>().ok());
    let answer = |text: String| Ok(TurnEnd::Answer(text));
    match word {
        "echo" => answer(rest.to_owned()),
        "lines" => {
            let pad = number(2).unwrap_or(0.0) as usize;
            lines(claude, number(0).unwrap_or(1.0) as u64, number(1).unwrap_or(0.0), pad)
        }
        "deltas" => {
            let count = Count::new(number(0).unwrap_or(1.0) as u64, rest.split(' ').nth(2));
            deltas(claude, count, number(1).unwrap_or(0.0))
        }
        "flood" => {
            let line = number(1).unwrap_or(1024.0).max(1.0);
            lines(claude, (number(0).unwrap_or(0.0) / line) as u64, 0.0, line as usize)
        }
        "long" => answer("x".repeat(number(0).unwrap_or(0.0) as usize)),
        "permission" => permission(claude, rest),
        "tool" => tool(claude, rest),
        "work" => work(claude, Path::new(rest)),
        "hang" => hang(claude, rest == "hard"),
        "block" => {
            stubborn::block_signals()?;
            answer("signals are blocked".to_owned())
        }
        "fork" => {
            claude.flush()?;
            let child = stubborn::spawn(rest == "orphan")?;
            answer(format!("started {}", child.id()))
        }
        "exit" => Ok(TurnEnd::Exit(number(0).unwrap_or(0.0) as u8)),
        "signal" => {
            claude.flush()?;
            let signal: Signal = rest.trim().parse()?;
            raise(signal)?;
            answer(format!("{signal} had no effect"))
        }
        "fail" => Ok(TurnEnd::Failed(rest.to_owned())),
        "limit" => limit(claude, prompt, rest),
        "play" => recording(claude, rest),
        "raw" => {
            claude.raw(rest)?;
            answer("printed".to_owned())
        }
        "bytes" => {
            claude.bytes(&unhex(rest))?;
            answer("printed".to_owned())
        }
        "stderr" => {
            claude.flush()?;
            eprintln!("{rest}");
            answer("printed".to_owned())
        }
        "env" => answer(std::env::var(rest.trim()).unwrap_or_else(|_| "(not set)".to_owned())),
        "args" => answer(claude.args.join(" ")),
        "cwd" => answer(std::env::current_dir()?.display().to_string()),
        "pid" => answer(std::process::id().to_string()),
        "allocate" => {
            claude.flush()?;
            let block = vec![1_u8; number(0).unwrap_or(1.0) as usize * 1024 * 1024];
            answer(format!("allocated {}", std::hint::black_box(block).len()))
        }
        "memory" => answer(claude.remembered().to_string()),
        _ => answer(format!("You said: {prompt}")),
    }
}

fn lines(claude: &mut Claude, count: u64, per_second: f64, pad: usize) -> io::Result<TurnEnd> {
    let start = Instant::now();
    let pad = if pad > 0 { format!(" {}", "x".repeat(pad)) } else { String::new() };
    for number in 0..count {
        if pause(claude, start, number, per_second)? {
            return Ok(TurnEnd::Interrupted);
        }
        claude.assistant(&json!([{"type": "text", "text": format!("line {}{pad}", number + 1)}]))?;
    }
    Ok(TurnEnd::Answer(format!("{count} lines")))
}

fn deltas(claude: &mut Claude, mut count: Count, per_second: f64) -> io::Result<TurnEnd> {
    let start = Instant::now();
    let mut text = String::new();
    claude.begin_message()?;
    for number in (0..).take_while(|number| count.has(*number)) {
        if pause(claude, start, number, per_second)? {
            claude.assistant(&json!([{"type": "text", "text": text}]))?;
            return Ok(TurnEnd::Interrupted);
        }
        let word = format!("w{number} ");
        claude.delta(&word)?;
        text.push_str(&word);
    }
    claude.assistant(&json!([{"type": "text", "text": text}]))?;
    Ok(TurnEnd::Said(text))
}

/// Waits until a numbered thing is due, looking at the input meanwhile; says whether the turn was interrupted.
fn pause(claude: &mut Claude, start: Instant, number: u64, per_second: f64) -> io::Result<bool> {
    let Some(due) = due(start, number, per_second) else {
        return if number.is_multiple_of(LOOK_EVERY) { claude.is_interrupted() } else { Ok(false) };
    };
    while Instant::now() < due {
        claude.listen(Some(due))?;
        if claude.is_interrupted()? {
            return Ok(true);
        }
    }
    claude.is_interrupted()
}

fn permission(claude: &mut Claude, rest: &str) -> io::Result<TurnEnd> {
    let (name, input) = tool_of(rest);
    let id = format!("toolu_fake_{}", uuid::Uuid::new_v4());
    claude.assistant(&json!([{"type": "tool_use", "id": id, "name": name, "input": input}]))?;
    let Some(answer) = claude.ask(name, &id, &input)? else {
        return Ok(TurnEnd::Interrupted);
    };
    let allowed = answer["behavior"] == "allow" && answer["updatedInput"].is_object();
    let text = if allowed {
        format!("allowed: {}", answer["updatedInput"])
    } else {
        answer["message"].as_str().unwrap_or("denied without a reason").to_owned()
    };
    claude.user(&json!([{"type": "tool_result", "tool_use_id": id, "content": text, "is_error": !allowed}]))?;
    if answer["interrupt"] == true {
        return Ok(TurnEnd::Interrupted);
    }
    Ok(TurnEnd::Answer(if allowed { text } else { format!("denied: {text}") }))
}

fn tool(claude: &mut Claude, rest: &str) -> io::Result<TurnEnd> {
    let (name, input) = tool_of(rest);
    let id = format!("toolu_fake_{}", uuid::Uuid::new_v4());
    claude.assistant(&json!([{"type": "tool_use", "id": id, "name": name, "input": input}]))?;
    claude.user(&json!([{"type": "tool_result", "tool_use_id": id, "content": "ok", "is_error": false}]))?;
    Ok(TurnEnd::Answer("done".to_owned()))
}

fn work(claude: &mut Claude, file: &Path) -> io::Result<TurnEnd> {
    let id = format!("toolu_fake_{}", uuid::Uuid::new_v4());
    claude.assistant(&json!([{"type": "tool_use", "id": id, "name": "Bash", "input": {"command": "work"}}]))?;
    claude.flush()?;
    if wait_for(claude, file)? {
        return Ok(TurnEnd::Interrupted);
    }
    claude.user(&json!([{"type": "tool_result", "tool_use_id": id, "content": "ok", "is_error": false}]))?;
    hang(claude, false)
}

fn tool_of(rest: &str) -> (&str, Value) {
    let (name, input) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    let name = if name.is_empty() { "Bash" } else { name };
    (name, serde_json::from_str(input).unwrap_or_else(|_| json!({"command": "true"})))
}

fn hang(claude: &mut Claude, hard: bool) -> io::Result<TurnEnd> {
    loop {
        claude.listen(Some(Instant::now() + NAP))?;
        if hard {
            continue;
        }
        if claude.is_interrupted()? {
            return Ok(TurnEnd::Interrupted);
        }
        if claude.is_at_end() {
            return Ok(TurnEnd::Failed("stdin has ended".to_owned()));
        }
    }
}

fn recording(claude: &mut Claude, rest: &str) -> io::Result<TurnEnd> {
    let mut words = rest.split_whitespace();
    let file = words.next().unwrap_or_default();
    let ms: f64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let per_second = if ms > 0.0 { 1_000.0 / ms } else { 0.0 };
    let recorded = fs::read(file)?;
    let is_journal = file.ends_with(".journal");
    let lines = recorded.split_inclusive(|&byte| byte == b'\n');
    let printed = lines.filter_map(|line| if is_journal { printed(line) } else { Some(line) });
    let mut start = Instant::now();
    for (number, line) in printed.enumerate() {
        if pause(claude, start, number as u64, per_second)? {
            return Ok(TurnEnd::Interrupted);
        }
        let Some(path) = line.strip_prefix(b"#wait ") else {
            claude.bytes(line)?;
            continue;
        };
        let since = Instant::now();
        if wait_for(claude, Path::new(OsStr::from_bytes(path.trim_ascii_end())))? {
            return Ok(TurnEnd::Interrupted);
        }
        start += since.elapsed();
    }
    Ok(TurnEnd::Played)
}

/// Waits for a file, looking at the input meanwhile; says whether the turn was interrupted.
fn wait_for(claude: &mut Claude, file: &Path) -> io::Result<bool> {
    while !file.exists() {
        claude.listen(Some(Instant::now() + LOOK))?;
        if claude.is_interrupted()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The line of stdout in a line of a journal.
fn printed(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.splitn(3, |&byte| byte == b' ').skip(1);
    (words.next()? == b"out").then_some(words.next()?)
}

/// A usage limit as the real CLI reports it: its event, then a message and a result that say so.
fn limit(claude: &mut Claude, prompt: &str, rest: &str) -> io::Result<TurnEnd> {
    let mut words = rest.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let (seconds, times) = (number(), number());
    let text = words.next().unwrap_or_default().to_owned();
    if claude.times_asked(prompt) > times as usize {
        claude.line(json!({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}))?;
        return Ok(TurnEnd::Answer(text));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // In whole seconds, as providers report it, rounded up: it must not be over when the turn ends.
    let info = json!({"status": "rejected", "resetsAt": now + seconds + 1, "rateLimitType": "five_hour"});
    claude.line(json!({"type": "rate_limit_event", "rate_limit_info": info}))?;
    Ok(TurnEnd::Failed("You've hit your limit".to_owned()))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
