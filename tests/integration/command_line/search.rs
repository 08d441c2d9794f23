//! `search`, `export` and `import`.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{printed, refused, start};
use crate::support::workers::{TestWorker, server_for_programs};

#[test]
fn matches_come_newest_first_with_their_worker() {
    let server = start("search-command", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "finder"}));
    for (turn, text) in ["the first Needle", "another needle", "nothing"].iter().enumerate() {
        worker.say(&server, text);
        worker.wait_turn(&server, turn + 1);
    }
    let reported = printed(&server, &["search", "needle", "--kind", "user"]);
    let lines: Vec<&str> = reported.lines().collect();
    assert_eq!(lines.len(), 4, "{reported}");
    assert!(lines[0].contains("  finder  user ") && lines[1] == "    another needle", "{reported}");
    assert_eq!(lines[3], "    the first Needle");
    let one: Value =
        serde_json::from_str(&printed(&server, &["search", "--json", "--limit", "1", "--worker", "finder", "needle"]))
            .unwrap();
    assert_eq!(one["results"].as_array().unwrap().len(), 1);
    assert!(one["next"].is_string());
    assert_eq!(printed(&server, &["search", "no such text anywhere"]), "");
    let (code, reported) = refused(&server, &["search", "x", "--kind", "nonsense"]);
    assert!(code == 1 && reported.contains("kind"), "{code} {reported}");
    assert_eq!(refused(&server, &["search"]).0, 2);
}

#[test]
fn agents_text_cannot_command_the_terminal() {
    let server = start("escapes-command", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "hostile"}));
    worker.say(&server, "before \u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m after");
    worker.wait_turn(&server, 1);
    for command in [&["search", "after"][..], &["logs", "hostile"]] {
        let reported = printed(&server, command);
        let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(reported.contains("after") && !reported.contains(harmful), "{reported:?}");
    }
}

#[test]
fn an_export_is_imported_again() {
    let server = start("import-command", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "keeper"}));
    worker.say(&server, "remember this");
    worker.wait_turn(&server, 1);
    let file = server.dir().join("keeper.jsonl");
    std::fs::write(&file, printed(&server, &["export", "keeper", "jsonl"])).unwrap();
    let elsewhere = server.project_named("other");
    let id = printed(&server, &["import", file.to_str().unwrap(), "--project", elsewhere.to_str().unwrap()]);
    assert!(printed(&server, &["logs", id.trim()]).contains("remember this"));
    assert_ne!(id.trim(), worker.id);
    std::fs::write(&file, "{\"records\": [{\"time\": 1, \"kind\": \"out\", \"text\": \"x\"}]}").unwrap();
    let (code, reported) = refused(&server, &["import", file.to_str().unwrap()]);
    assert!(code == 1 && reported.contains("line 1"), "{code} {reported}");
    let (code, reported) = refused(&server, &["import", "nowhere.jsonl"]);
    assert!(code == 1 && reported.contains("nowhere.jsonl"), "{code} {reported}");
}

#[test]
fn a_long_export_is_sent_in_little_memory() {
    const LINES: usize = 3_000;
    let mut server = server_for_programs("import-long-command", &[]);
    server.start();
    let created = json!({"type": "created", "worker_id": "w", "name": "long", "project_path": server.project(), "ai_cli_type": "claude"});
    let record =
        |kind: &str, text: &str| json!({"records": [{"time": 1, "kind": kind, "text": text}]}).to_string() + "\n";
    let line = record("err", &"x".repeat(32 * 1024));
    let file = server.dir().join("long.jsonl");
    fs::write(&file, record("ctl", &created.to_string()) + &line.repeat(LINES)).unwrap();
    // A third of the file.
    server.set_under(&["sh", "-c", "ulimit -d 32768; exec \"$0\" \"$@\""]);
    let path = file.to_str().unwrap();
    for input in [Stdio::null(), fs::File::open(&file).unwrap().into()] {
        let from = if server.worker_ids().is_empty() { path } else { "-" };
        let output = server.command(["import", from]).stdin(input).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let id = String::from_utf8(output.stdout).unwrap();
        let journal = fs::read_to_string(server.data_dir().join(id.trim()).join("journal")).unwrap();
        assert_eq!(journal.lines().count(), LINES + 2, "header, making and lines");
    }
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"kind\":\"err\"", "\"kind\":\"odd\"", 1)).unwrap();
    let (code, reported) = refused(&server, &["import", path]);
    assert!(code == 1 && reported.contains("line 2: no kind of record"), "{code} {reported}");
    assert_eq!(server.worker_ids().len(), 2);
}
