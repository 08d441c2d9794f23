//! The loose reading of a command for rules that refuse or ask: every program that it could run, also where it can't be
//! parsed, with quotes and escapes removed.
//!
//! It errs on the side of a match. It can't see a program that is computed (decoded, read from a file, or made by a
//! script), nor another name of a file.

use std::collections::BTreeSet;

use super::glob;
use super::pattern::base_name;
use super::shell;

/// Programs that run no other program that their words name, when all of a command is understood.
const QUIET: &[&str] = &[
    "[", "basename", "cat", "cmp", "cut", "diff", "dirname", "du", "echo", "egrep", "false", "fgrep", "file", "grep",
    "head", "ls", "mkdir", "printf", "pwd", "realpath", "rg", "stat", "tail", "test", "touch", "tr", "true", "wc",
    "which",
];

/// Programs whose first plain word is a command.
const WITH_COMMANDS: &[&str] = &[
    "apt",
    "apt-get",
    "brew",
    "bun",
    "cargo",
    "composer",
    "dnf",
    "docker",
    "dotnet",
    "gh",
    "git",
    "go",
    "hg",
    "kubectl",
    "npm",
    "pip",
    "pip3",
    "pnpm",
    "podman",
    "svn",
    "systemctl",
    "terraform",
    "yarn",
];

/// Programs and words of the grammar behind which another program is written, with options between them at most.
const WRAPPERS: &[&str] = &[
    "!", "{", "builtin", "chroot", "command", "do", "doas", "elif", "else", "env", "exec", "if", "ionice", "nice",
    "nohup", "setsid", "stdbuf", "sudo", "then", "time", "timeout", "until", "while", "xargs",
];

/// Programs that read a word as a command: quotes and variables in it mean something to them.
const READERS: &[&str] = &[
    "ash", "bash", "busybox", "dash", "eval", "find", "fish", "ksh", "mksh", "parallel", "script", "sh", "ssh", "su",
    "watch", "xargs", "zsh",
];

/// A part of a command between blanks and operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LooseToken {
    text: String,
    /// A command could begin with it: it is the first, or behind an operator or a quote.
    begins: bool,
    /// Behind a quote within quotes, or has a variable within single ones: what that is depends on who reads it.
    nested: bool,
    /// An operator outside of quotes is before it, so that it is not a word of the program before.
    apart: bool,
    /// The file of a redirection.
    is_file: bool,
    /// A part is expanded by the shell: a variable, a substitution, braces.
    expands: bool,
    /// A glob.
    globs: bool,
}

impl LooseToken {
    /// The text as a program: without the `=` by which zsh looks one up.
    fn program(&self) -> &str {
        self.text.strip_prefix('=').unwrap_or(&self.text)
    }

    /// Returns whether it could be the word.
    fn could_be(&self, word: &str) -> bool {
        self.expands || self.text == word || (self.globs && glob::matches(self.text.as_bytes(), word.as_bytes()))
    }

    /// Returns whether a glob in it could be the program, by its whole path or its last part.
    fn could_expand_to(&self, program: &str) -> bool {
        // A bracket may hold one too, as in `r[]m]`.
        let is_open = self.text.len() > 2 && self.text.contains('[');
        self.globs && (is_open || glob::matches(base_name(&self.text).as_bytes(), program.as_bytes()))
    }

    fn is_option(&self) -> bool {
        self.text.starts_with('-')
    }

    fn is_assignment(&self) -> bool {
        self.text.split_once('=').is_some_and(|(name, _)| is_name(name))
    }

