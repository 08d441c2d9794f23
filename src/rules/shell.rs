//! The strict reading of a shell command: simple commands of literal words, or nothing.
//!
//! It understands a small part of the shell on purpose. An allow rule holds for what is understood whole, so a construct
//! that is missing here costs a question, and one that is understood differently than the shell does would cost more.

/// Longest command that is read, in bytes.
pub(crate) const COMMAND_BYTES_MAX: usize = 4 * 1024;
/// Most simple commands in one command.
pub(crate) const COMMANDS_MAX: usize = 32;

/// Words that the shell reads as its grammar where a command begins.
const RESERVED: [&str; 22] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "select", "in",
    "function", "time", "coproc", "!", "{", "}", "[[", "]]",
];

/// One word, with its quotes removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// The text that a program gets.
    pub text: String,
    /// True if a part of it was quoted.
    pub quoted: bool,
}

/// The connection of a command to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    /// The first.
    First,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `|`
    Pipe,
    /// `;` or the end of a line.
    Then,
}

/// A program with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simple {
    /// Its connection to the one before.
    pub joint: Joint,
    /// The program and its arguments; never empty.
    pub words: Vec<Word>,
    /// The files that its output is redirected to. `/dev/null`, and redirections between stdout and stderr, are left out. A
    /// redirection from another file than that is not understood: what a program does may be what it reads.
    pub writes: Vec<String>,
}

/// Reads a command, or a pattern of one, in which `*` and `**` are words. `None` when any part of it is not understood.
pub(crate) fn read(text: &str, is_pattern: bool) -> Option<Vec<Simple>> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    if text.len() > COMMAND_BYTES_MAX || !is_plain {
        return None;
    }
    let mut reader = ShellReader { bytes: text.trim().as_bytes(), at: 0, is_pattern };
    let mut commands = Vec::new();
    let mut joint = Joint::First;
    loop {
        let (command, next) = reader.simple(joint)?;
        commands.push(command);
        if commands.len() > COMMANDS_MAX {
            return None;
        }
        match next {
            None => return Some(commands),
            // A last `;` ends the command, and nothing follows.
            Some(Joint::Then) if reader.at == reader.bytes.len() => return Some(commands),
            Some(next) => joint = next,
        }
    }
}

/// Returns whether a word is a part of the grammar of shells.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

struct ShellReader<'t> {
    bytes: &'t [u8],
    at: usize,
    is_pattern: bool,
}

impl ShellReader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn consume(&mut self, text: &[u8]) -> bool {
        let is_next = self.bytes[self.at..].starts_with(text);
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Reads one simple command and the operator behind it.
    fn simple(&mut self, joint: Joint) -> Option<(Simple, Option<Joint>)> {
        let mut command = Simple { joint, words: Vec::new(), writes: Vec::new() };
        let next = loop {
            self.blanks();
            let Some(byte) = self.peek() else { break None };
            if let Some(next) = self.joint(byte)? {
                break Some(next);
            }
            if matches!(byte, b'<' | b'>') {
                command.writes.extend(self.redirect()?);
                continue;
            }
            let word = self.word()?;
            if matches!(self.peek(), Some(b'<' | b'>')) {
                // Digits right before an operator are a descriptor, and other words are rarely meant so.
                if word.quoted || !matches!(&*word.text, "1" | "2") || self.peek() == Some(b'<') {
                    return None;
                }
                command.writes.extend(self.redirect()?);
                continue;
            }
            command.words.push(word);
        };
        let program = command.words.first()?;
        let is_usual = !program.text.is_empty() && !program.text.contains('=') && !is_reserved(&program.text);
        is_usual.then_some((command, next))
    }

    /// Reads the operator that ends a simple command, if one is next. `None` for one that is not understood.
    fn joint(&mut self, byte: u8) -> Option<Option<Joint>> {
        let joint = match byte {
            b'&' if self.consume(b"&&") => Joint::And,
            b'|' if self.consume(b"||") => Joint::Or,
            b'|' if !self.bytes[self.at..].starts_with(b"|&") && self.consume(b"|") => Joint::Pipe,
            b';' if self.consume(b";") => Joint::Then,
            b'\n' => {
                while matches!(self.peek(), Some(b'\n' | b' ' | b'\t')) {
                    self.at += 1;
                }
                Joint::Then
            }
            b'&' | b'|' => return None,
            _ => return Some(None),
        };
        Some(Some(joint))
    }

    /// Reads a redirection: the file that is written; `Some(None)` for one that changes no file.
    fn redirect(&mut self) -> Option<Option<String>> {
        if self.consume(b">&") {
            let to = self.peek()?;
            self.at += 1;
            let ends = self.peek().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'|' | b'&' | b')'));
            return (matches!(to, b'1' | b'2') && ends).then_some(None);
        }
        let writes = self.consume(b">>") || self.consume(b">");
        if !writes && !self.consume(b"<") {
            return None;
        }
        self.blanks();
        if matches!(self.peek()?, b'<' | b'>' | b'&' | b'|' | b';' | b'\n') {
            return None;
        }
        let word = self.word()?;
        if matches!(self.peek(), Some(b'<' | b'>')) || word.text.is_empty() {
            return None;
        }
        Some(match (&*word.text, writes) {
            ("/dev/null", _) => None,
            (_, true) => Some(word.text),
            (_, false) => return None,
        })
    }

    /// Reads one word, which has at least one byte or quote.
    fn word(&mut self) -> Option<Word> {
        let mut word = Word::default();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'|' | b'&' | b'<' | b'>' => break,
                b'\'' => self.quoted(b'\'', &mut word, |_| true)?,
                b'"' => self.quoted(b'"', &mut word, |byte| !matches!(byte, b'$' | b'`' | b'\\' | b'!'))?,
                b'*' if self.is_pattern => {
                    self.at += 1;
                    word.text.push('*');
                }
                // Bytes without a special meaning in any shell, anywhere in a word.
                byte if byte.is_ascii_alphanumeric() || b"-_./,:+@%".contains(&byte) => {
                    self.at += 1;
                    word.text.push(char::from(byte));
                }
                // Not at the beginning, where zsh looks for a program.
                b'=' if !word.text.is_empty() || word.quoted => {
                    self.at += 1;
                    word.text.push('=');
                }
                _ => return None,
            }
        }
        Some(word)
    }

    fn quoted(&mut self, quote: u8, word: &mut Word, is_literal: impl Fn(u8) -> bool) -> Option<()> {
        self.at += 1;
        word.quoted = true;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            if byte == quote {
                return Some(());
            }
            if !is_literal(byte) || matches!(byte, b'\n' | b'\t') {
                return None;
            }
            word.text.push(char::from(byte));
        }
    }
}
