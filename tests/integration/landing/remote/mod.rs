//! Pushes and pull requests, with a real sshd, git's own server for HTTP, and the services' real or recorded programs.

mod command_line;
mod crash;
mod hostile;
mod http;
mod pull_request;
mod ssh;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Scene, git};

/// Makes a bare repository beside the project.
fn bare(scene: &Scene, name: &str) -> PathBuf {
    let path = scene.server.dir().join("remotes").join(name);
    std::fs::create_dir_all(&path).unwrap();
    git(&path, &["init", "-q", "--bare"]);
    path
}

/// The commit of a branch of a repository.
#[track_caller]
fn commit_at(repository: &Path, branch: &str) -> String {
    git(repository, &["rev-parse", branch])
}

impl Scene {
    /// The dry run's view of a remote.
    #[track_caller]
    fn remote(&self, name: &str) -> Value {
        let dry = self.dry_run();
        let found = dry["remotes"].as_array().unwrap().iter().find(|remote| remote["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no remote {name}: {dry}"))
    }

    /// A push to a remote at the address that the dry run has, with more fields.
    #[track_caller]
    fn push_body(&self, more: &Value) -> Value {
        let name = more["remote"].as_str().unwrap_or("origin");
        let mut body = json!({"expected_url": self.remote(name)["url"]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[track_caller]
    fn push(&self, more: &Value) -> Value {
        let body = self.push_body(more);
        self.post("/push", &body, 200)
    }

    #[track_caller]
    fn refused_push(&self, more: &Value) -> (String, Value) {
        let body = self.push_body(more);
        self.refused("/push", &body)
    }

    fn add_remote(&self, name: &str, address: &str) {
        git(&self.project, &["remote", "add", name, address]);
    }
}
