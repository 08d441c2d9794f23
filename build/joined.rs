//! Joins the modules of a view into one script, and the styles into one sheet, so that a browser requests a view's code
//! in one round trip and compresses it as one text.
//!
//! A module in a joint becomes a function that returns its exports, under a name made of its path: `lib/dom.js` is
//! `lib_dom`. Whoever imports it takes them from there; so a module is evaluated once, whoever asks for it. This reads the
//! few forms that imports and exports have in this project, and refuses others. `STATIC_DIR` serves the modules as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Files;
use super::documents::resolved;

/// A joint's name, and the modules whose imports are joined in it. A module is in the first joint that reaches it.
const JOINTS: [(&str, &[&str]); 3] = [
    ("list", &["js/pages/main.js"]),
    ("worker", &["js/pages/worker.js"]),
    ("cards", &["js/lib/highlight.js", "js/views/edits.js", "js/views/agent.js"]),
];

/// Replaces the modules of all joints by the joints, makes the other modules and the documents refer to those, and puts
/// imported styles in the place of their imports.
pub(crate) fn join(files: &mut Files) -> io::Result<()> {
    let mut places = Places::default();
    let mut orders = Vec::new();
    for (joint, entries) in JOINTS {
        let mut order = Vec::new();
        for entry in entries {
            add(files, entry, &mut places, &mut Vec::new(), &mut order)?;
        }
        places.0.extend(order.iter().map(|module| (module.clone(), joint)));
        orders.push((joint, order));
    }
    let mut joined = Files::new();
    for (joint, order) in &orders {
        joined.insert(format!("js/joined/{joint}.js"), script(files, joint, order, &places)?);
    }
    for (module, text) in files.iter().filter(|(name, _)| name.starts_with("js/") && places.of(name).is_none()) {
        let at = |error| io::Error::other(format!("static/{module}: {error}"));
        joined.insert(module.clone(), places.rewritten(module, None, text).map_err(at)?.text);
    }
    files.retain(|name, _| places.of(name).is_none());
    files.extend(joined);
    for (_, document) in files.iter_mut().filter(|(name, _)| name.ends_with(".html")) {
        for (joint, entries) in JOINTS {
            *document = with_joint(document, joint, entries);
        }
    }
    join_styles(files)
}

/// The document with a joint in the place of the first of its modules, and without the lines of the others.
fn with_joint(document: &str, joint: &str, entries: &[&str]) -> String {
    let mut is_there = false;
    let mut out = String::with_capacity(document.len());
    for line in document.split_inclusive('\n') {
        match entries.iter().find(|entry| line.contains(&format!("\"static/{entry}\""))) {
            Some(_) if is_there => {}
            Some(entry) => {
                is_there = true;
                out += &line.replace(*entry, &format!("js/joined/{joint}.js"));
            }
            None => out += line,
        }
    }
    out
}

/// Adds a module after those that it imports, unless it is in an earlier joint.
fn add(
    files: &Files,
    module: &str,
    places: &mut Places,
    above: &mut Vec<String>,
    order: &mut Vec<String>,
) -> io::Result<()> {
    if places.of(module).is_some() || order.iter().any(|name| name == module) {
        return Ok(());
    }
    if above.iter().any(|name| name == module) {
        return Err(io::Error::other(format!("static/{module} imports itself, by {}", above.join(", "))));
    }
    let text = files.get(module).ok_or_else(|| io::Error::other(format!("static/{module} does not exist")))?;
    above.push(module.to_owned());
    for (statement, _) in statements(text) {
        if let Some(from) = source(&statement) {
            add(files, &resolved(module, from), places, above, order)?;
        }
    }
    above.pop();
    order.push(module.to_owned());
    Ok(())
}

