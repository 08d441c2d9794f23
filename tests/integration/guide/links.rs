//! Every relative link of the README and `docs/` leads to a file, and to a heading in it if the link names one. The
//! README stays short.

use std::path::Path;

use super::{documents, project_file};

/// Longest README, in lines.
const README_LINES_MAX: usize = 200;

/// The documents, and the others that link to them.
fn linking() -> Vec<String> {
    let others = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "adapters/README.md"];
    documents().into_iter().chain(others.map(str::to_owned)).collect()
}

/// The targets of a document's Markdown links.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The anchor that a heading gets: lower case, words joined by `-`, punctuation dropped.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dead = Vec::new();
    for document in linking() {
        let text = project_file(&document);
        for target in targets(&text).filter(|target| !target.contains("://")) {
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if file.is_empty() { root.join(&document) } else { root.join(&document).with_file_name("").join(file) };
            let is_there = path.exists();
            let has_heading = fragment.is_empty()
                || std::fs::read_to_string(&path)
                    .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment));
            if !is_there || !has_heading {
                dead.push(format!("{document}: {target}"));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn every_document_is_linked_from_another() {
    let texts: Vec<(String, String)> = linking().into_iter().map(|name| (project_file(&name), name)).collect();
    for name in documents().iter().filter(|name| *name != "README.md") {
        let file = Path::new(name).file_name().unwrap().to_str().unwrap();
        let leads_there = |target: &str| target.split('#').next().is_some_and(|path| path.ends_with(file));
        let is_linked = texts.iter().any(|(text, from)| from != name && targets(text).any(leads_there));
        assert!(is_linked, "no document links to {name}");
    }
}

#[test]
fn readme_is_read_in_five_minutes() {
    let lines = project_file("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines; move details to docs/");
}
