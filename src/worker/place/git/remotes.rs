//! The remotes that a repository's configuration names, read by our own parser, and the branch that a branch follows, written
//! without git: it would read all of a configuration that an agent can write.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

use super::config::GitSettings;
use super::error::GitError;
use super::folder::{FILE_BYTES_MAX, Folder, read_file};
use super::repository::Repository;

/// Most remotes of a repository that are looked at.
const REMOTES_MAX: usize = 32;
/// The lock of a configuration, as git takes it.
const LOCK: &str = "config.lock";

/// A remote as the repository's configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct RemoteSettings {
    /// Its addresses.
    pub(in crate::worker) urls: Vec<String>,
    /// Its addresses for pushes, where these are others.
    pub(in crate::worker) push_urls: Vec<String>,
    /// Rules by which its branches are copied.
    pub(in crate::worker) fetch: Vec<String>,
}

/// The remotes of a repository and the branches that its branches follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct Remotes {
    /// The remotes by their names.
    pub(in crate::worker) all: BTreeMap<String, RemoteSettings>,
    /// The remote and the full name of the branch there that a branch follows, by the branch's short name.
    followed: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Remotes {
    /// Reads the remotes of a repository.
    pub(in crate::worker) fn of(repository: &Repository) -> Result<Self, GitError> {
        let path = repository.common.join("config");
        let bytes = read_file(&path, FILE_BYTES_MAX, OFlag::empty())
            .map_err(|error| GitError::broken(&path, error.to_string()))?
            .unwrap_or_default();
        Self::parse(&bytes).map_err(|line| GitError::broken(path, format!("line {line} is not understood")))
    }

    fn parse(bytes: &[u8]) -> Result<Self, usize> {
        let mut found = Self::default();
        for (name, value) in GitSettings::list(bytes)? {
            let Some(value) = value else { continue };
            if let Some((remote, key)) = name.strip_prefix("remote.").and_then(|rest| rest.rsplit_once('.')) {
                found.add(remote, key, value);
            } else if let Some((branch, key)) = name.strip_prefix("branch.").and_then(|rest| rest.rsplit_once('.')) {
                let followed = found.followed.entry(branch.to_owned()).or_default();
                match key {
                    "remote" => followed.0 = Some(value),
                    "merge" => followed.1 = Some(value),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, remote: &str, key: &str, value: String) {
        let is_known = self.all.contains_key(remote);
        if remote.is_empty() || remote.contains(char::is_control) || !is_known && self.all.len() == REMOTES_MAX {
            return;
        }
        let found = self.all.entry(remote.to_owned()).or_default();
        let list = match key {
            "url" => &mut found.urls,
            "pushurl" => &mut found.push_urls,
            "fetch" => &mut found.fetch,
            _ => return,
        };
        // An empty value forgets those before it.
        if value.is_empty() {
            list.clear();
        } else {
            list.push(value);
        }
    }

    /// The remote and the short name of the branch there that a branch follows.
    pub(in crate::worker) fn followed_by(&self, branch: &str) -> Option<(&str, &str)> {
        let (remote, merge) = self.followed.get(branch)?;
        let remote = remote.as_deref().filter(|remote| self.all.contains_key(*remote))?;
        Some((remote, merge.as_deref()?.strip_prefix("refs/heads/")?))
    }
}

impl Repository {
    /// Has a branch follow a branch of a remote from now on. Returns false where it follows another one already, which it
    /// keeps. `id` is unique to the command.
    ///
    /// # Errors
    /// Fails when the configuration is locked or cannot be written.
    pub(in crate::worker) fn follow(&self, branch: &str, (remote, merge): (&str, &str), id: &str) -> io::Result<bool> {
        let common = Folder::open(&self.common)?;
        let bytes = common.read("config", FILE_BYTES_MAX)?.unwrap_or_default();
        let unreadable = |line| io::Error::other(format!("line {line} of the configuration is not understood"));
        let known = Remotes::parse(&bytes).map_err(unreadable)?;
        if let Some(followed) = known.followed.get(branch).filter(|it| it.0.is_some() || it.1.is_some()) {
            return Ok(followed.0.as_deref() == Some(remote) && followed.1.as_deref() == Some(merge));
        }
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let start = if bytes.is_empty() || bytes.ends_with(b"\n") { "" } else { "\n" };
        let section =
            format!("{start}[branch {}]\n\tremote = {}\n\tmerge = {}\n", quoted(branch), quoted(remote), quoted(merge));
        let unfinished = unfinished(id);
        let mut file = common.create(&unfinished)?;
        let place = |name: &str| common.path().join(name);
        let written = (|| {
            file.write_all(&[&bytes, section.as_bytes()].concat())?;
            file.set_permissions(fs::symlink_metadata(place("config"))?.permissions())?;
            file.sync_all()?;
            fs::hard_link(place(&unfinished), place(LOCK)).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => io::Error::other("git has locked the configuration (config.lock)"),
                _ => error,
            })?;
            if common.read("config", FILE_BYTES_MAX)?.unwrap_or_default() != bytes {
                common.remove(LOCK)?;
                return Err(io::Error::other("the configuration was changed meanwhile"));
            }
            fs::rename(place(LOCK), place("config"))
        })();
        common.remove(&unfinished)?;
        written.map(|()| true)
    }
}

fn unfinished(id: &str) -> String {
    format!("config.rs-worker-{id}")
}

/// Removes what [`Repository::follow`] has left when the server was killed in the middle of it.
pub(in crate::worker) fn clean_up_upstream(common: &Path, id: &str) -> io::Result<()> {
    let folder = Folder::open(common)?;
    let file_of = |name: &str| fs::symlink_metadata(folder.path().join(name)).map(|found| (found.dev(), found.ino()));
    let Ok(ours) = file_of(&unfinished(id)) else { return Ok(()) };
    if file_of(LOCK).is_ok_and(|lock| lock == ours) {
        folder.remove(LOCK)?;
    }
    folder.remove(&unfinished(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = a\n\turl = b\n\tpushurl = c\n\tpushurl =\n\tpushurl = d\n\
                        \tproxy = evil\n[remote \"with \\\"quote\"]\n\turl = x\n[branch \"topic\"]\n\tremote = origin\n\
                        \tmerge = refs/heads/other\n[branch \"local\"]\n\tremote = .\n\tmerge = refs/heads/main\n";

    fn repository(top: &Path, config: &str) -> Repository {
        let common = top.join(".git");
        for name in ["objects", "refs"] {
            fs::create_dir_all(common.join(name)).unwrap();
        }
        fs::write(common.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(common.join("config"), config).unwrap();
        Repository::at(&top.canonicalize().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn remotes_are_read_with_all_their_addresses() {
        let found = Remotes::parse(TEXT.as_bytes()).unwrap();
        let origin = &found.all["origin"];
        assert_eq!((origin.urls.join(" "), origin.push_urls.join(" ")), ("a b".to_owned(), "d".to_owned()));
        assert!(found.all.contains_key("with \"quote"));
        assert_eq!(found.followed_by("topic"), Some(("origin", "other")));
        assert_eq!((found.followed_by("local"), found.followed_by("none")), (None, None));
    }

    #[test]
    fn branch_takes_given_values_and_keeps_the_others() {
        let scratch = crate::scratch::Scratch::new();
        let found = repository(scratch.path(), TEXT.trim_end());
        assert!(found.follow("to\"pic", ("origin", "refs/heads/x"), "1").unwrap());
        assert!(!found.follow("topic", ("origin", "refs/heads/x"), "2").unwrap());
        assert!(found.follow("topic", ("origin", "refs/heads/other"), "3").unwrap());
        let now = Remotes::of(&found).unwrap();
        assert_eq!(now.followed_by("to\"pic"), Some(("origin", "x")));
        assert_eq!(now.followed_by("topic"), Some(("origin", "other")));
        let mut names: Vec<_> = fs::read_dir(&found.common).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["HEAD", "config", "objects", "refs"]);
    }

    #[test]
    fn locked_configuration_is_kept_and_a_stale_lock_removed() {
        let scratch = crate::scratch::Scratch::new();
        let found = repository(scratch.path(), TEXT);
        let lock = found.common.join(LOCK);
        fs::write(&lock, "").unwrap();
        let error = found.follow("new", ("origin", "refs/heads/x"), "1").unwrap_err().to_string();
        assert!(error.contains("config.lock"), "{error}");
        clean_up_upstream(&found.common, "1").unwrap();
        assert!(lock.exists(), "it is somebody else's");
        fs::remove_file(&lock).unwrap();
        fs::write(found.common.join("config.rs-worker-1"), "x").unwrap();
        fs::hard_link(found.common.join("config.rs-worker-1"), &lock).unwrap();
        clean_up_upstream(&found.common, "1").unwrap();
        assert!(!lock.exists() && !found.common.join("config.rs-worker-1").exists());
        assert_eq!(fs::read_to_string(found.common.join("config")).unwrap(), TEXT);
    }
}
