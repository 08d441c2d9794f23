//! The imports between the files of `src/`, and the order of its rooms.
//!
//! A room is a file or a folder; an arrow is an import. An import through a folder's face (`mod.rs` with `pub use`) is
//! an import of the file behind it. The code of a face itself is a room too, named `mod`. Unit tests are left out.

use std::collections::{BTreeMap, BTreeSet};

/// Arrows between rooms or files: from, to.
pub(super) type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Deepest chain of re-exports that is followed.
const FACES_MAX: usize = 8;

/// The files of `src/` with what each imports.
pub(super) struct Plan {
    arrows: Arrows,
}

/// One file: its module path, its code, and the names that it re-exports.
struct Source {
    module: Vec<String>,
    code: String,
    handed_on: BTreeMap<String, Vec<String>>,
}

impl Plan {
    /// Reads the imports of all files.
    pub(super) fn of(files: &[(String, String)]) -> Self {
        let is_product =
            |name: &str| !name.contains("tests") && !["src/lib.rs", "src/main.rs", "src/testing.rs"].contains(&name);
        let sources: BTreeMap<String, Source> = files
            .iter()
            .filter(|(name, _)| is_product(name))
            .map(|(name, text)| (name.clone(), Source::read(name, text)))
            .collect();
        let modules: BTreeMap<Vec<String>, String> =
            sources.iter().map(|(name, source)| (source.module.clone(), name.clone())).collect();
        let find = Finder { sources: &sources, modules: &modules };
        let arrows = sources.iter().map(|(name, source)| (name.clone(), find.imports(name, source))).collect();
        Self { arrows }
    }

    /// Returns the arrows between the rooms of a folder, such as `src/worker/`; its face is the room `mod`.
    pub(super) fn rooms(&self, folder: &str) -> Arrows {
        let room = |file: &str| {
            let inside = file.strip_prefix(folder)?;
            Some(inside.split(['/', '.']).next().unwrap_or_default().to_owned())
        };
        let mut rooms = Arrows::new();
        for (from, imported) in &self.arrows {
            let Some(from) = room(from) else { continue };
            let to = imported.iter().filter_map(|to| room(to)).filter(|to| *to != from);
            let to: Vec<String> = to.collect();
            rooms.entry(from).or_default().extend(to);
        }
        rooms
    }

    /// The folders inside of `src/`, without that and a slash at the end.
    pub(super) fn folders(&self) -> BTreeSet<String> {
        let inside = self.arrows.keys().filter_map(|name| name.strip_prefix("src/"));
        inside.flat_map(|name| name.match_indices('/').map(|(at, _)| name[..at].to_owned())).collect()
    }

    /// Returns the cycles between the rooms of every folder, without those through the faces of the folders in `open`.
    pub(super) fn circles(&self, open: &[&str]) -> Vec<String> {
        let folders: BTreeSet<&str> =
            self.arrows.keys().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..=at])).collect();
        let found = folders.into_iter().flat_map(|folder| {
            let mut rooms = self.rooms(folder);
            if open.iter().any(|known| folder.starts_with(known)) {
                rooms.remove("mod");
                for imported in rooms.values_mut() {
                    imported.remove("mod");
                }
            }
            circles(&rooms).into_iter().map(move |circle| format!("{folder}: {circle}"))
        });
        found.collect()
    }
}

/// Returns the cycles of a graph, each as the names on it.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (from.as_str(), reach(arrows, from))).collect();
    let mut found = BTreeSet::new();
    for (from, all) in &reached {
        if all.contains(from) {
            let on: Vec<&str> =
                all.iter().copied().filter(|to| reached.get(to).is_some_and(|back| back.contains(from))).collect();
            found.insert(on.join(" <-> "));
        }
    }
    found.into_iter().collect()
}

fn reach<'a>(arrows: &'a Arrows, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = arrows.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(next) = left.pop() {
        if seen.insert(next) {
            left.extend(arrows.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    seen
}

/// Returns the length of the longest chain of arrows, in rooms; only for a graph without cycles.
pub(super) fn storeys(arrows: &Arrows) -> usize {
    fn height<'a>(arrows: &'a Arrows, room: &'a str, known: &mut BTreeMap<&'a str, usize>) -> usize {
        if let Some(height) = known.get(room) {
            return *height;
        }
        // A cycle ends here instead of recursing endlessly.
        known.insert(room, 0);
        let below = arrows.get(room).into_iter().flatten().map(|to| height(arrows, to, known)).max();
        known.insert(room, below.unwrap_or(0) + 1);
        below.unwrap_or(0) + 1
    }
    let mut known = BTreeMap::new();
    arrows.keys().map(|room| height(arrows, room, &mut known)).max().unwrap_or(0)
}

struct Finder<'p> {
    sources: &'p BTreeMap<String, Source>,
    modules: &'p BTreeMap<Vec<String>, String>,
}

