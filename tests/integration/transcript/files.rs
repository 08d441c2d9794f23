//! Changes of a session's files while they are followed.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use serde_json::json;

use super::{Elsewhere, SESSION, answer, append, builder, follow, notices, prompt, said, wait_said};
use crate::support::require::require_command;
use crate::support::wait::{DEADLINE, eventually, within};
use crate::support::workers::TestWorker;

/// Limit of the server's peak resident memory while it followed a long file, in KiB.
const MEMORY_KIB_MAX: u64 = 150 * 1024;

#[test]
fn followed_session_starts_at_its_first_line_read_only() {
    let server = builder("follow").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&prompt("p1", "first"));
    let worker = follow(&server);
    let shown = worker.wait_status(&server, "busy");
    assert_eq!((&shown["read_only"], &shown["session_id"]), (&json!(true), &json!(SESSION)));
    worker.call(&server, "interrupt").expect(409);
    let mut live = worker.watch(&server);
    let line = answer("a1", "the answer");
    elsewhere.write(&line[..30]);
    elsewhere.write(&line[30..]);
    assert_eq!(live.wait_for_event("assistant", DEADLINE)["content"], "the answer");
    worker.wait_status(&server, "idle");
    assert_eq!(worker.wait_turn(&server, 1)["usage"]["output_tokens"], 2);
    assert_eq!(worker.events_of(&server, "user")[0]["timestamp"], "2026-01-01T00:00:00.000000Z");

    let refused = server.post(&worker.path("/messages"), &json!({"content": "hello"})).expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("take it over"), "{refused}");
    let health = server.get("/api/health").expect(200).json();
    assert_eq!(health["running_workers"], 0, "nothing of it runs here");
}

#[test]
fn restart_neither_loses_nor_repeats_a_line() {
    let mut server = builder("follow-restart").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&(prompt("p1", "1") + &answer("a1", "2")));
    let worker = follow(&server);
    wait_said(&worker, &server, &["1", "2"]);
    server.kill9();
    elsewhere.write(&(prompt("p2", "3") + &answer("a2", "4")[..20]));
    server.start();
    elsewhere.write(&answer("a2", "4")[20..]);
    wait_said(&worker, &server, &["1", "2", "3", "4"]);
    worker.call(&server, "stop").expect(200);
    worker.wait_status(&server, "stopped");
    elsewhere.write(&prompt("p3", "5"));
    server.restart();
    assert_eq!(said(&worker, &server).len(), 4);
    worker.call(&server, "start").expect(200);
    wait_said(&worker, &server, &["1", "2", "3", "4", "5"]);
}

#[test]
fn lines_that_are_repeated_after_a_compaction_are_reported_once() {
    let server = builder("follow-compaction").start();
    let elsewhere = Elsewhere::new(&server);
    let old = prompt("p1", "1") + &answer("a1", "2");
    elsewhere.write(&old);
    let worker = follow(&server);
    wait_said(&worker, &server, &["1", "2"]);
    elsewhere.write(&(old + &prompt("p2", "3") + &answer("a2", "4")));
    wait_said(&worker, &server, &["1", "2", "3", "4"]);
}

