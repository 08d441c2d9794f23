//! All adapters of this server, by the type that workers name: those built in and those that files declare.
//!
//! `ENABLED_AI_CLIS` says which of the built-in ones may be used; without it every one whose program is found. A declared adapter is enabled by its file being there:
//! remove the file to disable the adapter.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::declared::DeclaredAdapter;
use super::{Adapter, Cli};
use crate::probe::{self, ProbeTarget, Probes};

/// Longest that a list waits for programs that are still looked for; those that take longer are listed as such.
pub(crate) const LIST_WAIT: Duration = Duration::from_secs(2);

/// The reason that there is no adapter for a type. The messages are those that the API gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KindError {
    /// No adapter has this type.
    Unknown {
        /// The type that was asked for.
        kind: String,
        /// The types that could have been.
        known: Vec<String>,
    },
    /// A built-in adapter has it, and is not enabled.
    Disabled {
        /// The type that was asked for.
        kind: String,
    },
}

impl fmt::Display for KindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { kind, known } => write!(f, "unknown CLI type: {kind} (known: {})", known.join(", ")),
            Self::Disabled { kind } => write!(
                f,
                "CLI type is disabled: {kind} (add it to ENABLED_AI_CLIS, or unset that to enable every CLI that is found)"
            ),
        }
    }
}

impl std::error::Error for KindError {}

/// All adapters. Built once at the start, and only read after that.
pub(crate) struct AdapterRegistry {
    entries: Vec<RegistryEntry>,
    default: String,
    /// True if a built-in one counts as enabled only while its program is there.
    only_found: bool,
    problems: Vec<String>,
    /// The demo agent, which is in no list of CLIs.
    demo: Option<Arc<dyn Adapter>>,
}

struct RegistryEntry {
    adapter: Arc<dyn Adapter>,
    enabled: bool,
    wanted: ProbeTarget,
    declared_in: Option<PathBuf>,
}

/// One adapter as `GET /api/ai-clis` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CliSummary {
    /// The type that workers name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name that people read.
    pub name: String,
    /// The program, by name or path.
    pub binary: String,
    /// Its version, where it is known.
    pub version: Option<String>,
    /// True if workers may use it.
    pub enabled: bool,
    /// One sentence.
    pub description: String,
    /// See [`Cli`].
    pub config_options: Vec<Value>,
    /// True if the program was found; `null` while it is looked for.
    pub installed: Option<bool>,
    /// The reason that it cannot be used now, when it cannot.
    pub reason: Option<String>,
    /// Instructions for installing it.
    pub install: String,
    /// See [`Cli`].
    pub capabilities: Vec<String>,
}

impl AdapterRegistry {
    /// Puts the adapters together: built-in ones first, in their order. `enabled` holds the types of `ENABLED_AI_CLIS`, if
    /// it is set, `default` that of `DEFAULT_AI_CLI`. What does not fit is returned by [`AdapterRegistry::problems`].
    pub(crate) fn new(
        built_in: Vec<Arc<dyn Adapter>>,
        declared: Vec<Arc<DeclaredAdapter>>,
        enabled: Option<&[String]>,
        default: &str,
    ) -> Self {
        let version = Some(vec!["--version".to_owned()]);
        let built_in = built_in.into_iter().map(|adapter| {
            let Cli { kind, binary, .. } = adapter.cli();
            let wanted = ProbeTarget { binary: binary.clone(), version_args: version.clone() };
            let enabled = enabled.is_none_or(|enabled| enabled.contains(kind));
            RegistryEntry { enabled, wanted, adapter, declared_in: None }
        });
        let declared = declared.into_iter().map(|adapter| {
            let version_args = adapter.version_args().map(<[String]>::to_vec);
            let wanted = ProbeTarget { binary: adapter.cli().binary.clone(), version_args };
            RegistryEntry { enabled: true, wanted, declared_in: Some(adapter.path().to_owned()), adapter }
        });
        let mut registry = Self {
            entries: built_in.chain(declared).collect(),
            default: default.to_owned(),
            only_found: enabled.is_none(),
            problems: Vec::new(),
            demo: None,
        };
        registry.problems = registry.mistakes(enabled.unwrap_or_default());
        registry
    }

