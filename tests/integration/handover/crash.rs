//! A server that is killed during a hand-over.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{first_message, with_conversation};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};
use crate::worktree::crash::wrapped_git;
use crate::worktree::{folder, git, repository_at};

/// Returns a `git` whose checkouts hang as long as its caller runs.
fn hanging_checkout(server: &mut TestServer) -> PathBuf {
    let script = "case \"$*\" in *read-tree*) ;;\n*) exec \"$real\" \"$@\";; esac\n\
                  touch \"$dir/reached\"\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n";
    wrapped_git(server, script);
    server.dir().join("reached")
}

#[test]
fn server_killed_during_a_handover_completes_it_after_its_start() {
    let mut server = server_for_programs("handover-killed", &[]);
    let project = server.project();
    repository_at(&project);
    let reached = hanging_checkout(&mut server);
    server.start();
    let first = with_conversation(&server, &json!({}));
    let (client, path) = (server.client.clone(), first.path("/handover"));
    let body = json!({"where": "copy", "as": "file", "text": "Go on."}).to_string();
    let asking = std::thread::spawn(move || {
        client.try_request("POST", &path, &[("content-type", "application/json")], body.as_bytes())
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let id = server.worker_ids().into_iter().find(|id| *id != first.id).expect("the new worker");
    let next = TestWorker { id };
    let said = first_message(&server, &next);
    assert!(said.contains(".rs-worker/handover-") && said.ends_with("Go on."), "{said}");
    next.wait_turn(&server, 1);
    assert_eq!(git(&folder(&server, &next), &["status", "--porcelain"]), "");
    server.restart();
    next.call(&server, "start");
    next.wait_status(&server, "idle");
    assert_eq!(next.events_of(&server, "user").len(), 1, "it is sent once");
}

/// Returns a `git` that hangs once at this subcommand, as long as its caller runs.
fn hanging_at(server: &mut TestServer, command: &str) -> PathBuf {
    let script = format!(
        "case \"$*\" in *'{command}'*) ;;\n*) exec \"$real\" \"$@\";; esac\n\
         [ -e \"$dir/armed\" ] || exec \"$real\" \"$@\"\n\
         touch \"$dir/reached\"\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n"
    );
    wrapped_git(server, &script);
    server.dir().join("reached")
}

/// A server that is killed at this step of a copy has all changes in it after its next start.
fn killed_while_carrying(name: &str, command: &str, later_is_lost: bool) {
    let mut server = server_for_programs(name, &[]);
    let project = server.project();
    repository_at(&project);
    let reached = hanging_at(&mut server, command);
    server.start();
    let first = with_conversation(&server, &json!({}));
    eventually(DEADLINE, "its turn is recorded", || {
        first.controls(&server, "tree_recorded").iter().any(|record| record["at"] == "end").then_some(())
    });
    fs::write(project.join("a.txt"), "changed\n").unwrap();
    fs::write(project.join("new.txt"), "new\n").unwrap();
    let (client, path) = (server.client.clone(), first.path("/handover"));
    fs::write(server.dir().join("armed"), "").unwrap();
    let body = json!({"where": "copy", "text": "Go on."}).to_string();
    let asking = std::thread::spawn(move || {
        client.try_request("POST", &path, &[("content-type", "application/json")], body.as_bytes())
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    // Changed after they were recorded.
    fs::write(project.join("new.txt"), "newer\n").unwrap();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let id = server.worker_ids().into_iter().find(|id| *id != first.id).expect("the new worker");
    let next = TestWorker { id };
    assert!(first_message(&server, &next).contains("that are in the copy, too: 2\n"));
    let copy = folder(&server, &next);
    assert_eq!(fs::read_to_string(copy.join("a.txt")).unwrap(), "changed\n");
    let new = if later_is_lost { "new\n" } else { "newer\n" };
    assert_eq!(fs::read_to_string(copy.join("new.txt")).unwrap(), new);
    assert_eq!(git(&copy, &["status", "--porcelain"]), "M a.txt\n?? new.txt");
    assert_eq!(git(&project, &["status", "--porcelain"]), "M a.txt\n?? new.txt");
    assert!(
        fs::read_dir(&copy)
            .unwrap()
            .flatten()
            .all(|file| !file.file_name().to_string_lossy().starts_with(".rs-worker-"))
    );
}

#[test]
fn server_killed_before_changes_are_recorded_records_them_anew() {
    killed_while_carrying("handover-killed-record", "write-tree", false);
}

#[test]
fn copy_of_a_missing_folder_begins_without_its_changes() {
    let mut server = server_for_programs("handover-killed-gone", &[]);
    let project = server.project();
    repository_at(&project);
    let reached = hanging_at(&mut server, "write-tree");
    server.start();
    let first = with_conversation(&server, &json!({"worktree": true}));
    eventually(DEADLINE, "its turn is recorded", || {
        first.controls(&server, "tree_recorded").iter().any(|record| record["at"] == "end").then_some(())
    });
    let tree = folder(&server, &first);
    fs::write(tree.join("a.txt"), "changed\n").unwrap();
    let (client, path) = (server.client.clone(), first.path("/handover"));
    fs::write(server.dir().join("armed"), "").unwrap();
    let asking = std::thread::spawn(move || {
        client.try_request("POST", &path, &[("content-type", "application/json")], br#"{"where": "copy"}"#)
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    fs::remove_dir_all(&tree).unwrap();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let id = server.worker_ids().into_iter().find(|id| *id != first.id).expect("the new worker");
    let next = TestWorker { id };
    let said = first_message(&server, &next);
    assert!(said.contains("not in the copy: all (the project folder does not exist"), "{said}");
    assert_eq!(git(&folder(&server, &next), &["status", "--porcelain"]), "");
}

#[test]
fn server_killed_while_changes_are_written_writes_the_recorded_ones() {
    killed_while_carrying("handover-killed-write", "checkout-index", true);
}
