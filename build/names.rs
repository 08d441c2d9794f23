//! Shortens the names of a script's own variables, parameters and functions. A name is either left as it is or replaced
//! everywhere in its file by the same short one, so no scope can be got wrong: what a name meant, its short one means.
//! Properties, exports and what the browser has keep their names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::tokens::{self, Kind, Token};

/// Words of the language, and those that are words of it in some places: these are never renamed.
const WORDS: &str = "as async await break case catch class const constructor continue default delete do else export \
     extends false finally for from function get if import in instanceof let new null of return set static super switch \
     this throw true try typeof var void while yield";
const FIRST: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ$_";

/// The variables of a script: where each name stands, and which are the script's own.
#[derive(Default)]
pub(crate) struct Names<'s> {
    script: &'s str,
    uses: BTreeMap<&'s str, Vec<Use>>,
    declared: BTreeSet<&'s str>,
    exported: BTreeSet<&'s str>,
}

/// One place of a name; `pair` stands between it and its new name where one word is both a variable and a property or
/// an export: `{ name }`, `import { name }`.
struct Use {
    at: usize,
    pair: &'static str,
}

/// What a bracket that is open holds.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Code,
    Object,
    Class,
    Imports,
    Other,
}

struct Frame {
    holds: Holds,
    /// Names in it are declared: it is a pattern, or a list of parameters.
    declares: bool,
    in_default: bool,
    ternaries: usize,
    in_case: bool,
}

impl Frame {
    fn new(holds: Holds, declares: bool) -> Frame {
        Frame { holds, declares, in_default: false, ternaries: 0, in_case: false }
    }
}

impl<'s> Names<'s> {
    /// Reads a script.
    pub(crate) fn read(script: &'s str) -> io::Result<Names<'s>> {
        let tokens = tokens::read(script)?;
        let mut names = Names { script, ..Names::default() };
        let mut frames = vec![Frame::new(Holds::Code, false)];
        let mut class_begins = false;
        let mut after_case = false;
        for (at, token) in tokens.iter().enumerate() {
            let near = Near { tokens: &tokens, at };
            let Some(frame) = frames.last_mut() else { return Err(unread(script, token)) };
            match (token.kind, token.text) {
                (Kind::Name, "class") if near.before(1) != "." && near.after(1) != ":" => class_begins = true,
                (Kind::Name, "case" | "default") if frame.holds == Holds::Code && near.before(1) != "." => {
                    frame.in_case = true;
                }
                (Kind::Name, text) if !WORDS.split(' ').any(|word| word == text) => names.place(&near, frame),
                (Kind::Sign, "?") => frame.ternaries += 1,
                (Kind::Sign, ":") if frame.ternaries > 0 => frame.ternaries -= 1,
                (Kind::Sign, ":") if frame.in_case => {
                    frame.in_case = false;
                    after_case = true;
                    continue;
                }
                (Kind::Sign, "=") => frame.in_default = frame.declares,
                (Kind::Sign, ",") => frame.in_default = false,
                (Kind::Sign, "(" | "[" | "{" | "${") => {
                    let outer = frame.declares && !frame.in_default;
                    let holds = if token.text != "{" { Holds::Other } else { near.brace(class_begins, after_case) };
                    if token.text == "{" {
                        class_begins = false;
                    }
                    let declares = match token.text {
                        "(" => near.is_parameters(frame.holds),
                        "${" => false,
                        _ => matches!(near.before(1), "const" | "let" | "var"),
                    };
                    frames.push(Frame::new(holds, declares || (outer && token.text != "${")));
                }
                (Kind::Sign, ")" | "]" | "}") => {
                    frames.pop();
                    if frames.is_empty() {
                        return Err(unread(script, token));
                    }
                }
                _ => {}
            }
            after_case = false;
        }
        if frames.len() == 1 { Ok(names) } else { Err(io::Error::other("a bracket is not closed")) }
    }

    /// Takes a name that is no word of the language.
    fn place(&mut self, near: &Near<'_, 's>, frame: &Frame) {
        let (name, before, after) = (near.tokens[near.at].text, near.before(1), near.after(1));
        let begins = matches!(before, "{" | ",") || (matches!(before, "async" | "get" | "set") && after == "(");
        let pair = match frame.holds {
            _ if matches!(before, "." | "?.") => return,
            Holds::Class => return,
            Holds::Imports if after == "as" => return,
            Holds::Imports if before != "as" => " as ",
            Holds::Object if begins && matches!(after, ":" | "(") => return,
            Holds::Object if begins && matches!(after, "," | "}" | "=") => ":",
            _ => "",
        };
        self.uses.entry(name).or_default().push(Use { at: near.tokens[near.at].at, pair });
        let is_named = matches!(before, "const" | "let" | "var" | "function" | "class");
        if is_named && (near.before(2) == "export" || (near.before(2) == "async" && near.before(3) == "export")) {
            self.exported.insert(name);
        }
        let is_own =
            is_named || after == "=>" || frame.holds == Holds::Imports || (frame.declares && !frame.in_default);
        if is_own {
            self.declared.insert(name);
        }
    }

    /// Names that this script has from elsewhere: what the browser gives.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &'s str> {
        self.uses.keys().copied().filter(|name| !self.declared.contains(name))
    }

