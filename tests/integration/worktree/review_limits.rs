//! Comments on odd files, on files that change meanwhile, and too many of them; and marks of viewed files.

use std::fs;

use serde_json::{Value, json};

use super::review::{changed, comment, review};
use super::{git, start};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn refused(server: &TestServer, worker: &TestWorker, body: &Value, status: u16) -> Value {
    server.post(&worker.path("/review"), body).expect(status).json()
}

#[test]
fn comments_are_kept_on_unusual_names_line_ends_and_sizes() {
    let server = start("review-odd", &[]);
    let (project, worker) = changed(&server);
    let names = ["ü \"名\".txt", "tab\there.txt", " space ", "new\nline.txt"];
    for name in names {
        fs::write(project.join(name), "one\ntwo\n").unwrap();
    }
    fs::write(project.join("crlf.txt"), "one\r\ntwo words here\r\n").unwrap();
    fs::write(project.join("bin"), b"\0\x01\x02").unwrap();
    fs::write(project.join("long.txt"), format!("{}\n", "x".repeat(100_000))).unwrap();
    fs::write(project.join("deep.txt"), "same\n".repeat(100_000)).unwrap();
    for name in names {
        let it = comment(&server, &worker, &json!({"file": name, "start": 2, "text": "here"}));
        assert_eq!((&it["quoted"], &it["place"]["file"]), (&json!(["two"]), &json!(name)));
    }
    let crlf = comment(&server, &worker, &json!({"file": "crlf.txt", "start": 2, "text": "here"}));
    assert_eq!(crlf["quoted"], json!(["two words here"]));
    let bin = comment(&server, &worker, &json!({"file": "bin", "text": "a binary file"}));
    assert_eq!((&bin["place"]["start"], &bin["state"]), (&Value::Null, &json!("draft")));
    refused(&server, &worker, &json!({"file": "bin", "start": 1, "text": "no line"}), 409);
    let long = comment(&server, &worker, &json!({"file": "long.txt", "start": 1, "text": "long"}));
    assert!(long.to_string().len() < 3_000, "a long line is kept by its hash");
    let deep = comment(&server, &worker, &json!({"file": "deep.txt", "start": 50_000, "text": "deep"}));
    assert_eq!(deep["place"]["start"], 50_000);

    // With other line ends the text is the same, and one of many equal lines is not mistaken for another.
    fs::write(project.join("crlf.txt"), "zero\none\ntwo words here\n").unwrap();
    fs::write(project.join("deep.txt"), "same\n".repeat(100_001)).unwrap();
    fs::write(project.join("long.txt"), format!("first\n{}\n", "x".repeat(100_000))).unwrap();
    let now = review(&server, &worker);
    let of = |name: &str| now.iter().find(|it| it["file"] == name).unwrap();
    assert_eq!(of("crlf.txt")["place"]["start"], 3);
    assert_eq!(of("long.txt")["place"]["start"], 2);
    assert_eq!((&of("deep.txt")["state"], &of("deep.txt")["place"]), (&json!("outdated"), &Value::Null));
    fs::remove_file(project.join("crlf.txt")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", project.join("crlf.txt")).unwrap();
    let now = review(&server, &worker);
    assert_eq!(now.iter().find(|it| it["file"] == "crlf.txt").unwrap()["state"], "outdated", "no link is followed");
}

#[test]
fn comment_on_changed_lines_keeps_what_its_author_saw() {
    let server = start("review-race", &[]);
    let (project, worker) = changed(&server);
    let text = fs::read_to_string(project.join("code.rs")).unwrap();
    fs::write(project.join("code.rs"), text.replace("let changed_by_the_agent", "let again_by_the_agent")).unwrap();
    let body = json!({"file": "code.rs", "start": 10, "text": "Why?", "quoted": ["let changed_by_the_agent = 10;"]});
    let it = comment(&server, &worker, &body);
    assert_eq!((&it["state"], &it["place"], &it["quoted"]), (&json!("outdated"), &Value::Null, &body["quoted"]));
    git(&project, &["checkout", "-q", "code.rs"]);
    let it = comment(&server, &worker, &body);
    assert_eq!(it["state"], "outdated", "the file is not in the diff any more");
    let unseen = json!({"file": "code.rs", "start": 10, "text": "Why?"});
    assert_eq!(refused(&server, &worker, &unseen, 409)["field"], "file");
    assert_eq!(review(&server, &worker).len(), 2);
}

#[test]
fn comments_are_written_once_and_within_their_bounds() {
    let server = start("review-bounds", &[]);
    let (_, worker) = changed(&server);
    let body = json!({"file": "code.rs", "start": 10, "text": "once", "client_comment_id": "c1"});
    let first = comment(&server, &worker, &body);
    assert_eq!(comment(&server, &worker, &body)["id"], first["id"]);
    let other = json!({"text": "on all", "client_comment_id": "c1"});
    assert_eq!(refused(&server, &worker, &other, 422)["code"], "key_reused");
    for (field, body) in [
        ("text", json!({"text": " "})),
        ("text", json!({"text": "x".repeat(10_001)})),
        ("text", json!({})),
        ("side", json!({"text": "x", "file": "code.rs", "side": "left"})),
        ("start", json!({"text": "x", "file": "code.rs", "start": 0})),
        ("start", json!({"text": "x", "file": "code.rs", "start": "1"})),
        ("start", json!({"text": "x", "file": "code.rs", "end": 3})),
        ("end", json!({"text": "x", "file": "code.rs", "start": 3, "end": 2})),
        ("file", json!({"text": "x", "start": 3})),
        ("commit", json!({"text": "x", "file": "code.rs", "scope": "commit"})),
        ("scope", json!({"text": "x", "file": "code.rs", "scope": "all"})),
    ] {
        assert_eq!(refused(&server, &worker, &body, 422)["field"], field, "{body}");
    }
    let many = json!({"text": "x", "file": "code.rs", "start": 1, "end": 100_000});
    assert_eq!(refused(&server, &worker, &many, 400)["field"], "end");
    assert_eq!(refused(&server, &worker, &json!({"text": "x", "file": "none.rs"}), 409)["field"], "file");
    assert_eq!(review(&server, &worker).len(), 1);
    let long = json!({"text": "x".repeat(10_000), "suggestion": "y".repeat(10_000)});
    let mut written = 1;
    while server.post(&worker.path("/review"), &long).status == 201 {
        written += 1;
    }
    assert!((50..500).contains(&written), "{written}");
    let full = refused(&server, &worker, &long, 429);
    assert!(full["detail"].as_str().unwrap().contains("delete some"), "{full}");
    assert_eq!(review(&server, &worker).len(), written);
}

#[test]
fn marks_of_viewed_files_are_of_one_content() {
    let mut server = start("review-viewed", &[]);
    let (project, worker) = changed(&server);
    let hash = git(&project, &["hash-object", "code.rs"]);
    let mark = |server: &TestServer, viewed: bool, status: u16| {
        let body = json!({"file": "code.rs", "hash": hash, "viewed": viewed});
        server.put(&worker.path("/review/viewed"), &body).expect(status);
    };
    mark(&server, true, 200);
    mark(&server, true, 200);
    server.put(&worker.path("/review/viewed"), &json!({"file": "code.rs", "hash": "x"})).expect(422);
    server.kill9();
    server.start();
    let viewed = |server: &TestServer| server.get(&worker.path("/review")).expect(200).json()["viewed"].clone();
    assert_eq!(viewed(&server), json!([{"file": "code.rs", "hash": hash}]));
    // A file is viewed as long as its hash in the diff is that of the mark.
    fs::write(project.join("code.rs"), "other\n").unwrap();
    let diff = server.get(&worker.path("/diff")).expect(200).json();
    assert_ne!(diff["files"][0]["new_hash"], hash);
    mark(&server, false, 200);
    assert_eq!(viewed(&server), json!([]));
}
