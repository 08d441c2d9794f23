//! `gh` and `glab`, the services' own programs, with which the server's user is logged in. Each is asked by its `api` command:
//! the words of a request go to its stdin, and it needs no repository.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::address::without_users;
use super::forge::{Forge, ForgeRepository, PullRequestDraft};
use crate::percent;
use crate::probe::find_binary;
use crate::subprocess::{self, ChildEnd, ProgramOutcome};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{GitBudget, empty_place, environment_of_person};
use crate::worker::place::land::blocked::blocked;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Characters of a service's words that an error repeats.
const WORDS_MAX: usize = 1000;
/// Variables of the server's environment that are keys for one host alone.
const GITHUB_TOKENS: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];
/// The same for the host that `GH_HOST` names.
const ENTERPRISE_TOKENS: [&str; 2] = ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];
/// The same for the host that `GITLAB_HOST` names, or else gitlab.com: `glab` would send them to any host.
const GITLAB_TOKENS: [&str; 3] = ["GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "OAUTH_TOKEN"];
/// Places of the programs' settings.
const SETTINGS: [&str; 2] = ["GH_CONFIG_DIR", "GLAB_CONFIG_DIR"];
/// Keeps both from questions, pages, colours and looks for newer versions.
const QUIET: [(&str, &str); 7] = [
    ("GH_PROMPT_DISABLED", "1"),
    ("GH_NO_UPDATE_NOTIFIER", "1"),
    ("GH_NO_EXTENSION_UPDATE_NOTIFIER", "1"),
    ("GLAB_CHECK_UPDATE", "false"),
    ("NO_PROMPT", "1"),
    ("NO_COLOR", "1"),
    ("PAGER", "cat"),
];

/// One of the programs, for one host.
pub(in crate::worker) struct ForgeCli {
    forge: Forge,
    name: &'static str,
    program: PathBuf,
    host: String,
}

impl ForgeCli {
    /// Finds the program of a service. One that is in one of the folders `not_in` could be an agent's, and is passed over.
    pub(in crate::worker) fn find(forge: Forge, place: &ForgeRepository, not_in: &[&Path]) -> Option<Self> {
        let name = match forge {
            Forge::GitHub => "gh",
            Forge::GitLab => "glab",
            Forge::Gitea | Forge::Bitbucket => return None,
        };
        let program = find_binary(name, std::env::var_os("PATH").as_deref()).ok()?;
        let real = program.canonicalize().ok()?;
        if not_in.iter().any(|folder| real.starts_with(folder) || program.starts_with(folder)) {
            log::warn!("{} is in a worker's folder, and is not run", program.display());
            return None;
        }
        Some(Self { forge, name, program, host: place.host.clone() })
    }

    /// Its name.
    pub(in crate::worker) const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether its user has a key for the host. Asks no other machine.
    pub(in crate::worker) fn is_logged_in(&self, budget: &GitBudget<'_>) -> bool {
        let args: [&str; 5] = match self.forge {
            Forge::GitLab => ["config", "get", "token", "--host", &self.host],
            _ => ["auth", "token", "--hostname", &self.host, ""],
        };
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let asked = self.run(&args, None, budget);
        // The key itself is read over.
        asked.is_ok_and(|found| found.end == ChildEnd::Exited(0) && !found.stdout.trim_ascii().is_empty())
    }

    /// The address of an open pull request of these branches.
    pub(in crate::worker) fn existing(
        &self,
        place: &ForgeRepository,
        draft: &PullRequestDraft,
        budget: &GitBudget<'_>,
    ) -> Result<Option<String>, WorkerError> {
        let (branch, into) = (percent::encode(&draft.branch), percent::encode(&draft.into));
        let query = match place.owner_and_name().filter(|_| self.forge == Forge::GitHub) {
            Some((owner, _)) => {
                format!(
                    "state=open&per_page=1&base={into}&head={}",
                    percent::encode(&format!("{owner}:{}", draft.branch))
                )
            }
            None => format!("state=opened&per_page=1&source_branch={branch}&target_branch={into}"),
        };
        let answer = self.api("GET", &format!("{}?{query}", self.list(place)?), None, budget)?;
        Ok(answer.get(0).and_then(|found| self.page_of(found)))
    }

    /// Opens a pull request. `scratch` is a folder of ours.
    pub(in crate::worker) fn create(
        &self,
        place: &ForgeRepository,
        draft: &PullRequestDraft,
        (scratch, budget): (&Path, &GitBudget<'_>),
    ) -> Result<String, WorkerError> {
        let PullRequestDraft { branch, into, title, body, is_draft } = draft;
        let fields = if self.forge == Forge::GitHub {
            json!({"title": title, "body": body, "head": branch, "base": into, "draft": is_draft})
        } else {
            let title = if *is_draft { format!("Draft: {title}") } else { title.clone() };
            json!({"title": title, "description": body, "source_branch": branch, "target_branch": into})
        };
        let file = scratch.join("pull-request");
        fs::write(&file, fields.to_string())?;
        let answer = self.api("POST", &self.list(place)?, Some(File::open(&file)?), budget)?;
        let missing = || self.failed("it has not said where the pull request is");
        self.page_of(&answer).ok_or_else(missing)
    }

    /// The path of a repository's pull requests in the service's API.
    fn list(&self, place: &ForgeRepository) -> Result<String, WorkerError> {
        if self.forge == Forge::GitLab {
            return Ok(format!("projects/{}/merge_requests", percent::encode(&place.path.join("/"))));
        }
        let (owner, name) = place.owner_and_name().ok_or_else(|| self.failed("the address is not OWNER/NAME"))?;
        Ok(format!("repos/{}/{}/pulls", percent::encode(owner), percent::encode(name)))
    }

    fn page_of(&self, answer: &Value) -> Option<String> {
        let field = if self.forge == Forge::GitHub { "html_url" } else { "web_url" };
        let url = answer[field].as_str().filter(|url| !url.contains(char::is_control))?;
        (url.starts_with("https://") || url.starts_with("http://")).then(|| url.to_owned())
    }

    /// Asks the service, and reads its answer.
    fn api(&self, method: &str, path: &str, input: Option<File>, budget: &GitBudget<'_>) -> Result<Value, WorkerError> {
        let mut args = vec!["api", "--hostname", &self.host, "--method", method];
        if input.is_some() {
            args.extend(["--header", "Content-Type: application/json", "--input", "-"]);
        }
        args.push(path);
        let ProgramOutcome { stdout, stderr, end } = self.run(&args, input, budget)?;
        let answer: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        match end {
            ChildEnd::Exited(0) if !answer.is_null() => Ok(answer),
            ChildEnd::Exited(_) | ChildEnd::Cut | ChildEnd::Signaled(_) => {
                let said = words_of(&answer);
                let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
                Err(self.failed(if said.is_empty() { &stderr } else { &said }))
            }
            ChildEnd::TimedOut | ChildEnd::Stopped => {
                Err(WorkerError::Unavailable(format!("{} has not answered in time; try again", self.name)))
            }
        }
    }

    fn failed(&self, words: &str) -> WorkerError {
        let words: String = without_users(words).chars().take(WORDS_MAX).collect();
        let text = format!("{} could not open the pull request: {words}", self.name);
        blocked("pull_request_failed", text, None)
    }

    fn run(&self, args: &[&str], input: Option<File>, budget: &GitBudget<'_>) -> std::io::Result<ProgramOutcome> {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().envs(environment_of_person()).envs(QUIET).envs(self.keys());
        command.current_dir(empty_place());
        subprocess::run(&mut command, input, budget.until(ANSWER_BYTES_MAX))
    }

    /// The keys and settings in the server's environment that are for this host.
    fn keys(&self) -> Vec<(&'static str, OsString)> {
        let is_named = |name: &str| std::env::var(name).is_ok_and(|host| host.eq_ignore_ascii_case(&self.host));
        let own: &[&'static str] = match self.forge {
            Forge::GitLab => {
                let usual = std::env::var_os("GITLAB_HOST").is_none() && self.host == "gitlab.com";
                if usual || is_named("GITLAB_HOST") { &GITLAB_TOKENS } else { &[] }
            }
            _ if self.host == "github.com" => &GITHUB_TOKENS,
            _ if is_named("GH_HOST") => &ENTERPRISE_TOKENS,
            _ => &[],
        };
        own.iter().chain(&SETTINGS).filter_map(|&name| Some((name, std::env::var_os(name)?))).collect()
    }
}

/// A service's words in an answer that is an error.
fn words_of(answer: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    let errors = answer["errors"].as_array().into_iter().flatten();
    let messages = [&answer["message"], &answer["error"]].into_iter().chain(errors);
    for message in messages {
        match message {
            Value::String(text) => words.push(text.clone()),
            Value::Array(texts) => words.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned)),
            Value::Object(fields) => words.extend(fields.get("message").and_then(Value::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    words.join("; ").chars().filter(|char| !char.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_services_are_put_in_their_own_words() {
        let github = json!({"message": "Validation Failed", "errors": [{"message": "No commits"}, {"code": "x"}]});
        assert_eq!(words_of(&github), "Validation Failed; No commits");
        assert_eq!(words_of(&json!({"message": ["Another one exists"]})), "Another one exists");
        assert_eq!(words_of(&json!([1])), "");
    }
}