impl Finder<'_> {
    fn imports(&self, name: &str, source: &Source) -> BTreeSet<String> {
        let code = without_declarations(&source.code);
        let own_names = source.handed_on.iter().filter(|(used, _)| has_word(&code, used)).map(|(_, path)| path);
        let paths = paths(&source.code);
        let files = paths.iter().chain(own_names).filter_map(|path| self.file(source, path, 0));
        files.filter(|file| file != name).collect()
    }

    /// Returns the file to which a path in `source` leads.
    fn file(&self, source: &Source, path: &[String], faces: usize) -> Option<String> {
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => source.module.clone(),
            child => {
                let mut module = source.module.clone();
                module.push(child.to_owned());
                if path.len() < 2 || !self.modules.contains_key(&module) {
                    return None;
                }
                source.module.clone()
            }
        };
        let mut rest = path;
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "super" => drop(module.pop()),
                "crate" | "self" => {}
                name => {
                    module.push(name.to_owned());
                    if !self.modules.contains_key(&module) {
                        module.pop();
                        break;
                    }
                }
            }
            rest = after;
        }
        let file = self.modules.get(&module)?;
        let face = &self.sources[file];
        match rest.first().and_then(|name| face.handed_on.get(name)) {
            Some(behind) if faces < FACES_MAX => self.file(face, behind, faces + 1).or_else(|| Some(file.clone())),
            _ => Some(file.clone()),
        }
    }
}

impl Source {
    fn read(name: &str, text: &str) -> Self {
        let inside = name.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        module.pop_if(|last| last == "mod");
        let mut code = product_code(text);
        let mut handed_on = BTreeMap::new();
        while let Some((begin, end)) = face(&code) {
            let statement: String = code.drain(begin..end).collect();
            let path = &statement[statement.find(" use ").unwrap_or(0) + 5..];
            for path in all_paths(path) {
                if let Some(last) = path.last() {
                    handed_on.insert(last.clone(), path);
                }
            }
        }
        Self { module, code, handed_on }
    }
}

/// Returns the code without its `mod x;`, whose names are not uses.
fn without_declarations(code: &str) -> String {
    let declares = |line: &&str| line.ends_with(';') && line.split(' ').rev().nth(1) == Some("mod");
    code.lines().filter(|line| !declares(line)).collect::<Vec<_>>().join("\n")
}

/// The next `pub use ...;`, from its first byte to after its last.
fn face(code: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        if line.starts_with("pub") && line.contains(" use ") {
            return Some((at, at + code[at..].find(';')? + 1));
        }
        at += line.len();
    }
    None
}

/// Returns the code without comments, unit tests, and other code that is compiled for tests only.
fn product_code(text: &str) -> String {
    let text = without_visibility(text);
    let (mut code, mut lines) = (String::new(), text.lines());
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim_start() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(mut item) = lines.find(|line| !line.trim_start().starts_with("#[")) else { break };
        let is_block = item.ends_with('{');
        while !(item == format!("{indent}}}") || (!is_block && item.ends_with(';'))) {
            let Some(next) = lines.next() else { break };
            item = next;
        }
    }
    code
}

/// The text without the paths in `pub(in ...)`, which import nothing.
fn without_visibility(text: &str) -> String {
    let mut pieces = text.split("pub(in ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + "pub" + piece.split_once(')').map_or(piece, |(_, rest)| rest))
}

/// The paths in code that begin at the crate, at this module, or at a name in lower case.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        let before = rest[..start].chars().next_back();
        let word = &rest[start..];
        let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
        let is_path = word[end..].starts_with("::") && before.is_none_or(|c| c != ':' && c != '.' && c != '\'');
        if is_path && word.starts_with(|c: char| c.is_lowercase()) {
            found.extend(all_paths(word));
        }
        rest = &word[end..];
    }
    found
}

/// The paths that `text` begins with: one, or those of a group in braces.
fn all_paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    read_paths(text, &mut Vec::new(), &mut found);
    found
}

/// Reads one path, whose beginning is `prefix`; returns what follows it.
fn read_paths<'t>(text: &'t str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut group) = text.strip_prefix('{') {
        loop {
            group = group.trim_start();
            if let Some(rest) = group.strip_prefix('}') {
                return rest;
            }
            let depth = prefix.len();
            group = read_paths(group, prefix, found);
            prefix.truncate(depth);
            let Some(end) = group.find([',', '}', ';']) else { return "" };
            group = group[end..].trim_start_matches(',');
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if end > 0 {
        prefix.push(text[..end].to_owned());
    }
    match text[end..].strip_prefix("::") {
        Some(rest) if end > 0 && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            read_paths(rest, prefix, found)
        }
        _ => {
            found.push(prefix.clone());
            &text[end..]
        }
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}
