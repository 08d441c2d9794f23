//! Runs of git that talk with another machine: with the settings, helpers and keys of the server's user, in a Git directory of
//! ours, by one protocol, and without a question to anybody.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::GitError;
use super::mirror::Git;
use super::person;
use super::run::{GitOutput, SHORT_BYTES, command, run, run_remote};

/// Variables of the server's environment that programs need to reach other machines.
pub(in crate::worker) const NETWORK_ENV: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];
/// Options for `ssh`: it asks nothing, and leaves no connection open that would outlive the command.
const SSH_OPTIONS: &str = "-oBatchMode=yes -oControlMaster=no";

/// A Git directory of ours with the addresses of remotes, as the user's settings rewrite them.
pub(in crate::worker) struct RemoteGit {
    gitdir: PathBuf,
}

impl RemoteGit {
    /// The name by which git knows the remote with this number.
    pub(in crate::worker) fn name(number: usize) -> String {
        format!("rs-worker-remote-{number}")
    }
}

impl Git<'_> {
    /// Makes a Git directory that knows these addresses: each is one that a remote has for both ways, or, if the flag is set,
    /// for pushes alone. They must have no control characters.
    pub(in crate::worker) fn link(&self, addresses: &[(String, bool)]) -> Result<RemoteGit, GitError> {
        let gitdir = self.beside_without_refs("remotes")?;
        let mut config = fs::read_to_string(gitdir.join("config")).map_err(GitError::io("config"))?;
        for (number, (address, for_pushes)) in addresses.iter().enumerate() {
            let quoted = address.replace('\\', "\\\\").replace('"', "\\\"");
            config.push_str(&format!("[remote \"{}\"]\n\turl = \"{quoted}\"\n", RemoteGit::name(number)));
            if *for_pushes {
                config.push_str(&format!("\tpushurl = \"{quoted}\"\n"));
            }
        }
        fs::write(gitdir.join("config"), config).map_err(GitError::io("config"))?;
        let shallow = self.dir().join("shallow");
        if shallow.exists() {
            fs::copy(shallow, gitdir.join("shallow")).map_err(GitError::io("shallow"))?;
        }
        Ok(RemoteGit { gitdir })
    }

    /// The addresses to which pushes go after the user's own rewriting (`url.*.insteadOf`), by their numbers. Nothing is
    /// asked of another machine.
    pub(in crate::worker) fn rewritten(&self, link: &RemoteGit, count: usize) -> Result<Vec<Option<String>>, GitError> {
        let mut command = command(&link.gitdir, &link.gitdir, &["remote", "-v"]);
        person::set_environment(&mut command);
        let answer = run(&mut command, "remote", (None, SHORT_BYTES * 4), &[0], self.budget())?;
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        let of = |number: usize| {
            let name = format!("{}\t", RemoteGit::name(number));
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(&name)?.strip_suffix(" (push)"));
            let first = lines.next()?;
            lines.next().is_none().then(|| first.to_owned())
        };
        Ok((0..count).map(of).collect())
    }

    /// Runs a command of git that talks with another machine, by this protocol alone. Returns its stderr too.
    ///
    /// # Errors
    /// Fails when it exits with another code than these, or not within the budget.
    pub(in crate::worker) fn over_network(
        &self,
        link: &RemoteGit,
        protocol: &str,
        args: &[&str],
        codes: &[i32],
    ) -> Result<(GitOutput, Vec<u8>), GitError> {
        let action = args.first().copied().unwrap_or_default();
        // A redirect would lead the push to a place that nobody has seen.
        let mut all = vec!["-c", "credential.interactive=false", "-c", "http.followRedirects=false"];
        all.extend(args);
        let mut command = command(&link.gitdir, &link.gitdir, &all);
        person::set_environment(&mut command);
        command.envs(NETWORK_ENV.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("GIT_ALLOW_PROTOCOL", protocol).env("GCM_INTERACTIVE", "never");
        if let Some(ssh) = self.ssh_command(link)? {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        run_remote(&mut command, (action, codes), (None, SHORT_BYTES), self.budget())
    }

    /// The user's command for ssh with options of ours; `None` where the user has set a program that does not take them.
    fn ssh_command(&self, link: &RemoteGit) -> Result<Option<String>, GitError> {
        let of_user = |name: &str| {
            let mut ask = command(&link.gitdir, &link.gitdir, &["config", "--get", name]);
            person::set_environment(&mut ask);
            let answer = run(&mut ask, "config", (None, SHORT_BYTES), &[0, 1], self.budget())?;
            let text = String::from_utf8_lossy(&answer.output).trim().to_owned();
            Ok::<_, GitError>(Some(text).filter(|text| answer.code == 0 && !text.is_empty()))
        };
        if of_user("ssh.variant")?.is_some_and(|variant| !matches!(variant.as_str(), "ssh" | "auto")) {
            return Ok(None);
        }
        let program = of_user("core.sshcommand")?.unwrap_or_else(|| "ssh".to_owned());
        Ok(Some(format!("{program} {SSH_OPTIONS}")))
    }
}

/// Gives a program that is not git the environment of the server's user, as far as it needs that to reach another machine.
pub(in crate::worker) fn environment_of_person() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let names = person::PERSON_ENV.iter().chain(&NETWORK_ENV).chain(&super::run::KEPT_ENV);
    names.filter_map(|&name| Some((name, std::env::var_os(name)?)))
}

/// A folder in which a program finds nothing of a project.
pub(in crate::worker) fn empty_place() -> &'static Path {
    Path::new("/")
}
