//! The places where workers can run: runners, the sandbox, and the server's own files, which agents cannot see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::config::{Config, DOTENV};
use crate::runner::Runners;
use crate::worker::place::sandbox::Sandbox;

/// Name, in a worker's folder, of the file that hides a missing file in a sandbox.
const NOTHING: &str = "nothing";

/// The places where workers may run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The runners.
    pub runners: Runners,
    /// The contents of sandboxes.
    pub sandbox: Sandbox,
    /// The folder of the workers' folders.
    pub data: PathBuf,
    /// The file of a generated token.
    pub token_file: PathBuf,
    /// The file of settings.
    pub env_file: PathBuf,
}

impl Places {
    /// Reads the settings.
    ///
    /// # Errors
    /// Fails when they name a runner that is not declared or not installed; the text says what to do.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let runners = Runners::of(config)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = |program: &str| {
            program.contains('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        if let Some(missing) = runners.all().find(|runner| !found(runner.program())) {
            let (entry, program) = (&missing.entry, missing.program());
            return Err(format!("RUNNER: {entry} needs the program {program}, which is not in PATH: install it"));
        }
        let data = &config.workers_base_dir;
        Ok(Self {
            runners,
            sandbox: Sandbox::new(config, &|name| std::env::var(name).ok())?,
            data: data.canonicalize().map_err(|error| format!("WORKERS_BASE_DIR: {}: {error}", data.display()))?,
            token_file: config.auth_token_file.clone(),
            env_file: config.working_dir.join(DOTENV),
        })
    }

    /// Returns the values that runners may put into their command lines.
    pub(in crate::worker) fn facts(&self, id: &str) -> BTreeMap<&'static str, String> {
        let path = |path: &Path| path.display().to_string();
        let file = |file: &Path| if file.exists() { path(file) } else { path(&self.data.join(id).join(NOTHING)) };
        BTreeMap::from([
            ("home", self.sandbox.home()),
            ("data", path(&self.data)),
            ("token_file", file(&self.token_file)),
            ("env_file", file(&self.env_file)),
            ("uid", Uid::current().to_string()),
            ("gid", Gid::current().to_string()),
            // Podman maps the server's user to itself, which it needs no name space for as root, and refuses there.
            ("userns", if Uid::effective().is_root() { "host" } else { "keep-id" }.to_owned()),
        ])
    }
}