/// Returns the text of a joint.
fn script(files: &Files, joint: &str, order: &[String], places: &Places) -> io::Result<String> {
    let mut others: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut body = String::new();
    for module in order {
        let at = |error| io::Error::other(format!("static/{module}: {error}"));
        let one = places.rewritten(module, Some(joint), &files[module]).map_err(at)?;
        for (other, name) in one.needs {
            others.entry(other).or_default().insert(name);
        }
        let (name, text) = (name_of(module), without_comments(&one.text));
        // Only a module without exports may wait at its top level.
        body += &if one.exports.is_empty() {
            format!("const {name} = {{}};\n{{\n{text}}}\n")
        } else {
            format!("const {name} = (() => {{\n{text}return {{ {} }};\n}})();\n", one.exports.join(", "))
        };
    }
    let mut out = String::new();
    for (other, names) in others {
        let names: Vec<String> = names.into_iter().collect();
        out += &format!("import {{ {} }} from \"./{other}.js\";\n", names.join(", "));
    }
    let names: Vec<String> = order.iter().map(|module| name_of(module)).collect();
    // Before the code: a joint that is loaded meanwhile finds them.
    Ok(out + &format!("export {{ {} }};\n", names.join(", ")) + &body)
}

/// The joint of each module that is in one.
#[derive(Default)]
struct Places(BTreeMap<String, &'static str>);

/// A module's text with its imports rewritten.
struct Rewritten {
    text: String,
    exports: Vec<String>,
    /// The names that it takes from other joints, with their modules.
    needs: Vec<(&'static str, String)>,
}

impl Places {
    fn of(&self, module: &str) -> Option<&'static str> {
        self.0.get(module).copied()
    }

    /// Rewrites a module; `joint` is its own joint, if it is in one.
    fn rewritten(&self, module: &str, joint: Option<&str>, text: &str) -> Result<Rewritten, String> {
        let mut one = Rewritten { text: String::with_capacity(text.len()), exports: Vec::new(), needs: Vec::new() };
        for (statement, is_statement) in statements(text) {
            if !is_statement {
                one.text += &self.with_dynamic_imports(module, joint, &statement);
            } else if let Some(from) = source(&statement) {
                self.rewrite_import(module, joint, &statement, &resolved(module, from), &mut one)?;
            } else {
                export(joint, &statement, &mut one)?;
            }
        }
        Ok(one)
    }

    fn rewrite_import(
        &self,
        module: &str,
        joint: Option<&str>,
        statement: &str,
        from: &str,
        one: &mut Rewritten,
    ) -> Result<(), String> {
        let Some(place) = self.of(from) else {
            one.text += statement;
            return Ok(());
        };
        let name = name_of(from);
        if joint.is_none() {
            one.text += &format!("import {{ {name} }} from \"{}\"; ", joint_from(module, place));
        } else if joint != Some(place) {
            one.needs.push((place, name.clone()));
        }
        let clause = statement.trim_end().rsplit_once(" from \"").map_or("", |(clause, _)| clause);
        if let Some(names) = braces(clause, "import ") {
            one.text += &format!("const {{ {} }} = {name};\n", names.replace(" as ", ": "));
        } else if let Some(all) = clause.strip_prefix("import * as ") {
            one.text += &format!("const {all} = {name};\n");
        } else if let Some(names) = braces(clause, "export ").filter(|_| joint.is_some()) {
            // The module may import the same names beside it.
            one.exports.extend(names.split(", ").map(|export| format!("{export}: {name}.{export}")));
            one.text.push('\n');
        } else if clause.is_empty() {
            one.text.push('\n');
        } else {
            return Err(format!("an import of an unknown form: {statement}"));
        }
        Ok(())
    }

    /// The line with `import("...")` of modules in joints as that of the joint. In a joint, paths are relative to it.
    fn with_dynamic_imports(&self, module: &str, joint: Option<&str>, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("import(\"") {
            let Some((path, after)) = after.split_once("\")") else { break };
            out += before;
            let target = resolved(module, path);
            out += &match (self.of(&target), joint) {
                _ if !path.starts_with('.') => format!("import(\"{path}\")"),
                (Some(place), _) => {
                    let address = joint.map_or_else(|| joint_from(module, place), |_| format!("./{place}.js"));
                    format!("import(\"{address}\").then((all) => all.{})", name_of(&target))
                }
                (None, Some(_)) => format!("import(\"../{}\")", target.trim_start_matches("js/")),
                (None, None) => format!("import(\"{path}\")"),
            };
            rest = after;
        }
        out + rest
    }
}

/// Takes the exports of a statement; in a joint the statement is left without the word.
fn export(joint: Option<&str>, statement: &str, one: &mut Rewritten) -> Result<(), String> {
    if joint.is_none() {
        one.text += statement;
        return Ok(());
    }
    let declared = statement.trim_start_matches("export ");
    if let Some(names) = braces(statement.trim_end().trim_end_matches(';'), "export ") {
        one.exports.extend(names.split(", ").map(str::to_owned));
        return Ok(());
    }
    let word = ["async function ", "function ", "const ", "class "].iter().find_map(|kind| declared.strip_prefix(kind));
    let name: String =
        word.unwrap_or_default().chars().take_while(|c| c.is_alphanumeric() || ['_', '$'].contains(c)).collect();
    if name.is_empty() {
        return Err(format!("an export of an unknown form: {statement}"));
    }
    one.exports.push(name);
    one.text += declared;
    Ok(())
}

/// The names between the braces of a clause that starts with this word.
fn braces(clause: &str, word: &str) -> Option<String> {
    let inner = clause.strip_prefix(word)?.strip_prefix('{')?.strip_suffix('}')?;
    let names: Vec<&str> = inner.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    Some(names.join(", "))
}

/// Splits a module into its statements of import and export (`true`), of which imports may have several lines, and the
/// lines between.
fn statements(text: &str) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    let mut is_open = false;
    for line in text.split_inclusive('\n') {
        if is_open {
            if let Some((statement, _)) = all.last_mut() {
                statement.push_str(line);
            }
            is_open = !line.trim_end().ends_with(';');
            continue;
        }
        let is_list = line.starts_with("import ") || line.starts_with("export {");
        is_open = is_list && !line.trim_end().ends_with(';');
        all.push((line.to_owned(), is_list || line.starts_with("export ")));
    }
    all
}