    fn is_number(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// Splits a command into tokens.
#[derive(Default)]
struct Splitter {
    done: Vec<LooseToken>,
    token: LooseToken,
    /// Open parentheses and backticks, in which an operator does not end the command around them.
    depth: usize,
    in_backticks: bool,
}

impl Splitter {
    fn split(text: &str) -> Vec<LooseToken> {
        let mut splitter = Self { token: LooseToken { begins: true, ..LooseToken::default() }, ..Self::default() };
        let (mut single, mut double, mut last) = (false, false, ' ');
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let next = chars.peek().copied();
            match char {
                '\'' if !double => {
                    single = !single;
                    splitter.token.begins |= single && splitter.token.text.is_empty();
                }
                '"' if !single => {
                    double = !double;
                    splitter.token.begins |= double && splitter.token.text.is_empty();
                }
                '\'' | '"' => splitter.token.nested |= splitter.token.text.is_empty(),
                '\\' => {
                    if next == Some('\n') {
                        chars.next();
                    } else if !single && chars.next_if(|next| matches!(next, '\'' | '"')).is_some() {
                        splitter.token.nested |= splitter.token.text.is_empty();
                    } else if let Some(next) = chars.next_if(|next| is_operator(*next)) {
                        // Not one for this shell. Another one may read it again.
                        splitter.end(true);
                        last = next;
                        continue;
                    }
                }
                '<' | '>' => {
                    // The number of a descriptor is not a word of the program.
                    let text = &splitter.token.text;
                    let is_number = last.is_ascii_digit() && text.bytes().all(|byte| byte.is_ascii_digit());
                    splitter.token.is_file |= is_number;
                    splitter.end(false);
                    splitter.token.is_file = true;
                }
                // `>&2`, `>|FILE` and `&>FILE` end nothing.
                '&' | '|' if matches!(last, '<' | '>') || (char == '&' && next == Some('>')) => {
                    let is_file = splitter.token.is_file;
                    splitter.end(false);
                    splitter.token.is_file |= is_file;
                }
                '$' if matches!(next, Some('(' | '`')) => {
                    splitter.token.expands |= !single;
                    splitter.token.nested |= single;
                    splitter.end(true);
                }
                char if is_operator(char) => splitter.operator(char, single || double),
                char if char.is_whitespace() || char.is_control() => splitter.end(false),
                char => splitter.push(char, (single, double)),
            }
            last = char;
        }
        splitter.end(false);
        splitter.done
    }

    fn operator(&mut self, char: char, is_quoted: bool) {
        let was_outside = self.depth == 0 && !self.in_backticks;
        match char {
            '(' => self.depth += 1,
            ')' => self.depth = self.depth.saturating_sub(1),
            '`' => self.in_backticks = !self.in_backticks,
            _ => {}
        }
        self.end(true);
        self.token.is_file = false;
        self.token.apart |= was_outside && !is_quoted && matches!(char, ';' | '|' | '&' | '\n');
    }

    fn push(&mut self, char: char, (single, double): (bool, bool)) {
        let is_quoted = single || double;
        self.token.nested |= char == '$' && single;
        self.token.expands |= (char == '$' && !single) || (matches!(char, '{' | '}') && !is_quoted);
        self.token.globs |= matches!(char, '*' | '?' | '[') && !is_quoted;
        self.token.text.push(char);
    }

    /// Ends a token; a command could begin behind it, if the flag is set.
    fn end(&mut self, begins: bool) {
        let mut done = std::mem::take(&mut self.token);
        // These are words of the grammar, or of `find`, and no expansion.
        done.expands &= !matches!(&*done.text, "{" | "}" | "{}");
        let is_empty = done.text.is_empty() && !done.expands;
        // The program may be behind a redirection.
        self.token.begins = begins || (done.begins && (is_empty || done.is_file));
        self.token.apart = done.apart && (is_empty || done.is_file);
        self.token.is_file = done.is_file && is_empty;
        if !is_empty {
            self.done.push(done);
        }
    }
}

fn is_operator(char: char) -> bool {
    matches!(char, ';' | '|' | '&' | '(' | ')' | '`' | '\n' | '\0')
}

/// A command that was read once, for all rules.
#[derive(Debug)]
pub(crate) struct ScannedCommand {
    tokens: Vec<LooseToken>,
    /// The command is understood whole, and none of its programs runs another one.
    is_quiet: bool,
}

impl ScannedCommand {
    pub(crate) fn of(text: &str) -> Self {
        Self { tokens: Splitter::split(text), is_quiet: is_quiet(text) }
    }

    /// Returns whether some part of the command could be the pattern.
    pub(crate) fn could_run(&self, pattern: &str) -> bool {
        let pattern = Splitter::split(pattern);
        let words: Vec<&str> = pattern.iter().map(|token| &*token.text).collect();
        let words = words.strip_suffix(&["**"]).unwrap_or(&words);
        let Some((program, further)) = words.split_first() else { return true };
        let mut scan = Scan::default();
        // Words that do not follow one program do not follow a later one of the same command either.
        let mut has_failed = false;
        for (at, token) in self.tokens.iter().enumerate() {
            has_failed &= !token.apart;
            if token.is_file {
                continue;
            }
            let place = scan.next(token);
            let could_run = place.is_place || !(self.is_quiet || place.is_behind_command);
            let is_read = place.is_read && token.nested && token.text.contains('$');
            let expands = place.is_place && (token.expands || is_read);
            let is_program = *program == "*"
                || token.program() == *program
                || base_name(&token.text) == *program
                || (place.is_place && (expands || token.could_be(program) || token.could_expand_to(program)));
            if !could_run || !is_program || (has_failed && !expands) {
                continue;
            }
            if expands || words_follow(program, further, &self.tokens[at + 1..]) {
                return true;
            }
            has_failed = !WITH_COMMANDS.contains(program);
        }
        false
    }

    /// The texts of a command that could name a path: its tokens, and its words with blanks in quotes.
    pub(crate) fn names(&self, text: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for word in self.tokens.iter().map(|token| token.text.clone()).chain(words(text)) {
            let parts = word.split(['=', ':', '@', ',']).map(str::to_owned);
            // The value of an option right behind its letter.
            let from_slash = word.find('/').filter(|_| word.starts_with('-')).map(|at| word[at..].to_owned());
            // A folder that a variable names may be this one.
            let in_variable =
                word.strip_prefix('$').and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest.to_owned());
            names.extend(parts.chain(from_slash).chain(in_variable));
            names.insert(word);
        }
        names.remove("");
        names
    }
}

