//! The language of user-visible text and of doc comments: short, plain, standard words.

use std::path::Path;

use super::house::{defined_types, files};

/// Words that user-visible text avoids, with what to write instead.
const AVOIDED: &[(&str, &str)] = &[
    ("is no", "is not"),
    ("tell", "report, print, notify"),
    ("tells", "reports, prints, notifies"),
    ("told", "reported, printed, notified"),
    ("stands", "is, is stored"),
];

/// Phrases in which such words are allowed.
const ALLOWED: &[&str] = &["there is no", "is no longer", "is no worse"];

/// Words with which no doc comment, and no section of one, may open: each opens with a verb or a noun phrase.
const OPENINGS_AVOIDED: [&str; 10] = ["What", "Who", "Whether", "How", "When", "Where", "Why", "It", "There", "They"];

/// Words that comments avoid, with what to write instead.
const AVOIDED_IN_COMMENTS: &[(&str, &str)] = &[
    ("tell", "report, print, return"),
    ("tells", "reports, prints, returns"),
    ("told", "reported, printed, returned"),
    ("stands", "is, is stored, represents"),
    ("goes on", "continues"),
    ("go on", "continue"),
];

/// Most words in the name of a test.
const NAME_WORDS_MAX: usize = 10;

/// Participles that do not end in "ed"; a type is a noun instead.
const PARTICIPLES: &[&str] = &[
    "Begun", "Bound", "Found", "Gone", "Held", "Kept", "Laid", "Made", "Said", "Seen", "Sent", "Shown", "Taken",
    "Told", "Written",
];

/// Nouns that end in "ed".
const NOUNS: &[&str] = &["Feed", "Seed", "Speed"];

/// Returns the words avoided in user-visible text that a text has, each as often as it occurs.
fn avoided(text: &str) -> Vec<&'static str> {
    avoided_of(AVOIDED, text)
}

fn avoided_of(list: &'static [(&str, &str)], text: &str) -> Vec<&'static str> {
    let mut text = text.to_lowercase();
    for phrase in ALLOWED {
        text = text.replace(phrase, "");
    }
    // Escapes end words too: `\n`.
    let text = text.replace("\\n", " ");
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let is_at =
        |at: usize, phrase: &str| phrase.split(' ').enumerate().all(|(n, word)| words.get(at + n) == Some(&word));
    let found = |at| list.iter().map(|(phrase, _)| *phrase).find(move |phrase| is_at(at, phrase));
    (0..words.len()).filter_map(found).collect()
}

/// The string literals of a Rust source, without those of its unit tests at the end.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let tail = &rest[at..];
        if tail.starts_with("//") {
            rest = tail.split_once('\n').map_or("", |(_, next)| next);
        } else if let Some(inside) = tail.strip_prefix('"') {
            let is_raw = rest[..at].ends_with('#');
            let end = if is_raw { inside.find("\"#") } else { end_of_literal(inside) };
            let end = end.unwrap_or(inside.len());
            found.push(without_placeholders(&inside[..end]));
            rest = inside.get(end + 1..).unwrap_or_default();
        } else {
            // A character: `'"'` is not the beginning of a string.
            let length = ["'\"'", "'\\\"'", "'\\''"].iter().find(|it| tail.starts_with(**it)).map_or(1, |it| it.len());
            rest = &tail[length..];
        }
    }
    found
}

/// A format string without the names in its braces.
fn without_placeholders(literal: &str) -> String {
    literal.split('{').map(|piece| piece.split_once('}').map_or(piece, |(_, text)| text)).collect::<Vec<_>>().join(" ")
}

