//! The files and folders of the home directory that a sandbox shows: the default ones, the CLI's, and those that
//! `SANDBOX_HOME` changes.

use std::path::{Path, PathBuf};

use crate::home::{Access, HomeChange, HomeEntry, usual};

/// Maximum number of files and folders that one `/*` expands to.
const CHILDREN_MAX: usize = 500;

/// Environment variables that move a part of the home directory elsewhere. In a sandbox each is at its default path
/// again.
const MOVED: [(&str, &str); 11] = [
    (".config", "XDG_CONFIG_HOME"),
    (".local/share", "XDG_DATA_HOME"),
    (".local/state", "XDG_STATE_HOME"),
    (".claude", "CLAUDE_CONFIG_DIR"),
    (".codex", "CODEX_HOME"),
    (".cargo", "CARGO_HOME"),
    (".rustup", "RUSTUP_HOME"),
    (".nvm", "NVM_DIR"),
    (".bun", "BUN_INSTALL"),
    (".pyenv", "PYENV_ROOT"),
    ("go", "GOPATH"),
];

/// The entries of the home directory that all CLIs' sandboxes show.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    home: Option<PathBuf>,
    /// Parts at another path, the longest path first.
    moved: Vec<(&'static str, PathBuf)>,
    changes: Vec<HomeChange>,
}

impl Entries {
    /// Reads the entries from the configuration. `variable` reads an environment variable.
    pub(super) fn new(
        changes: Vec<HomeChange>,
        home: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let mut moved: Vec<_> = MOVED.iter().filter_map(|(path, name)| Some((*path, set(name)?))).collect();
        // Gemini CLI's variable names the parent of its folder.
        moved.extend(set("GEMINI_CLI_HOME").map(|home| (".gemini", home.join(".gemini"))));
        // Claude Code keeps this file inside its folder when the folder has been moved.
        moved.extend(set("CLAUDE_CONFIG_DIR").map(|folder| (".claude.json", folder.join(".claude.json"))));
        moved.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { home: home.map(Path::to_owned), moved, changes }
    }

    /// Returns the real place of a path below the home directory; `None` where there is no home directory.
    pub(super) fn source(&self, below: &str) -> Option<PathBuf> {
        for (path, elsewhere) in &self.moved {
            if let Ok(rest) = Path::new(below).strip_prefix(path) {
                return Some(elsewhere.join(rest));
            }
        }
        Some(self.home.as_ref()?.join(below))
    }

    /// Returns the folders that `SANDBOX_HOME` shares with the outside.
    pub(super) fn shared(&self) -> Vec<PathBuf> {
        let shared = self.changes.iter().filter_map(|change| match change {
            HomeChange::Show(entry) if entry.access == Access::Shared => self.source(&entry.path),
            HomeChange::Show(_) | HomeChange::Hide(_) => None,
        });
        shared.collect()
    }

    /// Returns the entries for a CLI with these entries, folders before their contents.
    pub(super) fn of(&self, cli: &[HomeEntry]) -> Vec<HomeEntry> {
        let mut entries: Vec<HomeEntry> = Vec::new();
        let usual = usual();
        for entry in usual.iter().chain(cli) {
            put(&mut entries, entry.clone());
        }
        for change in &self.changes {
            match change {
                HomeChange::Show(entry) => put(&mut entries, entry.clone()),
                HomeChange::Hide(path) => {
                    entries.retain(|entry| !Path::new(&entry.path).starts_with(path));
                    let own = HomeEntry { path: path.clone(), children: false, folder: false, access: Access::Own };
                    put(&mut entries, own);
                }
            }
        }
        let named: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
        let mut shown: Vec<HomeEntry> = entries.into_iter().flat_map(|entry| self.spread(entry, &named)).collect();
        shown.sort_by(|a, b| Path::new(&a.path).cmp(Path::new(&b.path)));
        shown
    }

    /// Expands an entry that ends in `/*` to the contents of its folder, without those that have an entry themselves.
    fn spread(&self, entry: HomeEntry, named: &[String]) -> Vec<HomeEntry> {
        if !entry.children {
            return vec![entry];
        }
        let Some(folder) = self.source(&entry.path).and_then(|folder| folder.read_dir().ok()) else {
            return Vec::new();
        };
        let names = folder.filter_map(|child| child.ok()?.file_name().into_string().ok());
        let paths = names.map(|name| format!("{}/{name}", entry.path)).filter(|path| !named.contains(path));
        let plain = |path| HomeEntry { path, children: false, folder: false, access: entry.access };
        paths.take(CHILDREN_MAX).map(plain).collect()
    }

