//! Presets: named sets of the fields of a new worker, with placeholders in their texts. Each is a JSON file of a folder,
//! which the operator writes and the API changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use serde_json::{Map, Value, json};

use crate::cgroup::WorkerLimits;
use crate::json::fields::Fields;
use crate::private_file;
use crate::worker_env::is_env_entry;

/// Most files of the folder.
const FILES_MAX: usize = 256;
/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Most bytes of the values that are put in for placeholders, each counted as often as it is put in.
const FILLED_BYTES_MAX: usize = 1024 * 1024;

/// A preset: the fields that it gives to a new worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preset {
    name: String,
    fields: Map<String, Value>,
}

/// The reason that a preset cannot be read, written or used.
#[derive(Debug)]
pub(crate) enum PresetError {
    /// No preset has this name.
    Missing(String),
    /// Its name or one of its fields is wrong; the text says which.
    Invalid(String),
    /// Its file cannot be read or written.
    File(String),
}

impl fmt::Display for PresetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "preset not found: {name:?} (`rs-worker presets` lists them)"),
            Self::Invalid(reason) | Self::File(reason) => f.write_str(reason),
        }
    }
}

/// The folder of presets. They are read anew at each use.
#[derive(Debug, Default)]
pub(crate) struct Presets {
    folder: PathBuf,
    /// Held while a file is changed.
    saving: Mutex<()>,
}

impl Presets {
    /// The presets of a folder, which may be missing.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), saving: Mutex::default() }
    }

    /// Makes the folder, so that sandboxes that start before the first preset is saved hide it too.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn make_folder(&self) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// All presets as lists show them, in the order of their names; one that cannot be used comes with the reason.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Value>, PresetError> {
        let names = self.names()?;
        if names.len() > FILES_MAX {
            let folder = self.folder.display();
            return Err(PresetError::File(format!("{folder}: there are more than {FILES_MAX} files")));
        }
        let shown = |name: &String| match self.get(name) {
            Ok(preset) => preset.shown(),
            Err(error) => json!({"name": name, "placeholders": [], "error": error.to_string()}),
        };
        Ok(names.iter().map(shown).collect())
    }

    /// The names of the files.
    fn names(&self) -> Result<BTreeSet<String>, PresetError> {
        let entries = match self.folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(PresetError::File(format!("{}: {error}", self.folder.display()))),
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let json = paths.filter(|path| path.extension().is_some_and(|end| end == "json") && !path.is_dir());
        Ok(json.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect())
    }

    /// The preset of a name.
    ///
    /// # Errors
    /// Fails when there is none, or its file has a mistake.
    pub(crate) fn get(&self, name: &str) -> Result<Preset, PresetError> {
        let path = self.path(name)?;
        let broken = |reason: String| PresetError::File(format!("the preset {}: {reason}", path.display()));
        // A named pipe must not hold up a request.
        let flags = OFlag::O_NONBLOCK.bits();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(PresetError::Missing(name.to_owned()));
            }
            Err(error) => return Err(broken(error.to_string())),
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(broken("not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| broken(error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(broken(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let fields = Fields::parse(&bytes).and_then(checked).map_err(broken)?;
        Ok(Preset { name: name.to_owned(), fields })
    }

    /// Writes a preset. A variable whose value is null keeps the one that the preset has, or gets that of the preset
    /// `from`: clients do not know the values.
    ///
    /// # Errors
    /// Fails when its name or a field is wrong, or the disk does not take it.
    pub(crate) fn put(
        &self,
        name: &str,
        mut fields: Map<String, Value>,
        from: Option<&str>,
    ) -> Result<Preset, PresetError> {
        let path = self.path(name)?;
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Value::Object(env)) = fields.get_mut("env") {
            let before = self.get(from.unwrap_or(name)).ok();
            let before = before.as_ref().and_then(|preset| preset.fields.get("env"));
            for (variable, value) in env.iter_mut().filter(|(_, value)| value.is_null()) {
                let kept = before.and_then(|env| env.get(variable)).cloned();
                *value =
                    kept.ok_or_else(|| PresetError::Invalid(format!("env.{variable}: there is no value to keep")))?;
            }
        }
        let fields = checked(Fields::of(fields)).map_err(PresetError::Invalid)?;
        let names = self.names()?;
        if names.len() >= FILES_MAX && !names.contains(name) {
            return Err(PresetError::File(format!("there are {FILES_MAX} presets: remove one first")));
        }
        let failed = |error: std::io::Error| PresetError::File(format!("{}: {error}", path.display()));
        let bytes = serde_json::to_vec_pretty(&fields).map_err(|error| failed(error.into()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(PresetError::Invalid(format!("a preset has at most {FILE_BYTES_MAX} bytes")));
        }
        private_file::replace(&path, &bytes).map_err(failed)?;
        Ok(Preset { name: name.to_owned(), fields })
    }

    /// Removes a preset.
    ///
    /// # Errors
    /// Fails when no preset has this name.
    pub(crate) fn remove(&self, name: &str) -> Result<(), PresetError> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(PresetError::Missing(name.to_owned())),
            Err(error) => Err(PresetError::File(format!("{}: {error}", path.display()))),
            Ok(()) => Ok(()),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, PresetError> {
        let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-' || char == '_';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            let text = "a preset's name has 1 to 64 lower-case letters, digits, - and _";
            return Err(PresetError::Invalid(format!("{text}: {name:?}")));
        }
        Ok(self.folder.join(format!("{name}.json")))
    }
}

