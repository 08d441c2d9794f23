//! A repository's references at one moment, copied so that git never reads a later change, link or pipe in their place.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use super::error::GitError;
use super::folder::Folder;
use crate::journal::is_object_id;

/// Longest `packed-refs`, or table of references, in bytes.
const PACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Longest file of one reference, in bytes.
const LOOSE_BYTES_MAX: u64 = 4 * 1024;
/// Maximum number of references in separate files; a repository with more needs `git pack-refs`.
const LOOSE_MAX: usize = 100_000;
/// Deepest folder of references.
const DEPTH_MAX: usize = 32;
/// Placeholder for a table-based repository's `HEAD` and `refs/heads`.
pub(super) const TABLES_HEAD: &str = "ref: refs/heads/.invalid\n";

/// Returns whether git accepts this as the full name of a reference.
pub(in crate::worker) fn is_ref_name(name: &str) -> bool {
    let bad = |char: char| char.is_ascii_control() || " ~^:?*[\\".contains(char);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.strip_prefix("refs/").is_some_and(|rest| rest.split('/').all(part))
        && !name.contains(bad)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

/// The target of one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum RefTarget {
    /// The object of this id.
    Object(String),
    /// Another reference.
    Ref(String),
}

impl RefTarget {
    /// Parses the text of a reference's file.
    pub(in crate::worker) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_end();
        match text.strip_prefix("ref:") {
            Some(name) => Some(Self::Ref(name.trim_start().to_owned())).filter(|_| is_ref_name(name.trim_start())),
            None => Some(Self::Object(text.to_owned())).filter(|_| is_object_id(text)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Object(id) => format!("{id}\n"),
            Self::Ref(name) => format!("ref: {name}\n"),
        }
    }
}

/// Returns the id of the commit to which HEAD of `own` leads, where references are in files; `None` before the first
/// commit.
pub(super) fn head_id(common: &Path, own: &Path) -> Result<Option<String>, GitError> {
    let read = |place: &Path, name: &str| {
        let bytes = open(place)?.read(name, PACKED_BYTES_MAX).map_err(broken(&place.join(name)))?;
        Ok::<_, GitError>(bytes.unwrap_or_default())
    };
    let name = match RefTarget::parse(&read(own, "HEAD")?) {
        Some(RefTarget::Object(id)) => return Ok(Some(id)),
        Some(RefTarget::Ref(name)) => name,
        None => return Ok(None),
    };
    let file = common.join(&name);
    if let (Some(folder), Some(last)) = (file.parent(), file.file_name().and_then(|last| last.to_str()))
        && folder.is_dir()
        && let Some(RefTarget::Object(id)) = RefTarget::parse(&read(folder, last)?)
    {
        return Ok(Some(id));
    }
    let packed = String::from_utf8_lossy(&read(common, "packed-refs")?).into_owned();
    let id = packed.lines().find_map(|line| line.strip_suffix(name.as_str())?.strip_suffix(' '));
    Ok(id.filter(|id| is_object_id(id)).map(str::to_owned))
}

/// Returns the branch that HEAD of `own` names, where references are in files; `None` when it names a commit.
pub(super) fn head_name(own: &Path) -> Result<Option<String>, GitError> {
    let bytes = open(own)?.read("HEAD", LOOSE_BYTES_MAX).map_err(broken(&own.join("HEAD")))?.unwrap_or_default();
    Ok(match RefTarget::parse(&bytes) {
        Some(RefTarget::Ref(name)) => Some(name),
        Some(RefTarget::Object(_)) | None => None,
    })
}

/// Copies the references in files of the Git directory `common`, and HEAD of `own`, into `into`.
pub(super) fn copy_files(common: &Path, own: &Path, into: &Path) -> Result<(), GitError> {
    let folder = open(common)?;
    let mut refs = BTreeMap::new();
    let packed = folder.read("packed-refs", PACKED_BYTES_MAX).map_err(broken(&common.join("packed-refs")))?;
    for line in String::from_utf8_lossy(&packed.unwrap_or_default()).lines() {
        if let Some((id, name)) = line.split_once(' ').filter(|(id, name)| is_object_id(id) && is_ref_name(name)) {
            refs.insert(name.to_owned(), RefTarget::Object(id.to_owned()));
        }
    }
    let top = folder.sub(Path::new("refs")).map_err(broken(&common.join("refs")))?;
    let mut left = LOOSE_MAX;
    add_loose(&top, "refs", (DEPTH_MAX, &mut left), &mut refs).map_err(broken(&common.join("refs")))?;
    let head_file = own.join("HEAD");
    let head = open(own)?.read("HEAD", LOOSE_BYTES_MAX).map_err(broken(&head_file))?.unwrap_or_default();
    let head = RefTarget::parse(&head).ok_or_else(|| GitError::broken(&head_file, "it names no commit or branch"))?;
    write(into, &head, &refs).map_err(GitError::io("the references cannot be copied"))
}

