//! The tokens of a script: names, signs, and all else as it stands (strings, numbers, expressions, pieces of templates).

use std::io;

/// What kind of token it is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Name,
    Sign,
    Other,
}

/// One token, and where it begins.
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    pub(crate) at: usize,
}

/// Signs of more than one character, the longer ones first.
const SIGNS: [&str; 24] = [
    "...", "===", "!==", "**=", "??=", "||=", "&&=", "=>", "?.", "??", "==", "!=", ">=", "<=", "&&", "||", "++", "--",
    "+=", "-=", "*=", "/=", "**", "%=",
];
/// Words after which a slash begins a regular expression.
const BEFORE_EXPRESSION: [&str; 5] = ["return", "case", "typeof", "of", "in"];

/// The tokens of a script, without comments.
pub(crate) fn read(script: &str) -> io::Result<Vec<Token<'_>>> {
    let mut tokens: Vec<Token> = Vec::new();
    // For each brace that is open, whether it is the `${` of a template.
    let mut braces = Vec::new();
    let mut at = 0;
    while let Some(next) = script[at..].chars().next() {
        let rest = &script[at..];
        let in_template = next == '}' && braces.last() == Some(&true);
        let (kind, length) = if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if rest.starts_with("/*") {
            at += rest.find("*/").ok_or_else(|| unended(script, at))? + 2;
            continue;
        } else if in_template || next == '`' {
            if in_template {
                braces.pop();
                tokens.push(Token { kind: Kind::Sign, text: &rest[..1], at });
            }
            let end = 1 + template(&rest[1..]).ok_or_else(|| unended(script, at))?;
            let goes_on = rest[end..].starts_with("${");
            let piece = end + usize::from(!goes_on);
            tokens.push(Token { kind: Kind::Other, text: &rest[usize::from(in_template)..piece], at });
            at += piece;
            if goes_on {
                braces.push(true);
                tokens.push(Token { kind: Kind::Sign, text: &rest[piece..piece + 2], at });
                at += 2;
            }
            continue;
        } else if next == '"' || next == '\'' {
            (Kind::Other, quoted(rest, next).ok_or_else(|| unended(script, at))?)
        } else if next == '/' && expression_may_begin(tokens.last()) {
            (Kind::Other, expression(rest).ok_or_else(|| unended(script, at))?)
        } else if next.is_ascii_digit() {
            (Kind::Other, rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len()))
        } else if next.is_alphabetic() || next == '_' || next == '$' {
            (Kind::Name, rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()))
        } else {
            (Kind::Sign, SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(next.len_utf8(), |sign| sign.len()))
        };
        match next {
            '{' => braces.push(false),
            '}' => drop(braces.pop()),
            _ => {}
        }
        tokens.push(Token { kind, text: &rest[..length], at });
        at += length;
    }
    Ok(tokens)
}

/// The script without comments and blanks. Every statement of ours ends with a semicolon, so that lines need not end.
pub(crate) fn dense(script: &str) -> io::Result<String> {
    let mut out = String::with_capacity(script.len());
    let mut before = "";
    for token in read(script)? {
        if token.text == "}" && before == ";" {
            out.pop();
        }
        let next = token.text.chars().next().unwrap_or_default();
        let runs_on = |last: char| (is_of_word(last) && is_of_word(next)) || ("+-/".contains(last) && last == next);
        // Before the `${` of a template stands its text, in which a blank counts.
        if token.text != "${" && out.chars().next_back().is_some_and(runs_on) {
            out.push(' ');
        }
        out += token.text;
        before = token.text;
    }
    Ok(out)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn expression_may_begin(before: Option<&Token>) -> bool {
    before.is_none_or(|token| match token.kind {
        Kind::Sign => !matches!(token.text, ")" | "]" | "}"),
        Kind::Name => BEFORE_EXPRESSION.contains(&token.text),
        Kind::Other => false,
    })
}

/// Length of the piece of a template up to its end or the next `${`.
fn template(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = !escaped && (c == '`' || text[at..].starts_with("${"));
        escaped = !escaped && c == '\\';
        ends.then_some(at)
    })
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = !escaped && c == quote;
        escaped = !escaped && c == '\\';
        ends.then_some(at + 1)
    })
}

/// Length of a regular expression, its flags included.
fn expression(text: &str) -> Option<usize> {
    let (mut escaped, mut in_class) = (false, false);
    let end = text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == '/' && !escaped && !in_class;
        match c {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = !escaped && c == '\\';
        ends.then_some(at + 1)
    })?;
    Some(end + text[end..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len() - end))
}

fn unended(script: &str, at: usize) -> io::Error {
    io::Error::other(format!("line {}: this does not end", script[..at].matches('\n').count() + 1))
}
