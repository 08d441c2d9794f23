//! The text of a `.env` file, read into names and values. Pure; it does not know the names of settings.
//!
//! One `NAME=VALUE` a line, with an optional `export ` before it. Space around the name and around the value does not
//! count. A `#` at the beginning of a line, or after a space, begins a comment. A value in `'single quotes'` is taken as
//! written; one in `"double quotes"` knows `\n`, `\r`, `\t`, `\\`, `\"`, `\'` and `\$`. Values are not expanded: `$HOME`
//! is five characters. CRLF line ends and a byte-order mark are fine.

use std::fmt;

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Its line, counted from 1.
    pub line: usize,
    /// The name left of `=`.
    pub name: String,
    /// The value, without quotes.
    pub value: String,
}

/// A line that is not an assignment. Its text is left out of the message, since it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// The line, counted from 1.
    pub line: usize,
    /// The mistake.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".env, line {}: {}", self.line, self.reason)
    }
}

/// Reads a whole file: its assignments in order, and every line that is wrong.
pub(crate) fn parse(text: &str) -> (Vec<Assignment>, Vec<BadLine>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut assignments, mut bad) = (Vec::new(), Vec::new());
    for (index, raw) in text.split('\n').enumerate() {
        let line = index + 1;
        match parse_line(raw.strip_suffix('\r').unwrap_or(raw)) {
            Ok(None) => {}
            Ok(Some((name, value))) => assignments.push(Assignment { line, name, value }),
            Err(reason) => bad.push(BadLine { line, reason }),
        }
    }
    (assignments, bad)
}

fn parse_line(raw: &str) -> Result<Option<(String, String)>, String> {
    let text = raw.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    if text.contains('\0') {
        return Err("holds a NUL byte".into());
    }
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => text,
    };
    let Some((name, value)) = text.split_once('=') else {
        return Err("expected NAME=VALUE".into());
    };
    let name = name.trim_end();
    if !is_name(name) {
        return Err("the name before `=` must be letters, digits and `_`, and not begin with a digit".into());
    }
    parse_value(value).map(|value| Some((name.to_owned(), value))).map_err(|reason| format!("{name}: {reason}"))
}

/// Returns whether `name` can name an environment variable: ASCII letters, digits and `_`, no digit first.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `text` is what follows the `=`, up to the line's end.
fn parse_value(text: &str) -> Result<String, String> {
    let trimmed = text.trim_start();
    if let Some(rest) = trimmed.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'').ok_or("the single quote is not closed on its line")?;
        return only_comment(after).map(|()| value.to_owned());
    }
    if let Some(rest) = trimmed.strip_prefix('"') {
        return double_quoted(rest);
    }
    Ok(without_comment(text).trim().to_owned())
}

fn double_quoted(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return only_comment(letters.as_str()).map(|()| value),
            '\\' => value.push(match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same @ ('\\' | '"' | '\'' | '$')) => same,
                _ => return Err(r#"after `\` only n, r, t, \, ", ' and $ are allowed; use single quotes"#.into()),
            }),
            other => value.push(other),
        }
    }
    Err("the double quote is not closed on its line".into())
}

fn only_comment(after: &str) -> Result<(), String> {
    match after.trim() {
        rest if rest.is_empty() || rest.starts_with('#') => Ok(()),
        _ => Err("there is text after the closing quote".into()),
    }
}