#[test]
fn truncated_replaced_or_renamed_file_continues_with_new_lines_only() {
    let server = builder("follow-replaced").start();
    let elsewhere = Elsewhere::new(&server);
    let (one, two, three) = (prompt("p1", "1"), answer("a1", "2"), prompt("p2", "3"));
    elsewhere.write(&format!("{one}{two}"));
    let worker = follow(&server);
    wait_said(&worker, &server, &["1", "2"]);

    fs::write(&elsewhere.path, &one).unwrap();
    eventually(DEADLINE, "it is noticed", || {
        notices(&worker, &server).contains(&json!("transcript_rewritten")).then_some(())
    });
    elsewhere.write(&format!("{two}{three}"));
    wait_said(&worker, &server, &["1", "2", "3"]);

    let new = elsewhere.path.with_extension("new");
    fs::write(&new, format!("{one}{two}{three}{}", answer("a2", "4"))).unwrap();
    fs::rename(&new, &elsewhere.path).unwrap();
    wait_said(&worker, &server, &["1", "2", "3", "4"]);
    assert!(notices(&worker, &server).contains(&json!("transcript_replaced")));

    let folder = server.home().join(".claude/projects/-elsewhere");
    fs::create_dir(&folder).unwrap();
    let moved = folder.join(format!("{SESSION}.jsonl"));
    fs::rename(&elsewhere.path, &moved).unwrap();
    append(&moved, &prompt("p3", "5"));
    wait_said(&worker, &server, &["1", "2", "3", "4", "5"]);
    eventually(DEADLINE, "it is found", || {
        notices(&worker, &server).contains(&json!("transcript_moved")).then_some(())
    });
    append(&moved, &answer("a3", "6"));
    wait_said(&worker, &server, &["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_sub_agents_lines_are_reported_as_its_own() {
    let server = builder("follow-sub-agent").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&prompt("p1", "delegate"));
    let worker = follow(&server);
    wait_said(&worker, &server, &["delegate"]);
    let folder = elsewhere.sub_agents();
    fs::write(folder.join("agent-x.meta.json"), r#"{"agentType":"general","toolUseId":"toolu_1"}"#).unwrap();
    fs::write(folder.join("agent-x.jsonl"), answer("s1", "from the sub-agent")).unwrap();
    let reported = worker.wait_event(&server, "assistant", 1);
    assert_eq!(
        (&reported["content"], &reported["parent_tool_call_id"]),
        (&json!("from the sub-agent"), &json!("toolu_1"))
    );
    assert_eq!(worker.show(&server)["status"], "busy", "the end of a sub-agent's turn is not that of the session's");
    elsewhere.write(&answer("a1", "done"));
    worker.wait_status(&server, "idle");
    assert!(worker.events_of(&server, "assistant")[1]["parent_tool_call_id"].is_null());
}

#[test]
fn session_in_a_project_with_special_characters_needs_no_path() {
    let server = builder("follow-odd").start();
    let project = server.project_named("a b#c%20ü🦀'\"");
    let path = server.home().join(format!(".claude/projects/-odd--/{SESSION}.jsonl"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let line = prompt("p1", "hello there").replace("\"/project\"", &json!(project).to_string());
    fs::write(&path, line).unwrap();
    let listed = server.get("/api/sessions").expect(200).json();
    assert_eq!(listed["sessions"][0]["project_path"], json!(project));
    let made = server.post("/api/workers", &json!({"follow_session": SESSION})).expect(201).json();
    assert_eq!((&made["project_path"], &made["name"]), (&json!(project), &json!("hello there")));
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    wait_said(&worker, &server, &["hello there"]);
    let unknown = json!({"follow_session": "nothing", "name": "n", "project_path": project});
    for body in [unknown, json!({"follow_session": "nothing"})] {
        let refused = server.post("/api/workers", &body).expect(400).json();
        assert!(refused["detail"].as_str().unwrap().contains("session nothing"), "{refused}");
    }
}

#[test]
fn growing_file_of_500_mib_is_followed_in_bounded_memory() {
    let server = builder("follow-long").start();
    let elsewhere = Elsewhere::new(&server);
    let mut file = fs::OpenOptions::new().append(true).open(&elsewhere.path).unwrap();
    let long = "x".repeat(1024 * 1024 - 60);
    for count in 0..500 {
        writeln!(file, r#"{{"type":"file-history-snapshot","n":"{count:03}","snapshot":"{long}"}}"#).unwrap();
    }
    file.write_all(prompt("p1", "after it all").as_bytes()).unwrap();
    let worker = TestWorker::create(&server, "claude", &json!({"follow_session": SESSION}));
    let journal = worker.dir(&server).join("journal");
    let size = || fs::metadata(&journal).unwrap().len();
    let wait = |wanted: &str| {
        // The list is cheap, however long the history is.
        let look = || server.get("/api/workers").expect(200).json()["workers"][0]["status"] == wanted;
        let mut reached = size();
        // On a busy disk it may take minutes, in which the journal grows.
        while !look() {
            let goes_on = within(DEADLINE, || (look() || size() != reached).then_some(()));
            goes_on.unwrap_or_else(|| panic!("not {wanted}: the journal stays at {reached} bytes"));
            reached = size();
        }
    };
    wait("busy");
    file.write_all(answer("a1", "and more").as_bytes()).unwrap();
    wait("idle");
    let last = server.get(&worker.path("/messages?limit=2")).expect(200).json();
    assert!(last.to_string().contains("and more"), "{last}");
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_ascii_whitespace().next().unwrap().parse().unwrap();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
}

#[test]
fn files_are_polled_without_inotify_and_the_worker_reports_it() {
    let none_left = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    let allowed =
        require_command("a user namespace without inotify", unshare.args(["-Ur", "sh", "-c", none_left, "true"]));
    let Some(()) = allowed else { return };
    let server = builder("follow-polled").under(&["unshare", "-Ur", "sh", "-c", none_left]).start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&prompt("p1", "1"));
    let worker = follow(&server);
    wait_said(&worker, &server, &["1"]);
    elsewhere.write(&answer("a1", "2"));
    wait_said(&worker, &server, &["1", "2"]);
    assert!(notices(&worker, &server).contains(&json!("transcript_polled")));
    let shown = worker.show(&server);
    assert!(shown["warning"].as_str().unwrap().contains("max_user_instances"), "{shown}");
}
