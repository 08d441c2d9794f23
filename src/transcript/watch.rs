//! The times of looks at the files: `notify` (inotify) reports changes, and files that it cannot watch are polled.
//!
//! Folders are watched, not files, so that a file which takes another's place is noticed. What `notify` says is only a
//! reason to look: the looking finds out what has happened. So a notice that is lost or comes twice does no harm.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Interval at which watched files are looked at too: network file systems report nothing.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// Time between a failed attempt to add a watch and the next.
const RETRY: Duration = Duration::from_secs(30);

/// Watches folders.
pub(crate) struct Watch {
    wake: Arc<dyn Fn() + Send + Sync>,
    poll: Duration,
    watcher: Option<RecommendedWatcher>,
    /// The watched folders with their inodes: a folder that was made anew is another.
    watched: HashMap<PathBuf, u64>,
    /// The reason why not everything is watched, and the time at which that was found.
    exhausted: Option<(String, Instant)>,
}

impl Watch {
    /// Makes watches that call `wake`, which must not wait, when something may have changed. If the system has none left,
    /// the files are to be looked at every `poll`.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static, poll: Duration) -> Self {
        Self { wake: Arc::new(wake), poll, watcher: None, watched: HashMap::new(), exhausted: None }
    }

    /// Has these folders watched, and no others. Those that are not there are passed over.
    pub(crate) fn keep(&mut self, folders: &[&Path]) {
        let gone: Vec<PathBuf> = self.watched.keys().filter(|old| !folders.contains(&old.as_path())).cloned().collect();
        for folder in gone {
            self.forget(&folder);
        }
        for folder in folders {
            let Ok(metadata) = std::fs::metadata(folder) else {
                self.forget(folder);
                continue;
            };
            if self.watched.get(*folder) == Some(&metadata.ino()) {
                continue;
            }
            self.forget(folder);
            if self.exhausted.as_ref().is_some_and(|(_, since)| since.elapsed() < RETRY) {
                continue;
            }
            self.exhausted = None;
            match self.watch(folder) {
                Ok(()) => drop(self.watched.insert((*folder).to_owned(), metadata.ino())),
                Err(error) => self.note(folder, error),
            }
        }
        if folders.is_empty() {
            // Gives the inotify instance back, of which a user has few.
            (self.watcher, self.exhausted) = (None, None);
        }
    }

    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        if self.watcher.is_none() {
            let wake = Arc::clone(&self.wake);
            self.watcher = Some(notify::recommended_watcher(move |event: notify::Result<Event>| {
                // Reads are reported too, and are not a reason to read again.
                if !matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_))) {
                    wake();
                }
            })?);
        }
        self.watcher.as_mut().map_or(Ok(()), |watcher| watcher.watch(folder, RecursiveMode::NonRecursive))
    }

    fn forget(&mut self, folder: &Path) {
        if self.watched.remove(folder).is_some()
            && let Some(watcher) = &mut self.watcher
            && let Err(error) = watcher.unwatch(folder)
        {
            log::debug!("{}: its watch had ended already: {error}", folder.display());
        }
    }

    fn note(&mut self, folder: &Path, error: notify::Error) {
        if matches!(&error.kind, ErrorKind::PathNotFound) {
            return;
        }
        let why = match &error.kind {
            ErrorKind::MaxFilesWatch => "fs.inotify.max_user_watches is reached".to_owned(),
            ErrorKind::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                "fs.inotify.max_user_watches is reached".to_owned()
            }
            ErrorKind::Io(error) if is_out_of_instances(error) => "fs.inotify.max_user_instances is reached".to_owned(),
            _ => error.to_string(),
        };
        log::warn!("{} cannot be watched ({why}): its files are looked at every {:?}", folder.display(), self.poll);
        self.exhausted = Some((why, Instant::now()));
    }

    /// Returns the reason why some files are polled: `None` when all are watched.
    pub(crate) fn exhausted(&self) -> Option<&str> {
        self.exhausted.as_ref().map(|(why, _)| why.as_str())
    }

    /// Returns the time for which the files need no look unless a change is reported.
    pub(crate) fn pause(&self) -> Duration {
        if self.exhausted.is_some() { self.poll.min(LOOK_ANYWAY) } else { LOOK_ANYWAY }
    }
}

fn is_out_of_instances(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn changes_in_a_watched_folder_wake_and_reads_do_not() {
        let folder = Scratch::new();
        let file = folder.path().join("a");
        std::fs::write(&file, "1").unwrap();
        let (sender, wake) = crossbeam_channel::bounded(1);
        let mut watch = Watch::new(move || sender.try_send(()).unwrap_or_default(), Duration::from_millis(1));
        watch.keep(&[folder.path()]);
        assert_eq!(watch.exhausted(), None);
        std::fs::read(&file).unwrap();
        wake.recv_timeout(Duration::from_millis(100)).unwrap_err();
        std::fs::write(&file, "2").unwrap();
        wake.recv_timeout(Duration::from_secs(10)).unwrap();
        watch.keep(&[]);
        while wake.try_recv().is_ok() {}
        std::fs::write(&file, "3").unwrap();
        wake.recv_timeout(Duration::from_millis(100)).unwrap_err();
    }
}