    /// Adds the demo agent: workers can name it, and no list has it. A type of the same name comes before it.
    pub(crate) fn with_demo(mut self, demo: Arc<dyn Adapter>) -> Self {
        self.demo = Some(demo);
        self
    }

    /// The demo agent, where this server offers it.
    pub(crate) fn demo(&self) -> Option<&Arc<dyn Adapter>> {
        self.demo.as_ref().filter(|demo| self.entry(&demo.cli().kind).is_none())
    }

    fn mistakes(&self, enabled: &[String]) -> Vec<String> {
        let known = self.kinds().join(", ");
        let unknown = enabled.iter().filter(|kind| !self.kinds().contains(&kind.as_str()));
        let mut mistakes: Vec<String> =
            unknown.map(|kind| format!("ENABLED_AI_CLIS: unknown CLI type: {kind} (known: {known})")).collect();
        if let Err(error) = self.get(&self.default) {
            mistakes.push(format!("DEFAULT_AI_CLI: {error}"));
        }
        mistakes
    }

    /// The adapter of a type, when workers may use it.
    ///
    /// # Errors
    /// Fails when no adapter has the type, or it is not enabled.
    pub(crate) fn get(&self, kind: &str) -> Result<Arc<dyn Adapter>, KindError> {
        match self.entry(kind) {
            Some(entry) if entry.enabled => Ok(Arc::clone(&entry.adapter)),
            Some(_) => Err(KindError::Disabled { kind: kind.to_owned() }),
            None => self.find(kind).ok_or_else(|| KindError::Unknown {
                kind: kind.to_owned(),
                known: self.kinds().into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// The adapter of a type also when it is not enabled: workers that exist are still shown, folded and stopped.
    pub(crate) fn find(&self, kind: &str) -> Option<Arc<dyn Adapter>> {
        let demo = self.demo().filter(|demo| demo.cli().kind == kind);
        self.entry(kind).map(|entry| &entry.adapter).or(demo).map(Arc::clone)
    }

    fn entry(&self, kind: &str) -> Option<&RegistryEntry> {
        self.entries.iter().find(|entry| entry.adapter.cli().kind == kind)
    }

    /// All types, built-in ones first.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.adapter.cli().kind.as_str()).collect()
    }

    /// The types that workers may use. One that is still being looked for is among them.
    pub(crate) fn enabled_kinds(&self, probes: &Probes) -> Vec<&str> {
        let is_missing =
            |entry: &RegistryEntry| probes.get(&entry.wanted, Duration::ZERO).is_some_and(|found| found.path.is_err());
        let counts = |entry: &&RegistryEntry| {
            entry.enabled && !(self.only_found && entry.declared_in.is_none() && is_missing(entry))
        };
        self.entries.iter().filter(counts).map(|entry| entry.adapter.cli().kind.as_str()).collect()
    }

    /// Names of environment variables that hold a secret of some CLI, with the type that may see it.
    pub(crate) fn secret_env(&self) -> Vec<(String, &str)> {
        let secrets = |entry: &RegistryEntry| entry.adapter.secret_env();
        let pairs = self.entries.iter().map(|entry| (entry.adapter.cli().kind.as_str(), secrets(entry)));
        pairs.flat_map(|(kind, names)| names.into_iter().map(move |name| (name, kind))).collect()
    }

    /// Names of environment variables that hold a secret of a CLI other than that of the type `kind`.
    pub(crate) fn secrets_of_others(&self, kind: &str) -> Vec<String> {
        self.secret_env().into_iter().filter(|(_, owner)| *owner != kind).map(|(name, _)| name).collect()
    }

    /// The file that declares a type; `None` when it is built in.
    pub(crate) fn declared_in(&self, kind: &str) -> Option<PathBuf> {
        self.entry(kind)?.declared_in.clone()
    }

    /// The contradictions in `ENABLED_AI_CLIS` and `DEFAULT_AI_CLI`, for the start-up's output.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The programs to look for, as [`Probes::start`] takes them.
    pub(crate) fn wanted(&self) -> Vec<ProbeTarget> {
        self.entries.iter().map(|entry| entry.wanted.clone()).collect()
    }

    /// All adapters with what is known of their programs, after at most [`LIST_WAIT`].
    pub(crate) fn list(&self, probes: &Probes) -> Vec<CliSummary> {
        self.list_within(probes, LIST_WAIT)
    }

    /// Works like [`AdapterRegistry::list`], and returns after at most `wait`.
    pub(crate) fn list_within(&self, probes: &Probes, wait: Duration) -> Vec<CliSummary> {
        let deadline = Instant::now() + wait;
        let left = || deadline.saturating_duration_since(Instant::now());
        self.entries.iter().map(|entry| entry.listed(probes, left())).collect()
    }
}

impl RegistryEntry {
    fn listed(&self, probes: &Probes, wait: Duration) -> CliSummary {
        let cli = self.adapter.cli();
        let found = probes.get(&self.wanted, wait);
        let missing = match &found {
            None => Some(format!("{} is still being looked for", cli.binary)),
            Some(found) => found.path.as_ref().err().map(|error| match cli.install.as_str() {
                "" => error.to_string(),
                install => format!("{error}; to install it: {install}"),
            }),
        };
        let too_old = found.as_ref().and_then(|found| found.version.as_deref()).and_then(|version| {
            let oldest = self.adapter.oldest_version().filter(|oldest| probe::is_older(version, oldest))?;
            Some(format!(
                "{} {version} is too old: {oldest} or later is needed; to update it: {}",
                cli.binary, cli.install
            ))
        });
        let disabled = (!self.enabled).then(|| KindError::Disabled { kind: cli.kind.clone() }.to_string());
        CliSummary {
            kind: cli.kind.clone(),
            name: cli.name.clone(),
            binary: cli.binary.clone(),
            version: found.as_ref().and_then(|found| found.version.clone()),
            enabled: self.enabled,
            description: cli.description.clone(),
            config_options: cli.config_options.clone(),
            installed: found.as_ref().map(|found| found.path.is_ok()),
            reason: disabled.or(missing).or(too_old),
            install: cli.install.clone(),
            capabilities: cli.capabilities.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(120);
    const DISABLED: &str =
        "CLI type is disabled: opencode (add it to ENABLED_AI_CLIS, or unset that to enable every CLI that is found)";

    fn adapter(kind: &str, binary: &str) -> Arc<DeclaredAdapter> {
        let file = json!({"type": kind, "name": "N", "family": "text", "command": [binary], "install": "get it",
            "secret_env": [format!("{kind}_KEY")]});
        Arc::new(DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/adapters/x.json")).unwrap())
    }

    fn registry(enabled: &[&str], default: &str) -> AdapterRegistry {
        // Any adapter will do as a built-in one here.
        let built_in: Vec<Arc<dyn Adapter>> = vec![adapter("claude", "sh"), adapter("opencode", "no-such-program")];
        let enabled: Vec<String> = enabled.iter().map(|kind| (*kind).to_owned()).collect();
        AdapterRegistry::new(built_in, vec![adapter("echo", "cat")], Some(&enabled), default)
    }

    #[test]
    fn enabled_and_declared_types_resolve_and_others_give_the_reason() {
        let registry = registry(&["claude"], "claude");
        assert_eq!(registry.get("claude").map(|found| found.cli().kind.clone()), Ok("claude".to_owned()));
        assert_eq!(registry.get("echo").map(|found| found.cli().kind.clone()), Ok("echo".to_owned()));
        assert_eq!(registry.enabled_kinds(&Probes::start([], None)), ["claude", "echo"]);
        let error = registry.get("opencode").err().unwrap().to_string();
        assert_eq!(error, DISABLED);
        let error = registry.get("x").err().unwrap().to_string();
        assert_eq!(error, "unknown CLI type: x (known: claude, opencode, echo)");
        assert!(registry.find("opencode").is_some() && registry.find("x").is_none());
        assert!(registry.problems().is_empty());
        assert_eq!(registry.secret_env()[2], ("echo_KEY".to_owned(), "echo"));
    }

    #[test]
    fn settings_that_name_unknown_or_disabled_types_are_reported() {
        let registry = registry(&["claude", "gone", "echo"], "opencode");
        assert_eq!(
            registry.problems(),
            [
                "ENABLED_AI_CLIS: unknown CLI type: gone (known: claude, opencode, echo)",
                &format!("DEFAULT_AI_CLI: {DISABLED}"),
            ]
        );
    }

    #[test]
    fn list_has_every_type_with_the_reason_it_is_unusable() {
        let registry = registry(&["claude"], "claude");
        let probes = Probes::start(registry.wanted(), Some("/usr/bin:/bin".as_ref()));
        let listed = registry.list_within(&probes, DEADLINE);
        assert_eq!(listed.len(), 3);
        let usable = |at: usize| (listed[at].enabled, listed[at].installed, listed[at].reason.as_deref());
        assert_eq!(usable(0), (true, Some(true), None));
        assert_eq!(usable(1), (false, Some(false), Some(DISABLED)));
        assert_eq!(usable(2), (true, Some(true), None));
        let json = serde_json::to_value(&listed[2]).unwrap();
        assert_eq!(
            json,
            json!({"type": "echo", "name": "N", "binary": "cat", "version": null, "enabled": true, "description": "",
                "config_options": [], "installed": true, "reason": null, "install": "get it", "capabilities": []})
        );
    }

    #[test]
    fn every_cli_that_is_found_is_enabled_by_default() {
        let built_in: Vec<Arc<dyn Adapter>> = vec![adapter("claude", "sh"), adapter("opencode", "no-such-program")];
        let registry = AdapterRegistry::new(built_in, vec![adapter("echo", "no-such-program")], None, "claude");
        let probes = Probes::start(registry.wanted(), Some("/usr/bin:/bin".as_ref()));
        let listed = registry.list_within(&probes, DEADLINE);
        assert_eq!(registry.enabled_kinds(&probes), ["claude", "echo"], "a declared one is wanted by its file");
        let reason = "no-such-program was not found on PATH; to install it: get it";
        assert_eq!((listed[1].enabled, listed[1].reason.as_deref()), (true, Some(reason)));
        assert!(registry.get("opencode").is_ok() && registry.problems().is_empty());
    }

    /// Any adapter that needs a version.
    struct Picky(Arc<DeclaredAdapter>);

    impl Adapter for Picky {
        fn cli(&self) -> &Cli {
            self.0.cli()
        }
        fn oldest_version(&self) -> Option<&str> {
            Some("2.10.0")
        }
        fn launch(
            &self,
            request: &crate::adapter::LaunchRequest<'_>,
        ) -> Result<crate::adapter::Launch, crate::adapter::Refusal> {
            self.0.launch(request)
        }
        fn open(&self) -> Box<dyn crate::adapter::Session> {
            self.0.open()
        }
        fn restore(&self, saved: &Value) -> Option<Box<dyn crate::adapter::Session>> {
            self.0.restore(saved)
        }
    }

    #[test]
    fn outdated_program_is_reported_with_its_version_and_the_update() {
        let dir = crate::scratch::Scratch::new();
        let program = dir.path().join("cli");
        let reasons = ["2.9.7", "2.10.0"].map(|version| {
            std::fs::write(&program, format!("#!/bin/sh\necho {version}\n")).unwrap();
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
            let picky: Arc<dyn Adapter> = Arc::new(Picky(adapter("picky", program.to_str().unwrap())));
            let registry = AdapterRegistry::new(vec![picky], Vec::new(), None, "picky");
            let probes = Probes::start(registry.wanted(), None);
            let listed = registry.list_within(&probes, DEADLINE).remove(0);
            assert_eq!((listed.version.as_deref(), listed.installed), (Some(version), Some(true)));
            listed.reason
        });
        let old = format!("{} 2.9.7 is too old: 2.10.0 or later is needed; to update it: get it", program.display());
        assert_eq!(reasons, [Some(old), None]);
    }

    #[test]
    fn a_missing_program_is_reported_as_the_reason() {
        let registry = registry(&["claude", "opencode"], "claude");
        let probes = Probes::start(registry.wanted(), Some("/usr/bin:/bin".as_ref()));
        let listed = registry.list_within(&probes, DEADLINE);
        assert_eq!(listed[1].reason.as_deref(), Some("no-such-program was not found on PATH; to install it: get it"));
        let nothing = Probes::start([], None);
        let listed = registry.list_within(&nothing, Duration::ZERO);
        assert_eq!((listed[0].installed, listed[0].reason.as_deref()), (None, Some("sh is still being looked for")));
    }
}
