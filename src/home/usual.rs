//! The parts of the home directory that every sandbox shows: toolchains and git's settings, without credentials.

use super::HomeEntry;

/// The entries. A later one wins over an earlier one that it is below of.
const ENTRIES: &[&str] = &[
    ".gitconfig",
    ".config/git/*",
    ".config/git/credentials:own",
    ".local/*",
    ".local/share:own",
    ".local/state:own",
    // Installers of programs in `~/.local/bin` keep the programs themselves here; all else in it is data and secrets.
    ".local/share/claude",
    ".local/share/fnm",
    ".local/share/hatch",
    ".local/share/mise",
    ".local/share/npm",
    ".local/share/pipx",
    ".local/share/pnpm",
    ".local/share/pyenv",
    ".local/share/rtx",
    ".local/share/uv",
    ".local/share/uv/credentials:own",
    ".local/share/virtualenvs",
    ".asdf",
    ".bun/*",
    ".bun/install:own",
    ".bun/install/global",
    ".cargo/*",
    ".cargo/credentials:own",
    ".cargo/credentials.toml:own",
    ".cargo/git:own",
    ".cargo/registry:own",
    ".deno/bin",
    ".fnm",
    ".npm-global",
    ".npm-packages",
    ".nvm",
    ".nvm/.cache:own",
    ".opencode/bin",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".sdkman",
    ".volta",
    "go/*",
    "go/pkg:own",
];

/// Entries that every sandbox shows.
pub(crate) fn usual() -> Vec<HomeEntry> {
    ENTRIES.iter().filter_map(|entry| HomeEntry::parse(entry).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_usual_entries_can_be_read_and_none_is_writable() {
        assert_eq!(usual().len(), ENTRIES.len());
        assert!(usual().iter().all(|entry| entry.access != super::super::Access::Shared));
    }
}
