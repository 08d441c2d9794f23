//! The parts of this machine that a sandbox shows and hides, and their words on a command line.

use serde::Deserialize;

/// One thing that a sandbox lays over what it has laid before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// The file or folder `from` at `to`, to be written.
    Write {
        /// The path on this machine.
        from: String,
        /// The path in the sandbox.
        to: String,
    },
    /// The file or folder `from` at `to`, to be read.
    Read {
        /// The path on this machine.
        from: String,
        /// The path in the sandbox.
        to: String,
    },
    /// An empty folder instead of this one.
    HideFolder(String),
    /// The empty file `with` instead of this one.
    HideFile {
        /// The hidden path.
        path: String,
        /// The path on this machine.
        with: String,
    },
}

impl Mount {
    /// The place where it is in the sandbox.
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::Write { to, .. } | Self::Read { to, .. } => to,
            Self::HideFolder(path) | Self::HideFile { path, .. } => path,
        }
    }
}

/// All that a sandbox lays, in three steps. A runner's own `options` come between the first and the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// The hidden parts of the machine, and the home directory.
    pub home: Vec<Mount>,
    /// The folders that the worker may write.
    pub project: Vec<Mount>,
    /// Paths that no bind may show. They come last, so that nothing is laid over them.
    pub hidden: Vec<Mount>,
    /// Folders of `project` with their device and inode, as in `2049:131`: the sandbox looks whether it has the same ones
    /// before the command runs, since a path may have become a link meanwhile.
    pub identities: Vec<(String, String)>,
}

/// The words with which a runner's program makes one mount; they may have `{from}` and `{to}` in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MountWords {
    /// Words for [`Mount::Write`].
    pub write: Vec<String>,
    /// Words for [`Mount::Read`].
    pub read: Vec<String>,
    /// Words for [`Mount::HideFolder`], with `{to}` alone.
    pub hide_folder: Vec<String>,
    /// Words for [`Mount::HideFile`].
    pub hide_file: Vec<String>,
    /// Folders of the machine that are hidden as a whole.
    pub hides: Vec<String>,
    /// Files of it that only root could read.
    pub hides_files: Vec<String>,
    /// Files and folders in the hidden ones that are shown read-only.
    pub shows: Vec<String>,
}

impl MountWords {
    /// The words of `mounts`, in their order.
    pub(super) fn fill(&self, mounts: &[Mount]) -> Vec<String> {
        let mut argv = Vec::new();
        for mount in mounts {
            let (words, from) = match mount {
                Mount::Write { from, .. } => (&self.write, from.as_str()),
                Mount::Read { from, .. } => (&self.read, from.as_str()),
                Mount::HideFolder(_) => (&self.hide_folder, ""),
                Mount::HideFile { with, .. } => (&self.hide_file, with.as_str()),
            };
            argv.extend(words.iter().map(|word| match word.as_str() {
                "{from}" => from.to_owned(),
                "{to}" => mount.target().to_owned(),
                other => other.to_owned(),
            }));
        }
        argv
    }
}
