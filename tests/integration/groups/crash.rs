//! A server that is killed while it makes a group.

use std::path::PathBuf;

use serde_json::json;

use super::{make, two_attempts, workers};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::server_for_programs;
use crate::worktree::crash::wrapped_git;
use crate::worktree::{folder, git, repository_at};

/// Returns a `git` whose second checkout hangs as long as its caller runs.
fn hanging_checkout(server: &mut TestServer) -> PathBuf {
    let script = "case \"$*\" in *read-tree*) ;;\n*) exec \"$real\" \"$@\";; esac\n\
                  if mkdir \"$dir/first\" 2>/dev/null; then exec \"$real\" \"$@\"; fi\n\
                  touch \"$dir/reached\"\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n";
    wrapped_git(server, script);
    server.dir().join("reached")
}

#[test]
fn server_killed_while_making_a_group_completes_it_later() {
    let mut server = server_for_programs("groups-killed", &[]);
    let project = server.project();
    repository_at(&project);
    let reached = hanging_checkout(&mut server);
    server.start();
    let body = two_attempts(&server, &json!({"idempotency_key": "k"}));
    let (client, text) = (server.client.clone(), body.to_string());
    let asking = std::thread::spawn(move || {
        client.try_request("POST", "/api/groups", &[("content-type", "application/json")], text.as_bytes())
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let group = make(&server, &body);
    assert_eq!(server.worker_ids().len(), 2, "one group of two");
    for worker in workers(&group) {
        worker.wait_turn(&server, 1);
        assert_eq!(worker.events_of(&server, "user").len(), 1, "the prompt is sent once");
        assert_eq!(git(&folder(&server, &worker), &["status", "--porcelain"]), "");
    }
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 3);
}
