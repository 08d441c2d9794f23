//! The file of the rules: JSON, private, replaced as a whole.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{RULES_MAX, Rule, RuleMistake};
use crate::private_file;

/// Name of the file with the rules, in the data folder.
pub(crate) const FILE: &str = ".rules";
/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// The largest file that is written and read, in bytes.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct RuleFile {
    version: u32,
    rules: Vec<Rule>,
}

/// The reason why rules were not changed.
#[derive(Debug)]
pub(crate) enum RuleBookError {
    /// The rule has a mistake.
    Mistake(RuleMistake),
    /// No rule has this id.
    NotFound(String),
    /// The limit is reached.
    Full(String),
    /// The file can't be read or written.
    File(String),
}

/// All rules.
pub(crate) struct RuleBook {
    file: PathBuf,
    rules: Mutex<Arc<Vec<Rule>>>,
    /// The reason why the file can't be used: it is not written over.
    broken: Option<String>,
    /// Held while the rules are changed, so that an older file never replaces a newer one.
    changing: Mutex<()>,
}

impl fmt::Debug for RuleBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleBook").field("file", &self.file).finish_non_exhaustive()
    }
}

impl RuleBook {
    /// Reads the rules of a data folder. From a file that can't be used no rule holds, so that people are asked.
    pub(crate) fn open(data: &Path) -> Self {
        let file = data.join(FILE);
        let (rules, broken) = match load(&file) {
            Ok(rules) => (rules, None),
            Err(reason) => {
                let text = format!("the rules in {} can't be used, so all prompts ask: {reason}", file.display());
                log::error!("{text}");
                (Vec::new(), Some(text))
            }
        };
        Self { file, rules: Mutex::new(Arc::new(rules)), broken, changing: Mutex::default() }
    }

    /// All rules, oldest first.
    pub(crate) fn all(&self) -> Arc<Vec<Rule>> {
        Arc::clone(&self.lock())
    }

    /// Adds a rule, when it is on the disk.
    ///
    /// # Errors
    /// Fails when it has a mistake, there are too many, or the file can't be written.
    pub(crate) fn add(&self, rule: Rule) -> Result<(), RuleBookError> {
        rule.check().map_err(RuleBookError::Mistake)?;
        let _changing = self.change();
        let mut rules = self.all().to_vec();
        if rules.len() >= RULES_MAX {
            return Err(RuleBookError::Full(format!(
                "there are {RULES_MAX} rules, which is the most: remove some first"
            )));
        }
        rules.push(rule);
        self.save(&rules)?;
        *self.lock() = Arc::new(rules);
        Ok(())
    }

    /// Changes the rule with this id, when it is on the disk; gives it as it is then.
    ///
    /// # Errors
    /// As [`RuleBook::add`], and when the id is unknown.
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Rule)) -> Result<Rule, RuleBookError> {
        // Held from the look to the end, so that of two changes at once none is lost.
        let _changing = self.change();
        let mut rules = self.all().to_vec();
        let Some(rule) = rules.iter_mut().find(|rule| rule.id == id) else { return Err(not_found(id)) };
        change(rule);
        rule.check().map_err(RuleBookError::Mistake)?;
        let changed = rule.clone();
        self.save(&rules)?;
        *self.lock() = Arc::new(rules);
        Ok(changed)
    }

    /// Removes a rule: it holds no longer from here on, even if the file can't be written.
    ///
    /// # Errors
    /// Fails when no rule has this id, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), RuleBookError> {
        let _changing = self.change();
        let mut rules = self.all().to_vec();
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        if rules.len() == before {
            return Err(not_found(id));
        }
        *self.lock() = Arc::new(rules.clone());
        self.save(&rules)
    }

    fn save(&self, rules: &[Rule]) -> Result<(), RuleBookError> {
        if let Some(broken) = &self.broken {
            return Err(RuleBookError::File(format!(
                "{broken}; repair or remove the file, and start the server again"
            )));
        }
        let stored = RuleFile { version: VERSION, rules: rules.to_vec() };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| RuleBookError::File(error.to_string()))?;
        if text.len() > FILE_BYTES_MAX {
            let text = format!("the rules would have more than {FILE_BYTES_MAX} bytes: remove some first");
            return Err(RuleBookError::Full(text));
        }
        let failed = |error: io::Error| RuleBookError::File(format!("{}: {error}", self.file.display()));
        private_file::replace(&self.file, &text).map_err(failed)
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<Rule>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_found(id: &str) -> RuleBookError {
    RuleBookError::NotFound(format!("Rule not found: {id}"))
}

fn load(file: &Path) -> Result<Vec<Rule>, String> {
    let max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let Some(bytes) = private_file::read(file, max + 1).map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let stored: RuleFile = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if stored.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", stored.version));
    }
    if stored.rules.len() > RULES_MAX {
        return Err(format!("it has more than {RULES_MAX} rules"));
    }
    match stored.rules.iter().find_map(|rule| Some((rule, rule.check().err()?))) {
        Some((rule, mistake)) => Err(format!("rule {:?}: {}", rule.name, mistake.text)),
        None => Ok(stored.rules),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::rules::Effect;
    use crate::rules::tests::support::rule;
    use crate::scratch::Scratch;

    fn named(id: &str) -> Rule {
        Rule { id: id.to_owned(), ..rule(Effect::Allow, &["git status"], &[]) }
    }

    #[test]
    fn rules_outlive_the_server_in_a_private_file() {
        let scratch = Scratch::new();
        let book = RuleBook::open(scratch.path());
        book.add(named("a")).unwrap();
        book.add(named("b")).unwrap();
        book.update("b", |rule| rule.note = "n".to_owned()).unwrap();
        assert!(matches!(book.update("b", |rule| rule.name.clear()), Err(RuleBookError::Mistake(_))));
        book.remove("a").unwrap();
        assert!(matches!(book.remove("a"), Err(RuleBookError::NotFound(_))));
        assert!(matches!(book.add(rule(Effect::Allow, &["sudo *"], &[])), Err(RuleBookError::Mistake(_))));
        let mode = scratch.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = RuleBook::open(scratch.path()).all();
        assert_eq!((read.len(), &*read[0].id, &*read[0].note), (1, "b", "n"));
    }

    #[test]
    fn unreadable_rules_hold_nothing_and_are_kept() {
        let scratch = Scratch::new();
        private_file::create(&scratch.path().join(FILE), b"{").unwrap();
        let book = RuleBook::open(scratch.path());
        assert!(book.all().is_empty());
        assert!(matches!(book.add(named("a")), Err(RuleBookError::File(_))));
        assert_eq!(std::fs::read(scratch.path().join(FILE)).unwrap(), b"{");
    }
}