/// The place of a token in a command.
struct TokenPlace {
    /// Could be a program.
    is_place: bool,
    /// Behind a program that reads words as commands.
    is_read: bool,
    /// Behind the command of a program that has commands of its own: `git rm` runs no `rm`.
    is_behind_command: bool,
}

/// A walk over the tokens of a command.
#[derive(Default)]
struct Scan<'t> {
    /// The last token was a prefix of a program: an assignment, a wrapper, or an option of one.
    after_prefix: bool,
    after_wrapper: bool,
    /// Some token before is a program that reads words as commands.
    after_reader: bool,
    /// The program that the tokens belong to, and whether it is the last token.
    program: &'t str,
    is_right_behind: bool,
}

impl<'t> Scan<'t> {
    fn next(&mut self, token: &'t LooseToken) -> TokenPlace {
        let is_read = self.after_reader;
        let is_place = token.begins || self.after_prefix || (token.nested && is_read);
        let is_behind_command = self.is_right_behind && WITH_COMMANDS.contains(&self.program) && !is_place;
        let base = base_name(token.program());
        self.is_right_behind = is_place;
        if is_place {
            let is_wrapper = WRAPPERS.contains(&base);
            self.after_wrapper = is_wrapper || (self.after_wrapper && !token.begins);
            let is_prefix =
                token.is_assignment() || is_wrapper || (self.after_wrapper && (token.is_option() || token.is_number()));
            self.after_prefix = is_prefix;
            self.program = base;
        }
        self.after_reader |= READERS.contains(&base);
        TokenPlace { is_place, is_read, is_behind_command }
    }
}

/// Returns whether the rest of a pattern could be in the tokens behind its program.
fn words_follow(program: &str, words: &[&str], tokens: &[LooseToken]) -> bool {
    let end = tokens.iter().position(|token| token.apart).unwrap_or(tokens.len());
    let tokens = &tokens[..end];
    words.iter().enumerate().all(|(at, word)| {
        if *word == "*" {
            return tokens.iter().filter(|token| !token.is_option()).count() > 0;
        }
        if at == 0 && !word.starts_with('-') && WITH_COMMANDS.contains(&program) {
            return is_command(tokens, word);
        }
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && !rest.is_empty());
        match letters {
            Some(letters) => letters.chars().all(|letter| tokens.iter().any(|token| has_letter(token, letter))),
            None => tokens.iter().any(|token| token.could_be(word) || is_long_form(token, word)),
        }
    })
}

/// Returns whether a token could be the command of a program: the first one, or any one behind an option, whose value may be
/// of several tokens.
fn is_command(tokens: &[LooseToken], word: &str) -> bool {
    let mut after_option = false;
    for token in tokens.iter().filter(|token| !token.is_file) {
        if token.could_be(word) {
            return true;
        }
        after_option |= token.is_option();
        if !after_option {
            return false;
        }
    }
    false
}

fn has_letter(token: &LooseToken, letter: char) -> bool {
    token.expands
        || token.text.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-') && rest.contains(letter))
        || (token.globs && token.text.starts_with(['*', '?', '[']))
}

/// Returns whether a long option is written with its value, or shortened.
fn is_long_form(token: &LooseToken, word: &str) -> bool {
    let name = token.text.split_once('=').map_or(&*token.text, |(name, _)| name);
    word.starts_with("--") && name.len() > 2 && word.starts_with(name)
}

fn is_quiet(text: &str) -> bool {
    let is_quiet = |words: &[shell::Word]| {
        // `rg --pre` runs a program for each file.
        let program = &*words[0].text;
        QUIET.contains(&program) && (program != "rg" || !words.iter().any(|word| word.text.starts_with("--pre")))
    };
    shell::read(text, false).is_some_and(|commands| commands.iter().all(|command| is_quiet(&command.words)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '+')
}

/// The words of a command as a shell splits them, without quotes and escapes.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (char, Some(open)) if char == open => quote = None,
            (char, Some(_)) => word.push(char),
            ('\'' | '"', None) => quote = Some(char),
            (char, None) if char.is_whitespace() || is_operator(char) || matches!(char, '<' | '>') => {
                all.push(std::mem::take(&mut word));
            }
            (char, None) => word.push(char),
        }
    }
    all.push(word);
    all
}

/// Checks a pattern of a rule that refuses or asks.
///
/// # Errors
/// The reason, as the end of a sentence about the pattern.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    if Splitter::split(pattern).is_empty() {
        return Err("is empty".to_owned());
    }
    if pattern.chars().any(|c| c.is_control() || ";|&()<>`${}\\".contains(c)) {
        return Err("has an operator, an expansion or an escape: write one command of plain words".to_owned());
    }
    Ok(())
}
