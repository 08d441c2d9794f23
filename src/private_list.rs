//! Lists in private files: entries with an id, as versioned JSON that is replaced as a whole.
//!
//! Rules, budgets and schedules are such lists. A change takes effect when it is on the disk. A file that can't be used is
//! never written over.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::private_file;

/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;

/// An entry of a list.
pub(crate) trait ListEntry: Clone + Serialize + DeserializeOwned {
    /// The name of the file, in the data folder.
    const FILE: &'static str;
    /// The word for one entry, in lower case.
    const WORD: &'static str;
    /// The word for the entries; their field in the file.
    const WORDS: &'static str;
    /// Most entries.
    const COUNT_MAX: usize;
    /// The largest file that is written and read, in bytes.
    const BYTES_MAX: usize;
    /// The state while the file can't be used; ends a sentence.
    const WITHOUT: &'static str;

    /// Returns its id.
    fn id(&self) -> &str;

    /// Checks an entry that is added, changed or read.
    ///
    /// # Errors
    /// Fails with the first mistake.
    fn check(&self) -> Result<(), EntryMistake>;
}

/// A mistake in an entry: the field, and the reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryMistake {
    /// The field.
    pub field: &'static str,
    /// The reason.
    pub text: String,
}

impl EntryMistake {
    /// Checks the name of an entry and its note, which have at most so many characters.
    ///
    /// # Errors
    /// Fails with the first mistake.
    pub(crate) fn check_label(name: (&str, usize), note: (&str, usize)) -> Result<(), Self> {
        let wrong = |field, text: String| Err(Self { field, text });
        if name.0.trim().is_empty() || name.0.chars().count() > name.1 {
            return wrong("name", format!("name must have 1 to {} characters", name.1));
        }
        if name.0.chars().any(char::is_control) {
            return wrong("name", "name must not have control characters".to_owned());
        }
        if note.0.chars().count() > note.1 {
            return wrong("note", format!("note must have at most {} characters", note.1));
        }
        Ok(())
    }
}

/// The reason why a list was not changed.
#[derive(Debug)]
pub(crate) enum ListError {
    /// The entry has a mistake.
    Mistake(EntryMistake),
    /// No entry has this id.
    NotFound(String),
    /// The limit is reached.
    Full(String),
    /// The file can't be read or written.
    File(String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(mistake) => f.write_str(&mistake.text),
            Self::NotFound(text) | Self::Full(text) | Self::File(text) => f.write_str(text),
        }
    }
}

impl ListError {
    /// Returns the error for an unknown id.
    pub(crate) fn not_found<T: ListEntry>(id: &str) -> Self {
        let word = T::WORD;
        let (first, rest) = word.split_at(word.len().min(1));
        Self::NotFound(format!("{}{rest} not found: {id}", first.to_uppercase()))
    }
}

/// The file of a list.
pub(crate) struct ListFile<T> {
    path: PathBuf,
    /// The reason why the file can't be used.
    broken: Option<String>,
    entries: PhantomData<fn() -> T>,
}

impl<T: ListEntry> ListFile<T> {
    /// Reads the list of a data folder. From a file that can't be used no entry holds, which is logged.
    pub(crate) fn open(data: &Path) -> (Self, Vec<T>) {
        let path = data.join(T::FILE);
        let (entries, broken) = match Self::load(&path) {
            Ok(entries) => (entries, None),
            Err(reason) => {
                let text = format!("the {} in {} can't be used, {}: {reason}", T::WORDS, path.display(), T::WITHOUT);
                log::error!("{text}");
                (Vec::new(), Some(text))
            }
        };
        (Self { path, broken, entries: PhantomData }, entries)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Fails when it could not be used at the start, would be too large, or can't be written.
    pub(crate) fn save(&self, entries: &[T]) -> Result<(), ListError> {
        if let Some(broken) = &self.broken {
            return Err(ListError::File(format!("{broken}; repair or remove the file, and start the server again")));
        }
        let stored = json!({"version": VERSION, T::WORDS: entries});
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| ListError::File(error.to_string()))?;
        if text.len() > T::BYTES_MAX {
            let text = format!("the {} would have more than {} bytes: remove some first", T::WORDS, T::BYTES_MAX);
            return Err(ListError::Full(text));
        }
        let failed = |error: io::Error| ListError::File(format!("{}: {error}", self.path.display()));
        private_file::replace(&self.path, &text).map_err(failed)
    }

