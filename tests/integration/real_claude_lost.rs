//! The real Claude Code, whose session has been lost.

use std::fs;

use serde_json::json;

use crate::real_claude_worker::{create, start};
use crate::support::model::{FakeModel, HELLO};

#[test]
fn real_claude_replaces_a_damaged_session_and_answers() {
    let model = FakeModel::start();
    let server = start(&model);
    for what in ["emptied", "garbage", "a folder"] {
        let worker = create(&server);
        worker.say(&server, "hi");
        worker.wait_turn(&server, 1);
        worker.call(&server, "stop").expect(200);
        let session = worker.show(&server)["session_id"].clone();
        let projects = fs::read_dir(server.home().join(".claude/projects")).unwrap().flatten();
        let name = format!("{}.jsonl", session.as_str().unwrap());
        let transcript = projects.map(|dir| dir.path().join(&name)).find(|path| path.exists()).unwrap();
        match what {
            "emptied" => fs::write(&transcript, "").unwrap(),
            "garbage" => fs::write(&transcript, [0xff, 0xfe, 0, b'{', b'\n', 0xc0]).unwrap(),
            _ => {
                fs::remove_file(&transcript).unwrap();
                fs::create_dir(&transcript).unwrap();
            }
        }
        worker.say(&server, "hi again");
        assert_eq!(worker.wait_turn(&server, 2)["is_error"], false, "{what}");
        let errors = worker.events_of(&server, "error");
        assert_eq!((errors.len(), &errors[0]["code"]), (1, &json!("session_not_found")), "{what}: {errors:?}");
        assert!(errors[0]["content"].as_str().unwrap().contains(session.as_str().unwrap()), "{what}: {errors:?}");
        let shown = worker.show(&server);
        assert_eq!(shown["earlier_sessions"][0]["session_id"], session, "{what}");
        assert_eq!(worker.events_of(&server, "user").len(), 2, "{what}: no message is told twice");
    }
}

#[test]
fn real_message_to_a_worker_without_its_transcript_is_answered() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    worker.say(&server, "hi");
    worker.wait_turn(&server, 1);
    let before = worker.show(&server)["session_id"].clone();
    worker.call(&server, "stop").expect(200);
    std::fs::remove_dir_all(server.home().join(".claude/projects")).unwrap();
    worker.say(&server, "hi again");
    assert_eq!(worker.wait_turn(&server, 2)["result"], HELLO);
    let shown = worker.show(&server);
    assert_ne!(shown["session_id"], before);
    assert_eq!(shown["earlier_sessions"][0]["session_id"], before);
    assert_eq!(worker.events_of(&server, "error")[0]["code"], "session_not_found");
}