    /// Refuses a project that contains files that programs outside of the sandbox use.
    pub(super) fn check_project(&self, entries: &[HomeEntry], project: &Path) -> Result<(), String> {
        let real = entries.iter().filter(|entry| entry.access != Access::Own);
        let mut sources = real.filter_map(|entry| self.source(&entry.path)?.canonicalize().ok());
        match sources.find(|source| source.starts_with(project)) {
            None => Ok(()),
            Some(source) => Err(format!(
                "a sandboxed agent may not work in {}: it holds {}, which programs outside of the sandbox use too; use \
                 another folder",
                project.display(),
                source.display()
            )),
        }
    }
}

/// Adds an entry, replacing one with the same path.
fn put(entries: &mut Vec<HomeEntry>, entry: HomeEntry) {
    entries.retain(|other| other.path != entry.path);
    entries.push(entry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn entries(home: &Path, changes: &[&str], variables: &[(&str, &str)]) -> Entries {
        let changes = changes.iter().map(|text| HomeChange::parse(text).unwrap()).collect();
        let find = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        Entries::new(changes, Some(home), &find)
    }

    fn shown(entries: &Entries, cli: &[&str]) -> Vec<(String, Access)> {
        let cli: Vec<HomeEntry> = cli.iter().map(|text| HomeEntry::parse(text).unwrap()).collect();
        entries.of(&cli).into_iter().map(|entry| (entry.path, entry.access)).collect()
    }

    #[test]
    fn credentials_among_toolchains_are_not_shown() {
        let home = Scratch::new();
        for file in ["bin", "env", "credentials.toml", "registry", "config.toml"] {
            std::fs::create_dir_all(home.path().join(".cargo")).unwrap();
            std::fs::write(home.path().join(".cargo").join(file), "").unwrap();
        }
        let shown = shown(&entries(home.path(), &[], &[]), &[]);
        let of = |path: &str| shown.iter().find(|entry| entry.0 == path).map(|entry| entry.1);
        assert_eq!((of(".cargo/bin"), of(".cargo/config.toml")), (Some(Access::ReadOnly), Some(Access::ReadOnly)));
        assert_eq!((of(".cargo/credentials.toml"), of(".cargo/registry")), (Some(Access::Own), Some(Access::Own)));
        assert_eq!(of(".cargo"), None);
    }

    #[test]
    fn settings_add_remove_and_replace_entries() {
        let home = Scratch::new();
        let entries = entries(home.path(), &[".m2:rw", "-.nvm", ".codex/x:ro", "-.mycli"], &[]);
        let shown = shown(&entries, &[".codex/x:rw", ".mycli/sessions/:rw"]);
        let of = |path: &str| shown.iter().find(|entry| entry.0 == path).map(|entry| entry.1);
        assert_eq!((of(".m2"), of(".nvm")), (Some(Access::Shared), Some(Access::Own)));
        assert_eq!((of(".codex/x"), of(".mycli/sessions")), (Some(Access::ReadOnly), None));
        let paths: Vec<&Path> = shown.iter().map(|entry| Path::new(&entry.0)).collect();
        assert!(paths.is_sorted(), "a folder comes before what is in it: {paths:?}");
    }

    #[test]
    fn variables_move_parts_of_the_home_directory() {
        let entries = entries(
            Path::new("/home/me"),
            &[],
            &[("XDG_CONFIG_HOME", "/c"), ("CLAUDE_CONFIG_DIR", "/claude"), ("CODEX_HOME", "relative")],
        );
        for (below, real) in [
            (".config/opencode", "/c/opencode"),
            (".claude/projects", "/claude/projects"),
            (".claude.json", "/claude/.claude.json"),
            (".codex/sessions", "/home/me/.codex/sessions"),
            (".configs", "/home/me/.configs"),
        ] {
            assert_eq!(entries.source(below), Some(PathBuf::from(real)), "{below}");
        }
    }
}