    fn load(path: &Path) -> Result<Vec<T>, String> {
        let max = u64::try_from(T::BYTES_MAX).unwrap_or(u64::MAX);
        let Some(bytes) = private_file::read(path, max.saturating_add(1)).map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        if bytes.len() > T::BYTES_MAX {
            return Err(format!("it has more than {} bytes", T::BYTES_MAX));
        }
        let mut stored: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if stored["version"] != VERSION {
            return Err(format!("it is of version {}, not {VERSION}", stored["version"]));
        }
        let entries: Vec<T> = serde_json::from_value(stored[T::WORDS].take()).map_err(|error| error.to_string())?;
        if entries.len() > T::COUNT_MAX {
            return Err(format!("it has more than {} {}", T::COUNT_MAX, T::WORDS));
        }
        match entries.iter().find_map(|entry| Some((entry, entry.check().err()?))) {
            Some((entry, mistake)) => Err(format!("{} {:?}: {}", T::WORD, entry.id(), mistake.text)),
            None => Ok(entries),
        }
    }
}

/// A list, and its file.
pub(crate) struct PrivateList<T> {
    file: ListFile<T>,
    entries: Mutex<Arc<Vec<T>>>,
    /// Held while entries are changed, so that an older file never replaces a newer one.
    changing: Mutex<()>,
}

impl<T: ListEntry> fmt::Debug for PrivateList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateList").field("file", &self.file.path).finish_non_exhaustive()
    }
}

impl<T: ListEntry> PrivateList<T> {
    /// Reads the list of a data folder. From a file that can't be used no entry holds, which is logged.
    pub(crate) fn open(data: &Path) -> Self {
        let (file, entries) = ListFile::open(data);
        Self { file, entries: Mutex::new(Arc::new(entries)), changing: Mutex::default() }
    }

    /// Reads the list of a data folder that can't do without it.
    ///
    /// # Errors
    /// Fails when the file can't be used.
    pub(crate) fn open_required(data: &Path) -> Result<Self, String> {
        let list = Self::open(data);
        match list.file.broken {
            Some(reason) => Err(format!("{reason}; repair or remove the file")),
            None => Ok(list),
        }
    }

    /// All entries, oldest first.
    pub(crate) fn all(&self) -> Arc<Vec<T>> {
        Arc::clone(&self.lock())
    }

    /// Adds an entry, when it is on the disk.
    ///
    /// # Errors
    /// Fails when it has a mistake, there are too many, or the file can't be written.
    pub(crate) fn add(&self, entry: T) -> Result<(), ListError> {
        entry.check().map_err(ListError::Mistake)?;
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        if entries.len() >= T::COUNT_MAX {
            let text = format!("there are {} {}, which is the most: remove some first", T::COUNT_MAX, T::WORDS);
            return Err(ListError::Full(text));
        }
        entries.push(entry);
        self.replace(entries)
    }

