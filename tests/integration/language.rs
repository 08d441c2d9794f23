//! The language of user-visible text and of doc comments: short, plain, standard words.

use std::path::Path;

use super::house::files;

/// Words that user-visible text avoids, with what to write instead.
const AVOIDED: &[(&str, &str)] = &[
    ("is no", "is not"),
    ("tell", "report, print, notify"),
    ("tells", "reports, prints, notifies"),
    ("told", "reported, printed, notified"),
    ("stands", "is, is stored"),
];

/// Phrases in which such words are right.
const ALLOWED: &[&str] = &["there is no", "is no longer", "is no worse"];

/// Words by which no doc comment opens: it opens with a verb or a noun phrase.
const QUESTION_WORDS: [&str; 7] = ["What", "Who", "Whether", "How", "When", "Where", "Why"];

/// The avoided words in a text, each as often as it is there.
fn avoided(text: &str) -> Vec<&'static str> {
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
    let found = |at| AVOIDED.iter().map(|(phrase, _)| *phrase).find(move |phrase| is_at(at, phrase));
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

#[test]
fn doc_comments_open_with_no_question() {
    let mut offences = Vec::new();
    for (name, text) in files().into_iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|it| it == "rs"))
    {
        let mut is_inside = false;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let doc = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "));
            if let Some(opening) = doc.filter(|_| !is_inside) {
                let first = opening.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
                if QUESTION_WORDS.contains(&first) {
                    offences.push(format!("{name}:{}: {opening}", number + 1));
                }
            }
            is_inside = line.starts_with("///") || line.starts_with("//!");
        }
    }
    assert!(offences.is_empty(), "open these with a verb or a noun phrase:\n{}", offences.join("\n"));
}

#[test]
fn language_check_finds_words_in_literals_only() {
    let source =
        "// told\nlet a = \"it is no \\\"text\\\"\"; let q = '\"'; f(r#\"he \"told\" me\"#); /* */ let b = \"retold\";";
    let found: Vec<_> = literals(source).iter().flat_map(|literal| avoided(literal)).collect();
    assert_eq!(found, ["is no", "told"]);
    assert_eq!(avoided("There is no server; it is no longer needed"), Vec::<&str>::new());
}
