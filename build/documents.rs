//! The documents (`*.html`): addresses with a version, and links to the modules that a view imports. Addresses with a
//! version also in the manifest and the service worker, which are served beside the page.

use std::collections::BTreeSet;
use std::io;

use super::Files;

/// Ways in which a document refers to a module: the start of the line, what follows the module's name, and the `rel` of
/// the links to the modules that it imports. `later` is for the page's scripts, which make it `modulepreload` when the
/// view is opened, and `last` for what they load when they have those.
const ENTRIES: [(&str, &str, &str); 3] = [
    ("<script type=\"module\" src=\"static/", "\"></script>", "modulepreload"),
    ("<link rel=\"later\" href=\"static/", "\">", "later"),
    ("<link rel=\"last\" href=\"static/", "\">", "last"),
];

/// Files beside the page that name others.
const BESIDE_THE_PAGE: [&str; 2] = ["manifest.webmanifest", "sw.js"];

/// Adds the links to imported modules, then the version to every address below `static/`.
pub(crate) fn refer_to_version(files: &mut Files, version: &str) -> io::Result<()> {
    let documents: Vec<String> = files.keys().filter(|name| name.ends_with(".html")).cloned().collect();
    for name in documents {
        let linked = with_links(files, &files[&name]).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        files.insert(name, with_version(&linked, version));
    }
    for name in BESIDE_THE_PAGE {
        if let Some(text) = files.get_mut(name) {
            *text = with_version(text, version);
        }
    }
    Ok(())
}

fn with_version(text: &str, version: &str) -> String {
    text.replace("\"static/", &format!("\"static/{version}/"))
}

fn with_links(files: &Files, document: &str) -> io::Result<String> {
    let mut out = String::with_capacity(2 * document.len());
    // Text inside an earlier link is not linked again.
    let mut linked = BTreeSet::new();
    for line in document.split_inclusive('\n') {
        let code = line.trim();
        for (start, end, rel) in ENTRIES {
            let Some(entry) = code.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)) else { continue };
            let before = linked.clone();
            add_imports(files, entry, &mut linked)?;
            let indent = &line[..line.len() - line.trim_start().len()];
            for module in linked.difference(&before).filter(|module| *module != entry) {
                out += &format!("{indent}<link rel=\"{rel}\" href=\"static/{module}\">\n");
            }
        }
        out += line;
    }
    Ok(out)
}

/// Adds a module and everything that it imports, directly or not.
fn add_imports(files: &Files, module: &str, found: &mut BTreeSet<String>) -> io::Result<()> {
    if !found.insert(module.to_owned()) {
        return Ok(());
    }
    let text = files.get(module).ok_or_else(|| io::Error::other(format!("static/{module} does not exist")))?;
    for specifier in imports(text) {
        add_imports(files, &resolved(module, specifier), found)?;
    }
    Ok(())
}

/// Returns the specifiers of a module's static imports and re-exports, which are relative in this project.
fn imports(script: &str) -> impl Iterator<Item = &str> {
    script.lines().filter(|line| line.starts_with(['i', 'e', '}'])).filter_map(|line| {
        let (_, specifier) = line.split_once(" from \"").or_else(|| line.split_once("import \""))?;
        specifier.strip_suffix("\";").filter(|specifier| specifier.starts_with('.'))
    })
}

/// Returns the name of a module that another one imports.
pub(crate) fn resolved(module: &str, specifier: &str) -> String {
    let mut parts: Vec<&str> = module.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}