fn end_of_literal(inside: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn is_of_tests(name: &str) -> bool {
    name.split('/').any(|part| ["tests", "tests.rs", "recorded.rs"].contains(&part) || part.ends_with("_tests.rs"))
}

#[test]
fn user_visible_text_avoids_the_listed_words() {
    let mut offences = Vec::new();
    for (name, text) in files() {
        let is = |extension: &str| Path::new(&name).extension().is_some_and(|it| it == extension);
        let pieces = if name.starts_with("src/") && is("rs") && !is_of_tests(&name) {
            literals(&text)
        } else if is("md") || name == ".env.example" || name.starts_with("src/api/openapi/") && is("json") {
            text.lines().map(str::to_owned).collect()
        } else {
            continue;
        };
        for piece in pieces {
            for word in avoided(&piece) {
                let instead = AVOIDED.iter().find(|(known, _)| *known == word).map_or("", |(_, instead)| instead);
                offences.push(format!("{name}: {word:?} (write {instead}): {piece}"));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

/// Returns the openings of doc comments, and of the sections in them, that begin with a word to avoid.
fn avoided_openings(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for (number, line) in source.lines().map(str::trim).enumerate() {
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim) else {
            is_inside = false;
            continue;
        };
        let first = doc.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        if !is_inside && OPENINGS_AVOIDED.contains(&first) {
            found.push((number + 1, doc));
        }
        is_inside = !doc.starts_with("# ") && (is_inside || !doc.is_empty());
    }
    found
}

#[test]
fn doc_comments_open_with_a_verb_or_noun() {
    let mut offences = Vec::new();
    for (name, text) in rust_files() {
        let found = avoided_openings(&text).into_iter();
        offences.extend(found.map(|(number, opening)| format!("{name}:{number}: {opening}")));
    }
    assert!(offences.is_empty(), "open these with a verb or a noun phrase:\n{}", offences.join("\n"));
}

#[test]
fn openings_are_found_behind_headings_too() {
    let source = "//! Rooms.\n//! When it rains.\n\n/// When it is.\nfn a() {}\n/// Does.\n///\n/// # Errors\n///\n/// When not.";
    assert_eq!(avoided_openings(source), [(4, "When it is."), (10, "When not.")]);
}

#[test]
fn comments_avoid_the_listed_words() {
    let mut offences = Vec::new();
    for (name, text) in rust_files() {
        // This file lists the words.
        if name == "tests/integration/language.rs" {
            continue;
        }
        for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| line.starts_with("//")) {
            for word in avoided_of(AVOIDED_IN_COMMENTS, line) {
                let instead = AVOIDED_IN_COMMENTS.iter().find(|(known, _)| *known == word).map_or("", |(_, it)| it);
                offences.push(format!("{name}:{}: {word:?} (write {instead}): {line}", number + 1));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

fn rust_files() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|it| it == "rs"))
}

/// The names of the test functions of a Rust source.
fn test_names(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            let function = line.strip_prefix("fn ").filter(|_| is_test);
            names.extend(function.and_then(|rest| rest.split(['(', '<']).next()));
            is_test = false;
        }
    }
    names
}

/// The titles of the tests of a script, without placeholders, which are data.
fn test_titles(source: &str) -> Vec<String> {
    let mut titles = Vec::new();
    for (at, _) in source.match_indices("test(") {
        let is_call = !source[..at].ends_with(|c: char| c.is_alphanumeric() || "._/".contains(c));
        let rest = source[at + "test(".len()..].trim_start();
        let Some(quote) = rest.chars().next().filter(|c| is_call && "\"'`".contains(*c)) else { continue };
        let title = rest[1..].split(quote).next().unwrap_or_default();
        titles.push(title.split("${").map(|part| part.split_once('}').map_or(part, |(_, text)| text)).collect());
    }
    titles
}

#[test]
fn names_of_tests_have_at_most_ten_words() {
    let mut offences = Vec::new();
    for (name, text) in files() {
        let long: Vec<String> = if name.ends_with(".rs") {
            let is_long = |test: &&&str| test.split('_').count() > NAME_WORDS_MAX;
            test_names(&text).iter().filter(is_long).map(|&test| test.to_owned()).collect()
        } else if name.ends_with(".mjs") {
            let is_long = |title: &String| title.split_whitespace().count() > NAME_WORDS_MAX;
            test_titles(&text).into_iter().filter(is_long).collect()
        } else {
            continue;
        };
        offences.extend(long.iter().map(|test| format!("{name}: {test}")));
    }
    assert!(offences.is_empty(), "name what each of these promises in ten words:\n{}", offences.join("\n"));
}

#[test]
fn type_names_are_nouns() {
    let is_one_word = |kind: &str| !kind[1..].contains(char::is_uppercase);
    let is_participle = |kind: &str| kind.ends_with("ed") && !NOUNS.contains(&kind) || PARTICIPLES.contains(&kind);
    let offences: Vec<_> = defined_types(&rust_files().collect::<Vec<_>>())
        .into_iter()
        .filter(|(kind, _)| is_one_word(kind) && is_participle(kind))
        .collect();
    assert!(offences.is_empty(), "name these types by nouns: {offences:?}");
}

#[test]
fn name_check_finds_tests_in_all_forms() {
    let source =
        "#[test]\n#[cfg(unix)]\nfn one() {}\nfn helper() {}\n    /// Two.\n    #[test]\n    fn two(x in 0..1) {}\n";
    assert_eq!(test_names(source), ["one", "two"]);
    let script = "test(\"a b\", f);\n/x/.test(\"c\");\n  test(\n    `d: ${e} f`, g);";
    assert_eq!(test_titles(script), ["a b", "d:  f"]);
}

#[test]
fn language_check_finds_words_in_literals_only() {
    let source =
        "// told\nlet a = \"it is no \\\"text\\\"\"; let q = '\"'; f(r#\"he \"told\" me\"#); /* */ let b = \"retold\";";
    let found: Vec<_> = literals(source).iter().flat_map(|literal| avoided(literal)).collect();
    assert_eq!(found, ["is no", "told"]);
    assert_eq!(avoided("There is no server; it is no longer needed"), Vec::<&str>::new());
}
