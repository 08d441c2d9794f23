//! The sentence that explains a worker's failure: how its CLI ended, the CLI's first useful line, and what to do.
//!
//! The fold makes it once, and every list, page, log and webhook shows it unchanged.

use crate::worker::state::status::exit_text;

/// Longest line of the CLI that is quoted, in characters.
const LINE_CHARS_MAX: usize = 300;
/// Words that mark a line as one that names the fault. A CLI's own output is often not English, so a line without any
/// of them is used if there is no better one.
const FAULTS: [&str; 16] = [
    "error",
    "fail",
    "cannot",
    "can't",
    "could not",
    "not found",
    "no such",
    "denied",
    "refused",
    "invalid",
    "unsupported",
    "require",
    "unable",
    "missing",
    "not logged in",
    "no longer",
];

/// Words of a scheduler's line that says why it ended a job, with the advice for each. Slurm writes them to stderr
/// (`slurmstepd: error: *** STEP 7.0 ON node CANCELLED AT ... DUE TO TIME LIMIT ***`).
const SCHEDULER_ENDS: [(&str, &str); 3] = [
    (
        "DUE TO TIME LIMIT",
        "its job's time limit ended it; a message starts it again in a new job, --time in the runner's options allows more",
    ),
    ("DUE TO PREEMPTION", "the scheduler gave its place to another job; a message starts it again in a new one"),
    ("DUE TO NODE FAILURE", "its node failed; a message starts it again in a new job"),
];

/// The end of a run, and the known facts about its cause.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::worker) struct RunEnd<'a> {
    pub(in crate::worker) exit_code: Option<i32>,
    pub(in crate::worker) signal: Option<&'a str>,
    /// The end of the CLI's stderr.
    pub(in crate::worker) stderr_tail: &'a str,
    /// An error that the adapter has reported, which is a sentence with advice.
    pub(in crate::worker) error: Option<&'a str>,
    /// The memory that was exhausted, and what to do, when the kernel has killed it for that.
    pub(in crate::worker) exhausted: Option<&'a str>,
    /// The first useful line of stdout that is not part of the CLI's protocol.
    pub(in crate::worker) said: Option<&'a str>,
}

impl RunEnd<'_> {
    /// Returns the sentence.
    pub(in crate::worker) fn sentence(&self) -> String {
        let how = exit_text(self.exit_code, self.signal);
        if let Some(exhausted) = self.exhausted {
            return format!("{how}: {exhausted}");
        }
        if let Some(error) = self.error.and_then(useful_line) {
            // The server ends a CLI that cannot work: the way in which it ended explains nothing then.
            let ended_by_us = self.signal == Some("SIGTERM") || self.exit_code == Some(143);
            return if ended_by_us { error } else { format!("{how}: {error}") };
        }
        if let Some((line, advice)) = scheduler_end(self.stderr_tail) {
            return format!("{how}: {line}; {advice}");
        }
        let line = useful_line(self.stderr_tail).or_else(|| self.said.and_then(useful_line));
        let advice = self.advice(line.as_deref().unwrap_or_default());
        match line {
            Some(line) => format!("{how}: {}; {advice}", line.trim_end_matches('.')),
            None => format!("{how}; {advice}"),
        }
    }

    fn advice(&self, line: &str) -> String {
        if self.signal == Some("SIGKILL") {
            return "the system may have run out of memory (see its log); a message starts it again".to_owned();
        }
        let node = self.stderr_tail.lines().find_map(|line| line.trim().strip_prefix("Node.js v"));
        match node {
            Some(version) if line.starts_with("SyntaxError") => {
                let version: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                format!("it may need a newer Node.js than {version}: install that, then start the worker again")
            }
            _ => "a message starts it again".to_owned(),
        }
    }
}

/// Returns the line by which a scheduler reports that it ended the job, and what to do.
fn scheduler_end(stderr: &str) -> Option<(String, &'static str)> {
    stderr.lines().map(plain).find_map(|line| {
        let (_, advice) =
            SCHEDULER_ENDS.iter().find(|(words, _)| line.contains(words) && line.contains("CANCELLED"))?;
        Some((line.chars().take(LINE_CHARS_MAX).collect(), *advice))
    })
}