impl Preset {
    /// The preset as clients see it: values of variables may be secrets and are left out.
    pub(crate) fn shown(&self) -> Value {
        let mut shown = self.fields.clone();
        if let Some(Value::Object(env)) = shown.get("env") {
            let names: Vec<&String> = env.keys().collect();
            let names = json!(names);
            shown.insert("env".to_owned(), names);
        }
        shown.insert("name".to_owned(), json!(self.name));
        shown.insert("placeholders".to_owned(), json!(self.placeholders()));
        Value::Object(shown)
    }

    /// The CLI that it is for, if it names one.
    pub(crate) fn cli(&self) -> Option<&str> {
        self.fields.get("ai_cli_type")?.as_str()
    }

    /// The names in its placeholders.
    fn placeholders(&self) -> BTreeSet<String> {
        named_in(&self.fields)
    }

    /// The fields of a new worker except those that it has itself, with these values for their placeholders. A value is
    /// not looked into for others.
    ///
    /// # Errors
    /// Fails when one has no value, a value belongs to none, or they are too long; the text names it.
    pub(crate) fn fill(
        &self,
        values: &BTreeMap<String, String>,
        has: impl Fn(&str) -> bool,
    ) -> Result<Map<String, Value>, String> {
        let name = &self.name;
        let known = self.placeholders();
        if let Some(unknown) = values.keys().find(|given| !known.contains(*given)) {
            return Err(format!("the preset {name} has no placeholder {unknown}"));
        }
        let mut fields = self.fields.clone();
        fields.retain(|field, _| !has(field));
        if let Some(missing) = named_in(&fields).iter().find(|wanted| !values.contains_key(*wanted)) {
            return Err(format!("the preset {name} needs a value for the placeholder {missing}"));
        }
        let mut bytes = 0;
        let mut value_of = |name: &str| {
            let value = values.get(name).map_or("", String::as_str);
            bytes += value.len();
            if bytes > FILLED_BYTES_MAX { String::new() } else { value.to_owned() }
        };
        for value in fields.values_mut() {
            each_text(value, &mut |text| *text = replace(text, &mut value_of));
        }
        if bytes > FILLED_BYTES_MAX {
            return Err(format!(
                "the placeholders of the preset {name} are filled with more than {FILLED_BYTES_MAX} bytes"
            ));
        }
        Ok(fields)
    }
}

/// The names in the placeholders of fields.
fn named_in(fields: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for value in fields.values() {
        let mut value = value.clone();
        each_text(&mut value, &mut |text| {
            replace(text, &mut |name| {
                found.insert(name.to_owned());
                String::new()
            });
        });
    }
    found
}

/// Checks the fields of a preset.
fn checked(mut fields: Fields) -> Result<Map<String, Value>, String> {
    let mut kept = Map::new();
    for name in ["ai_cli_type", "model", "permission_mode", "effort", "system_prompt", "runner", "initial_message"] {
        if let Some(text) = fields.text(name)? {
            // Clients compare these.
            if matches!(name, "ai_cli_type" | "runner") && text.contains("{{") {
                return Err(format!("{name}: must have no placeholder: {text}"));
            }
            kept.insert(name.to_owned(), json!(text));
        }
    }
    for name in WorkerLimits::FIELDS {
        if let Some(value) = fields.value(name) {
            let set = WorkerLimits::default().set(name, &value);
            set.map_err(|allowed| format!("{name}: must be {}", allowed.replace('`', "")))?;
            kept.insert(name.to_owned(), value);
        }
    }
    let args = fields.list("args")?;
    if !args.iter().all(|one| one.as_str().is_some_and(|text| !text.contains('\0'))) {
        return Err("args: must be a list of texts without NUL".to_owned());
    }
    if !args.is_empty() {
        kept.insert("args".to_owned(), Value::Array(args));
    }
    let env = fields.pairs("env")?;
    if let Some((name, _)) = env.iter().find(|(name, value)| !is_env_entry(name, value)) {
        return Err(format!("env.{name}: not a variable that an environment can hold"));
    }
    if !env.is_empty() {
        kept.insert("env".to_owned(), env.into_iter().map(|(name, value)| (name, json!(value))).collect());
    }
    match fields.value("mcp") {
        None => {}
        Some(flag @ Value::Bool(_)) => {
            kept.insert("mcp".to_owned(), flag);
        }
        Some(_) => return Err("mcp: must be true or false".to_owned()),
    }
    match fields.value("worktree") {
        None => {}
        Some(flag @ Value::Bool(_)) => {
            kept.insert("worktree".to_owned(), flag);
        }
        Some(Value::Object(inner)) => {
            let mut inner = Fields::of(inner);
            let mut worktree = Map::new();
            for name in ["branch", "base"] {
                let text = inner.text(name).map_err(|why| format!("worktree.{why}"))?;
                worktree.extend(text.map(|text| (name.to_owned(), json!(text))));
            }
            inner.finish().map_err(|why| format!("worktree.{why}"))?;
            kept.insert("worktree".to_owned(), Value::Object(worktree));
        }
        Some(_) => return Err("worktree: must be true, false, or an object with branch and base".to_owned()),
    }
    fields.finish()?;
    Ok(kept)
}

/// Gives every text in a value to `change`.
fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(list) => list.iter_mut().for_each(|one| each_text(one, change)),
        Value::Object(fields) => fields.values_mut().for_each(|one| each_text(one, change)),
        _ => {}
    }
}

/// `text` with what `value` gives for each `{{name}}` in it. Braces around anything else stay.
fn replace(text: &str, value: &mut dyn FnMut(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let plain =
            |name: &&str| !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        match after.split_once("}}").map(|(name, after)| (name.trim(), after)).filter(|(name, _)| plain(name)) {
            Some((name, after)) => {
                filled.push_str(&value(name));
                rest = after;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests;