/// Cuts a comment off an unquoted value: from the first `#` that follows a space. `KEY=#1` keeps its `#`, as in a shell.
fn without_comment(text: &str) -> &str {
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with([' ', '\t']));
    comment.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::{is_name, parse};
    use proptest::prelude::*;

    fn value(line: &str) -> String {
        let (assignments, bad) = parse(line);
        assert_eq!(bad, [], "{line:?}");
        assert_eq!(assignments.len(), 1, "{line:?}");
        assert_eq!(assignments[0].name, "KEY", "{line:?}");
        assignments[0].value.clone()
    }

    fn reason(text: &str) -> String {
        let (_, bad) = parse(text);
        assert_eq!(bad.len(), 1, "{text:?} gave {bad:?}");
        bad[0].to_string()
    }

    #[test]
    fn plain_values_are_trimmed_and_end_at_a_comment() {
        for (line, expected) in [
            ("KEY=one", "one"),
            ("  KEY = one two \t", "one two"),
            ("export KEY=one", "one"),
            ("export\tKEY=one", "one"),
            ("KEY=", ""),
            ("KEY=   # nothing", ""),
            ("KEY=one # two", "one"),
            ("KEY=one#two", "one#two"),
            ("KEY=#one", "#one"),
            ("KEY=a=b", "a=b"),
            ("KEY=it's", "it's"),
            ("KEY=$HOME/x", "$HOME/x"),
            (r"KEY=C:\new", r"C:\new"),
            ("KEY=one\r", "one"),
            ("\u{feff}KEY=one", "one"),
            ("KEY=grün", "grün"),
        ] {
            assert_eq!(value(line), expected, "{line:?}");
        }
    }

    #[test]
    fn single_quotes_take_everything_as_it_is() {
        assert_eq!(value(r#"KEY='a "b" \n # c'  # comment"#), r#"a "b" \n # c"#);
        assert_eq!(value("KEY=''"), "");
        assert_eq!(value("KEY= ' one '"), " one ");
    }

    #[test]
    fn double_quotes_know_escapes() {
        assert_eq!(value(r#"KEY="a\tb\nc\\d\"e\$f\rg\'h # i" # comment"#), "a\tb\nc\\d\"e$f\rg'h # i");
        assert_eq!(value(r#"KEY="""#), "");
    }

    #[test]
    fn comments_blank_lines_and_all_line_ends_count_as_lines() {
        let (assignments, bad) = parse("# one\r\n\r\n  # three\r\nA=1\r\nexport B='2'\n");
        assert_eq!(bad, []);
        let found: Vec<_> = assignments.iter().map(|it| (it.line, it.name.as_str(), it.value.as_str())).collect();
        assert_eq!(found, [(4, "A", "1"), (5, "B", "2")]);
    }

    #[test]
    fn every_bad_line_is_reported_by_number_without_its_text() {
        assert_eq!(reason("\nsk-secret"), ".env, line 2: expected NAME=VALUE");
        assert_eq!(reason("export"), ".env, line 1: expected NAME=VALUE");
        let name = "the name before `=` must be letters, digits and `_`, and not begin with a digit";
        assert_eq!(reason("=x"), format!(".env, line 1: {name}"));
        assert_eq!(reason("1A=x"), format!(".env, line 1: {name}"));
        assert_eq!(reason("A B=x"), format!(".env, line 1: {name}"));
        assert_eq!(reason("A='x"), ".env, line 1: A: the single quote is not closed on its line");
        assert_eq!(reason("A=\"x"), ".env, line 1: A: the double quote is not closed on its line");
        assert_eq!(reason("A='x'y"), ".env, line 1: A: there is text after the closing quote");
        assert_eq!(reason("A=\"x\" y"), ".env, line 1: A: there is text after the closing quote");
        assert_eq!(
            reason(r#"A="\q""#),
            r#".env, line 1: A: after `\` only n, r, t, \, ", ' and $ are allowed; use single quotes"#
        );
        assert_eq!(reason("A=x\0y"), ".env, line 1: holds a NUL byte");
        assert_eq!(parse("x\nA=1\ny").1.len(), 2);
    }

    #[test]
    fn names_are_those_a_shell_takes() {
        for name in ["A", "_", "a1", "LOG_LEVEL"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1", "A-B", "A B", "Ä", "A="] {
            assert!(!is_name(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|[\"'\\\\=#\n a-c]{0,40}") {
            let (assignments, bad) = parse(&text);
            prop_assert!(assignments.len() + bad.len() <= text.split('\n').count());
        }

        #[test]
        fn quoted_text_reads_back_unchanged(text in "[^\0]{0,40}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
            let line = format!("KEY=\"{quoted}\"");
            prop_assert_eq!(value(&line), text);
        }
    }
}