/// The specifier of an import or a re-export.
fn source(statement: &str) -> Option<&str> {
    let is_list = statement.starts_with("import ") || statement.starts_with("export {");
    let (_, rest) = statement.rsplit_once(" from \"").or_else(|| statement.split_once("import \""))?;
    rest.trim_end().strip_suffix("\";").filter(|from| is_list && from.starts_with('.'))
}

/// The name of a module in its joint.
fn name_of(module: &str) -> String {
    module.trim_start_matches("js/").trim_end_matches(".js").replace(['/', '-'], "_")
}

/// The address of a joint in another module.
fn joint_from(module: &str, joint: &str) -> String {
    let up = "../".repeat(module.matches('/').count() - 1);
    format!("{up}joined/{joint}.js")
}

/// The text without lines that are comments and nothing else.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_template, mut in_comment) = (false, false);
    for line in text.split_inclusive('\n') {
        let code = line.trim();
        if in_comment {
            in_comment = !code.ends_with("*/");
        } else if !in_template && (code.starts_with("//") || code.is_empty()) {
        } else if !in_template && code.starts_with("/**") && (code.ends_with("*/") || !code.contains("*/")) {
            in_comment = !code.ends_with("*/");
        } else {
            in_template ^= line.matches('`').count() % 2 == 1;
            out += line;
        }
    }
    out
}

/// Puts the styles that a sheet imports in the place of the imports.
fn join_styles(files: &mut Files) -> io::Result<()> {
    let importing: Vec<String> = files
        .iter()
        .filter(|(name, text)| name.ends_with(".css") && text.contains("@import"))
        .map(|(name, _)| name.clone())
        .collect();
    for name in importing {
        let mut out = String::new();
        for line in files[&name].split_inclusive('\n') {
            let imported = line.trim().strip_prefix("@import \"").and_then(|rest| rest.strip_suffix("\";"));
            match imported.map(|from| resolved(&name, from)) {
                Some(from) => {
                    let missing = || io::Error::other(format!("static/{name} imports {from}, which does not exist"));
                    out += files.get(&from).ok_or_else(missing)?;
                }
                None => out += line,
            }
        }
        files.insert(name, out);
    }
    Ok(())
}