    /// The script with every name replaced for which that saves something; those of `foreign` stay, in every file.
    pub(crate) fn shortened(&self, foreign: &BTreeSet<&str>) -> String {
        let stays =
            |name: &str| !self.declared.contains(name) || self.exported.contains(name) || foreign.contains(name);
        let mut often: Vec<_> = self.uses.iter().filter(|(name, _)| !stays(name)).collect();
        often.sort_by_key(|(name, uses)| Reverse((name.len() * uses.len(), **name)));
        let taken = |name: &String| self.uses.contains_key(name.as_str()) || WORDS.split(' ').any(|word| word == name);
        let mut short = (0..).map(nth_name).filter(|name| !taken(name)).peekable();
        let mut edits = BTreeMap::new();
        for (name, uses) in often {
            let Some(new) = short.peek().cloned() else { break };
            let text = |pair: &str| if pair.is_empty() { new.clone() } else { format!("{name}{pair}{new}") };
            if uses.iter().map(|one| text(one.pair).len()).sum::<usize>() < name.len() * uses.len() {
                edits.extend(uses.iter().map(|one| (one.at, (name.len(), text(one.pair)))));
                short.next();
            }
        }
        let mut out = String::with_capacity(self.script.len());
        let mut done = 0;
        for (at, (length, text)) in edits {
            out += &self.script[done..at];
            out += &text;
            done = at + length;
        }
        out + &self.script[done..]
    }
}

/// A token and those around it.
struct Near<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
}

impl<'s> Near<'_, 's> {
    fn before(&self, count: usize) -> &'s str {
        self.at.checked_sub(count).map_or("", |at| self.tokens[at].text)
    }

    fn after(&self, count: usize) -> &'s str {
        self.tokens.get(self.at + count).map_or("", |token| token.text)
    }

    /// What the brace that opens here holds.
    fn brace(&self, class_begins: bool, after_case: bool) -> Holds {
        match self.before(1) {
            _ if class_begins => Holds::Class,
            "import" => Holds::Imports,
            "" | ")" | "=>" | ";" | "}" | "{" | "else" | "do" | "try" | "finally" | "catch" => Holds::Code,
            ":" if after_case => Holds::Code,
            _ => Holds::Object,
        }
    }

    /// Whether the parenthesis that opens here has the parameters of a function, or what a `catch` catches.
    fn is_parameters(&self, within: Holds) -> bool {
        let name = self.at.checked_sub(1).is_some_and(|at| self.tokens[at].kind == Kind::Name);
        let is_method = name && matches!(within, Holds::Class | Holds::Object) && self.is_member();
        let mut depth = 0;
        let end = self.tokens[self.at..].iter().position(|token| {
            match token.text {
                "(" | "[" | "{" | "${" if token.kind == Kind::Sign => depth += 1,
                ")" | "]" | "}" if token.kind == Kind::Sign => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let is_arrow = end.is_some_and(|end| self.after(end + 1) == "=>");
        is_method || is_arrow || matches!(self.before(1), "function" | "catch") || self.before(2) == "function"
    }

    /// Whether the name before this parenthesis begins a member of a class or an object.
    fn is_member(&self) -> bool {
        matches!(self.before(2), "{" | "," | "}" | "async" | "get" | "set" | "static")
    }
}

/// `a`, `b`, … `_`, `aa`, `ba`, …
fn nth_name(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.push(char::from(FIRST[number % FIRST.len()]));
        number /= FIRST.len();
        if number == 0 {
            return name;
        }
        number -= 1;
    }
}

fn unread(script: &str, token: &Token) -> io::Error {
    let line = script[..token.at].matches('\n').count() + 1;
    io::Error::other(format!("line {line}: `{}` closes nothing", token.text))
}