fn open(path: &Path) -> Result<Folder, GitError> {
    Folder::open(path).map_err(broken(path))
}

fn broken(path: &Path) -> impl FnOnce(std::io::Error) -> GitError + use<> {
    let path = path.to_owned();
    move |error| GitError::broken(path, error.to_string())
}

fn add_loose(
    folder: &Folder,
    name: &str,
    (depth, left): (usize, &mut usize),
    refs: &mut BTreeMap<String, RefTarget>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder.path())? {
        let entry = entry?;
        let Ok(last) = entry.file_name().into_string() else { continue };
        let name = format!("{name}/{last}");
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return Err(std::io::Error::other(format!("{name} is a link, which is not followed")));
        }
        *left = left.checked_sub(1).ok_or_else(|| {
            std::io::Error::other(format!("there are more than {LOOSE_MAX} files: run `git pack-refs --all`"))
        })?;
        if kind.is_dir() && depth > 0 {
            match folder.sub(Path::new(&last)) {
                Ok(inner) => add_loose(&inner, &name, (depth - 1, left), refs)?,
                // git removes empty folders at any time.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        } else if is_ref_name(&name)
            && let Some(target) = folder.read(&last, LOOSE_BYTES_MAX)?.as_deref().and_then(RefTarget::parse)
        {
            refs.insert(name, target);
        }
    }
    Ok(())
}

fn write(into: &Path, head: &RefTarget, refs: &BTreeMap<String, RefTarget>) -> std::io::Result<()> {
    std::fs::create_dir(into.join("refs"))?;
    std::fs::write(into.join("HEAD"), head.text())?;
    let mut packed = std::io::BufWriter::new(std::fs::File::create(into.join("packed-refs"))?);
    packed.write_all(b"# pack-refs with: sorted \n")?;
    for (name, target) in refs {
        match target {
            RefTarget::Object(id) => writeln!(packed, "{id} {name}")?,
            RefTarget::Ref(_) => {
                let file = into.join(name);
                std::fs::create_dir_all(file.parent().unwrap_or(into))?;
                std::fs::write(file, target.text())?;
            }
        }
    }
    packed.flush()
}

/// Copies the tables of references in the Git directory `from` into `into`.
pub(super) fn copy_tables(from: &Path, into: &Path) -> Result<(), GitError> {
    let place = from.join("reftable");
    let folder = open(&place)?;
    let fail = |error: std::io::Error| GitError::broken(&place, error.to_string());
    let list = folder.read("tables.list", LOOSE_BYTES_MAX * 16).map_err(fail)?.unwrap_or_default();
    let copy = into.join("reftable");
    std::fs::create_dir_all(&copy).map_err(GitError::io("the references cannot be copied"))?;
    for name in String::from_utf8_lossy(&list).lines() {
        if name.contains('/') || !name.ends_with(".ref") {
            return Err(GitError::broken(&place, format!("{name:?} is not the name of a table")));
        }
        let missing = || GitError::broken(&place, format!("{name} is missing"));
        let table = folder.read(name, PACKED_BYTES_MAX).map_err(fail)?.ok_or_else(missing)?;
        std::fs::write(copy.join(name), table).map_err(GitError::io("the references cannot be copied"))?;
    }
    std::fs::write(copy.join("tables.list"), list)
        .and_then(|()| stand_ins(into))
        .map_err(GitError::io("the references cannot be copied"))
}

/// Writes placeholder files for references that are stored in tables.
pub(super) fn stand_ins(into: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(into.join("refs"))?;
    std::fs::write(into.join("refs/heads"), "this repository uses the reftable format\n")?;
    std::fs::write(into.join("HEAD"), TABLES_HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_checked_as_git_does() {
        for name in ["refs/heads/main", "refs/heads/a/b-c.d", "refs/heads/ü", "refs/x/@"] {
            assert!(is_ref_name(name), "{name}");
        }
        for name in
            ["HEAD", "refs/", "refs/a//b", "refs/.a", "refs/a.lock", "refs/a..b", "refs/a b", "refs/a@{1}", "refs/a."]
        {
            assert!(!is_ref_name(name), "{name}");
        }
        let id = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(RefTarget::parse(format!("{id}\n").as_bytes()), Some(RefTarget::Object(id.to_owned())));
        assert_eq!(RefTarget::parse(b"ref: refs/heads/x\n"), Some(RefTarget::Ref("refs/heads/x".to_owned())));
        assert_eq!(RefTarget::parse(b"ref: ../../x\n"), None);
        assert_eq!(RefTarget::parse(b"\n"), None);
    }
}