/// Returns the most useful line about a failure: the first that names an error, else the first that names a fault, else
/// the first one; without control characters, and shortened.
pub(in crate::worker) fn useful_line(text: &str) -> Option<String> {
    let lines: Vec<String> = text.lines().map(plain).filter(|line| is_reported(line)).collect();
    let names_error = |line: &&String| {
        let word = line.split(':').next().unwrap_or_default();
        let lower = word.to_lowercase();
        line.contains(':')
            && !word.contains(' ')
            && ["error", "exception", "fatal", "panic"].iter().any(|it| lower.ends_with(it))
    };
    let names_fault = |line: &&String| {
        let lower = line.to_lowercase();
        FAULTS.iter().any(|fault| lower.contains(fault))
    };
    let line = lines.iter().find(names_error).or_else(|| lines.iter().find(names_fault)).or(lines.first())?;
    let mut short: String = line.chars().take(LINE_CHARS_MAX).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    Some(short)
}

/// Returns a line without escape sequences and control characters.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // A control sequence ends with a letter; a title or a link ends with a bell, or with another sequence.
                Some('[') => while chars.next_if(|c| !('@'..='~').contains(c)).is_some() {},
                Some(']') => while chars.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}')).is_some() {},
                _ => continue,
            },
            c if c.is_control() => text.push(' '),
            c => {
                text.push(c);
                continue;
            }
        }
        if c == '\u{1b}' {
            chars.next();
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether a line is informative: not a place in a program, a frame of a stack, or a warning.
fn is_reported(line: &str) -> bool {
    let is_place = line.starts_with("at ") || line.starts_with("file://") || line.starts_with("node:");
    let is_warning = line.starts_with("(node:") || line.starts_with("(Use `node") || line.starts_with("npm warn");
    line.contains(char::is_alphanumeric) && !is_place && !is_warning && !line.starts_with("Node.js v")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "file:///usr/lib/node_modules/x/cli.js:12\nconst r = /error/v;\n          ^\n\nSyntaxError: Invalid \
                        regular expression flags\n    at ESMLoader (node:internal/x:1:2)\n\nNode.js v18.19.0\n";

    #[test]
    fn useful_line_is_the_one_that_names_the_fault() {
        for (text, wanted) in [
            (NODE, "SyntaxError: Invalid regular expression flags"),
            ("Loading...\n\u{1b}[31mError: no key\u{1b}[0m\nbye\n", "Error: no key"),
            ("\u{1b}]0;title\u{7}hello\n", "hello"),
            ("starting\nthe model could not be found\n", "the model could not be found"),
            ("(node:7) Warning: old\n(Use `node --trace`)\nall is lost\n", "all is lost"),
            ("a\tb\r\n", "a b"),
        ] {
            assert_eq!(useful_line(text).as_deref(), Some(wanted), "{text:?}");
        }
        assert_eq!(useful_line(" \n ^\n"), None);
        let long = useful_line(&"é".repeat(5_000)).unwrap();
        assert_eq!(long.chars().count(), LINE_CHARS_MAX + 1);
    }

    #[test]
    fn sentence_says_how_it_ended_why_and_what_to_do() {
        let end = RunEnd { exit_code: Some(1), stderr_tail: NODE, ..RunEnd::default() };
        assert_eq!(
            end.sentence(),
            "The CLI exited with code 1: SyntaxError: Invalid regular expression flags; it may need a newer Node.js than \
             18.19.0: install that, then start the worker again"
        );
        let killed = RunEnd { signal: Some("SIGKILL"), ..RunEnd::default() };
        assert!(killed.sentence().starts_with("The CLI was ended by SIGKILL; the system may have run out of memory"));
        let limit = "srun: Job step aborted: Waiting\nslurmstepd: error: *** STEP 1.0 ON n1 CANCELLED AT x DUE TO TIME LIMIT ***\n\
                     srun: error: n1: task 0: Terminated\n";
        let limited = RunEnd { exit_code: Some(143), stderr_tail: limit, ..RunEnd::default() }.sentence();
        assert!(limited.contains("DUE TO TIME LIMIT ***; its job's time limit ended it;"), "{limited}");
        let retired = RunEnd { exit_code: Some(0), said: Some("x is no longer maintained."), ..RunEnd::default() };
        assert_eq!(
            retired.sentence(),
            "The CLI exited with code 0: x is no longer maintained; a message starts it again"
        );
        let login =
            RunEnd { signal: Some("SIGTERM"), error: Some("X is not logged in: no. Log in."), ..RunEnd::default() };
        assert_eq!(login.sentence(), "X is not logged in: no. Log in.");
    }
}