    /// Changes the entry with this id, when it is on the disk; returns it as it is then.
    ///
    /// # Errors
    /// As [`PrivateList::add`], and when the id is unknown.
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut T)) -> Result<T, ListError> {
        // Held from the look to the end, so that of two changes at once none is lost.
        let _changing = self.change();
        let mut entries = self.all().to_vec();
        let found = entries.iter_mut().find(|entry| entry.id() == id);
        let entry = found.ok_or_else(|| ListError::not_found::<T>(id))?;
        change(entry);
        entry.check().map_err(ListError::Mistake)?;
        let changed = entry.clone();
        self.replace(entries)?;
        Ok(changed)
    }

    /// Removes an entry, when it is removed on the disk.
    ///
    /// # Errors
    /// Fails when no entry has this id, or the file can't be written.
    pub(crate) fn remove(&self, id: &str) -> Result<(), ListError> {
        let _changing = self.change();
        self.replace(self.without(id)?)
    }

    /// Removes an entry: it holds no longer from here on, even if the file can't be written.
    ///
    /// # Errors
    /// As [`PrivateList::remove`].
    pub(crate) fn revoke(&self, id: &str) -> Result<(), ListError> {
        let _changing = self.change();
        let entries = Arc::new(self.without(id)?);
        *self.lock() = Arc::clone(&entries);
        self.file.save(&entries)
    }

    fn without(&self, id: &str) -> Result<Vec<T>, ListError> {
        let mut entries = self.all().to_vec();
        let before = entries.len();
        entries.retain(|entry| entry.id() != id);
        if entries.len() == before { Err(ListError::not_found::<T>(id)) } else { Ok(entries) }
    }

    fn replace(&self, entries: Vec<T>) -> Result<(), ListError> {
        self.file.save(&entries)?;
        *self.lock() = Arc::new(entries);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde::Deserialize;

    use super::*;
    use crate::scratch::Scratch;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Note {
        id: String,
        text: String,
    }

    impl ListEntry for Note {
        const FILE: &'static str = ".notes";
        const WORD: &'static str = "note";
        const WORDS: &'static str = "notes";
        const COUNT_MAX: usize = 3;
        const BYTES_MAX: usize = 1_000;
        const WITHOUT: &'static str = "so none is shown";

        fn id(&self) -> &str {
            &self.id
        }

        fn check(&self) -> Result<(), EntryMistake> {
            EntryMistake::check_label((&self.id, 9), (&self.text, 600))
        }
    }

    fn note(id: &str) -> Note {
        Note { id: id.to_owned(), text: String::new() }
    }

    #[test]
    fn entries_outlive_the_server_in_a_private_file() {
        let scratch = Scratch::new();
        let list = PrivateList::open_required(scratch.path()).unwrap();
        list.add(note("a")).unwrap();
        list.add(note("b")).unwrap();
        assert_eq!(list.update("b", |note| note.text = "n".to_owned()).unwrap().text, "n");
        assert!(matches!(list.update("b", |note| note.id.clear()), Err(ListError::Mistake(_))));
        assert!(matches!(list.update("z", |_| ()), Err(ListError::NotFound(text)) if text == "Note not found: z"));
        list.remove("a").unwrap();
        assert!(matches!(list.remove("a"), Err(ListError::NotFound(_))));
        let mode = scratch.path().join(Note::FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = PrivateList::<Note>::open(scratch.path()).all();
        assert_eq!((read.len(), &*read[0].id, &*read[0].text), (1, "b", "n"));
    }

    #[test]
    fn lists_are_bounded_in_number_and_bytes() {
        let scratch = Scratch::new();
        let list = PrivateList::open(scratch.path());
        for id in ["a", "b", "c"] {
            list.add(note(id)).unwrap();
        }
        assert!(matches!(list.add(note("d")), Err(ListError::Full(_))));
        list.update("a", |note| note.text = "x".repeat(600)).unwrap();
        assert!(matches!(list.update("b", |note| note.text = "x".repeat(600)), Err(ListError::Full(_))));
        assert_eq!(list.all()[1].text, "");
    }

    #[test]
    fn unreadable_lists_hold_nothing_and_are_kept() {
        let whole =
            [r#"{"version":2,"notes":[]}"#, r#"{"version":1}"#, r#"{"version":1,"notes":[{"id":"","text":""}]}"#];
        for text in whole.into_iter().chain(["{", "[]", "1", "null", ""]) {
            let scratch = Scratch::new();
            private_file::create(&scratch.path().join(Note::FILE), text.as_bytes()).unwrap();
            let list = PrivateList::open(scratch.path());
            assert!(list.all().is_empty());
            assert!(matches!(list.add(note("a")), Err(ListError::File(_))), "{text}");
            assert_eq!(std::fs::read_to_string(scratch.path().join(Note::FILE)).unwrap(), text);
            assert!(PrivateList::<Note>::open_required(scratch.path()).unwrap_err().contains("repair or remove"));
        }
    }

    #[test]
    fn revoked_entries_end_although_the_disk_fails() {
        let scratch = Scratch::new();
        let data = scratch.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let list = PrivateList::open(&data);
        list.add(note("a")).unwrap();
        list.add(note("b")).unwrap();
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::write(&data, "").unwrap();
        assert!(matches!(list.remove("a"), Err(ListError::File(_))));
        assert_eq!(list.all().len(), 2);
        assert!(matches!(list.revoke("a"), Err(ListError::File(_))));
        assert_eq!(list.all().len(), 1);
    }
}
