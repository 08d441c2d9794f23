//! The names of types: each is defined once in `src/`, so that a name means one thing wherever it is read.

use std::collections::BTreeMap;

use super::{assert_none, sources};

/// Adapters that use the same words for the same things, so that who knows one can read the others.
const ADAPTERS: &[&str] = &["src/adapter/acp/", "src/adapter/claude/", "src/adapter/codex/", "src/adapter/declared/"];

/// The words that several adapters define, each for its own CLI.
const SHARED_BY_ADAPTERS: &[&str] = &[
    "Agent",
    "Call",
    "DeltaLine",
    "Handshake",
    "InputLine",
    "Partial",
    "PendingRequest",
    "Prompt",
    "SentMessage",
    "ToolOutput",
    "Turn",
];

/// Returns the types, traits and aliases that files define, with the files. Associated types are not among them.
pub(crate) fn defined_types(files: &[(String, String)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, text) in files {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let is_alias = |word: &str| word == "type" && !line.starts_with(' ');
            let defined = words
                .windows(2)
                .find(|pair| ["struct", "enum", "trait", "union"].contains(&pair[0]) || is_alias(pair[0]));
            if let Some(kind) = defined.map(|pair| pair[1]).filter(|kind| kind.starts_with(char::is_uppercase)) {
                found.push((kind.to_owned(), name.clone()));
            }
        }
    }
    found
}

/// Returns the files of the product without their unit tests, whose types nobody else sees.
fn product(files: Vec<(String, String)>) -> Vec<(String, String)> {
    let is_product = |name: &str| !name.ends_with("/tests.rs") && !name.contains("/tests/");
    let code = |text: &str| text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    files.into_iter().filter(|(name, _)| is_product(name)).map(|(name, text)| (name, code(&text))).collect()
}

/// Returns the names that several files define, or one file twice, and the shared words that no longer are.
fn names_defined_twice(files: &[(String, String)], shared: &[&str]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, name) in defined_types(files) {
        places.entry(kind).or_default().push(name);
    }
    let of_adapters = |names: &[String]| names.iter().all(|name| ADAPTERS.iter().any(|dir| name.starts_with(dir)));
    let is_shared = |kind: &str| {
        let names = places.get(kind).map_or(&[][..], Vec::as_slice);
        names.len() > 1 && of_adapters(names)
    };
    let twice = places
        .iter()
        .filter(|(kind, names)| names.len() > 1 && !(shared.contains(&kind.as_str()) && of_adapters(names)));
    let mut offences: Vec<String> = twice.map(|(kind, names)| format!("{kind}: {}", names.join(", "))).collect();
    let left = shared.iter().filter(|kind| !is_shared(kind));
    offences.extend(left.map(|kind| format!("{kind} is in the list of shared words, but is not shared")));
    offences
}

#[test]
fn type_names_are_defined_once() {
    let offences = names_defined_twice(&product(sources("src/")), SHARED_BY_ADAPTERS);
    assert_none(&offences, "qualify one of these names by its module's subject, such as DiffLine");
}

#[test]
fn types_of_one_name_are_found() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("src/a.rs", "struct Line;\nenum Part {\n    Line,\n}\nimpl X for Part {\n    type Line = u8;\n}\n"),
        file(
            "src/b.rs",
            "// struct Part;\npub(crate) type Line = u8;\n\n#[cfg(test)]\nmod tests {\n    struct Part;\n}\n",
        ),
        file("src/b/tests.rs", "struct Part;\n"),
        file("src/adapter/acp/state.rs", "struct Turn;\nstruct Call;\n"),
        file("src/adapter/codex/state.rs", "struct Turn;\nstruct Call;\n"),
        file("src/adapter/kit/call.rs", "struct Call;\n"),
    ];
    assert_eq!(
        names_defined_twice(&product(files.into()), &["Call", "Turn", "Prompt"]),
        [
            "Call: src/adapter/acp/state.rs, src/adapter/codex/state.rs, src/adapter/kit/call.rs",
            "Line: src/a.rs, src/b.rs",
            "Call is in the list of shared words, but is not shared",
            "Prompt is in the list of shared words, but is not shared",
        ]
    );
}
