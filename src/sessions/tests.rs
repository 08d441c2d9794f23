use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::scratch::Scratch;

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");

/// A home without anything in it. `opencode` is OpenCode's program.
fn home_with(opencode: impl Fn(&Scratch) -> String) -> (Scratch, Catalog) {
    let scratch = Scratch::new();
    let text = scratch.path().to_str().unwrap().to_owned();
    let program = opencode(&scratch);
    let catalog = Catalog::new(&move |name| (name == "HOME").then(|| text.clone()), Some(&program));
    (scratch, catalog)
}

fn home() -> (Scratch, Catalog) {
    home_with(|_| "no-such-program".to_owned())
}

fn put(home: &Scratch, below: &str, from: Option<&str>, seconds: u64) {
    let path = home.path().join(below);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match from {
        Some(from) => drop(fs::copy(format!("{CAPTURES}/{from}"), &path).unwrap()),
        None => fs::write(&path, "not json\n").unwrap(),
    }
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
}

fn ids(page: &Sessions) -> Vec<&str> {
    page.sessions.iter().map(|found| found.session_id.as_str()).collect()
}

#[test]
fn sessions_are_listed_newest_first_with_project_and_first_message() {
    let (home, catalog) = home();
    let id = |n: u32| format!("0000000{n}-0000-4000-8000-000000000000");
    let put = |below: String, from, seconds| put(&home, &format!(".claude/projects/-project/{below}"), from, seconds);
    put(format!("{}.jsonl", id(1)), Some("claude/hello.transcript.jsonl"), 1_000);
    put(format!("{}.jsonl", id(2)), Some("claude/two_turns.transcript.jsonl"), 3_000);
    put(format!("{}.jsonl", id(3)), None, 2_000);
    put(format!("{}/subagents/agent-1.jsonl", id(1)), Some("claude/subagent.subagent.transcript.jsonl"), 9_000);
    put("notes.txt".to_owned(), None, 9_000);
    let all = catalog.list(None, 10);
    assert_eq!(ids(&all), [id(2), id(3), id(1)]);
    assert!(!all.has_more && all.next.is_none());
    assert_eq!(all.sessions[2].project_path.as_deref(), Some("/project"));
    assert_eq!(all.sessions[2].title.as_deref(), Some("hi"));
    assert_eq!(all.sessions[1].title, None);

    let first = catalog.list(None, 1);
    assert!(first.has_more);
    assert_eq!(ids(&catalog.list(first.next, 1)), [id(3)]);
    let found = catalog.find(Some("claude"), &id(1)).unwrap();
    assert!(found.transcript.unwrap().ends_with(format!("{}.jsonl", id(1))));
    assert_eq!(catalog.find(None, &id(4)), None);
}

#[test]
fn simultaneous_sessions_share_a_page_and_others_take_no_place() {
    let (home, catalog) = home();
    for (number, seconds) in [(1, 3_000), (2, 2_000), (3, 2_000), (4, 1_000)] {
        let name = format!(".claude/projects/-p/0000000{number}-0000-4000-8000-000000000000.jsonl");
        put(&home, &name, Some("claude/hello.transcript.jsonl"), seconds);
    }
    put(&home, ".claude/projects/-p/no-id.jsonl", None, 4_000);
    let first = catalog.list(None, 2);
    assert_eq!((first.sessions.len(), first.has_more), (3, true));
    let rest = catalog.list(first.next, 2);
    assert_eq!((rest.sessions.len(), rest.has_more), (1, false));
}

#[test]
fn gemini_sessions_have_the_id_and_project_of_their_files() {
    let (home, catalog) = home();
    let chats = ".gemini/tmp/my-project/chats";
    let name = format!("{chats}/session-2026-11-22T06-49-edf274d5.jsonl");
    put(&home, &name, Some("gemini/p_resume.transcript.jsonl"), 1_000);
    // Opened, and nobody has said anything; of a sub-agent; and of another layout.
    let head = r#"{"sessionId":"11111111-cecb-4bb4-8752-931899ecbf25","kind":"main"}"#;
    fs::write(home.path().join(format!("{chats}/session-2026-11-22T06-50-11111111.jsonl")), head).unwrap();
    let agent = fs::read_to_string(format!("{CAPTURES}/gemini/p_hello.transcript.jsonl")).unwrap();
    let agent = agent.replace(r#""kind":"main""#, r#""kind":"subagent""#);
    fs::write(home.path().join(format!("{chats}/session-2026-11-22T06-51-22222222.jsonl")), agent).unwrap();
    put(&home, ".gemini/tmp/my-project/logs.jsonl", None, 5_000);
    fs::write(home.path().join(".gemini/tmp/my-project/.project_root"), "/srv/my project").unwrap();

    let all = catalog.list(None, 10);
    assert_eq!(ids(&all), ["edf274d5-cecb-4bb4-8752-931899ecbf25"]);
    let found = catalog.find(Some("gemini"), "edf274d5-cecb-4bb4-8752-931899ecbf25").unwrap();
    assert_eq!((found.ai_cli_type.as_ref(), found.title.as_deref()), ("gemini", Some("hi")));
    assert_eq!(found.project_path.as_deref(), Some("/srv/my project"));
    assert_eq!(catalog.find(None, "edf274d5-0000-4bb4-8752-931899ecbf25"), None);
}

#[test]
fn a_home_without_clis_has_no_sessions() {
    let (_home, catalog) = home();
    assert_eq!(
        catalog.list(None, 10),
        Sessions { sessions: Vec::new(), has_more: false, next: None, agents: Vec::new() }
    );
}

/// A program that lists by its database as OpenCode does, and by the protocol as `acp` says; it counts what it is asked.
fn answers(scratch: &Scratch, acp: &str) -> String {
    let row =
        r#"{"id":"ses_0","directory":"/srv/p","title":"New session - 1","updated":2000000,"first":"say 0","size":7}"#;
    let (program, count) = (scratch.path().join("opencode"), scratch.path().join("count"));
    let script = format!(
        "#!/bin/sh\necho \"$1\" >> '{}'\nif [ \"$1\" = db ]; then printf '%s' '[{row}]'; exit; fi\n{acp}\n",
        count.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

const LISTS: &str = r#"read l; echo '{"id":1,"result":{"agentCapabilities":{"sessionCapabilities":{"list":{}}}}}'
read l; echo '{"id":2,"result":{"sessions":[{"sessionId":"ses_1","cwd":"/p","title":"New session - 2"}]}}'"#;

/// A home with a database of OpenCode, whose program answers like this.
fn opencode(acp: &str) -> (Scratch, Catalog) {
    let (home, catalog) = home_with(|scratch| answers(scratch, acp));
    let program = home.path().join("opencode");
    let env = std::env::var_os("PATH").map(|path| ("PATH".into(), path)).into_iter().collect();
    let agent = ListingAgent::new("opencode", program, vec!["acp".to_owned()], env);
    (home, catalog.with_agents(vec![agent]))
}

fn asked(home: &Scratch) -> Vec<String> {
    let count = fs::read_to_string(home.path().join("count")).unwrap_or_default();
    count.lines().map(str::to_owned).collect()
}

/// The list once OpenCode has answered.
fn answered(catalog: &Catalog) -> Sessions {
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let listed = catalog.list(None, 10);
        if listed.agents.iter().any(|note| note.note.as_deref().is_none_or(|note| !note.contains("being asked"))) {
            return listed;
        }
        assert!(std::time::Instant::now() < deadline, "{listed:?}");
    }
}

#[test]
fn opencode_lists_its_sessions_once_while_its_database_stays() {
    let (home, catalog) = opencode(LISTS);
    assert_eq!(catalog.list(None, 10), Sessions { sessions: vec![], has_more: false, next: None, agents: vec![] });
    assert!(asked(&home).is_empty(), "without a database nobody is asked");
    put(&home, ".local/share/opencode/opencode.db", None, 1_000);
    let listed = answered(&catalog);
    assert_eq!((ids(&listed), listed.sessions[0].title.as_deref()), (vec!["ses_1"], None));
    assert_eq!((&listed.agents[0].note, listed.agents[0].listed_at.is_some()), (&None, true));
    assert_eq!(catalog.list(None, 10), listed);
    assert_eq!(asked(&home), ["acp"]);
    assert_eq!(catalog.find(None, "ses_'; DROP TABLE session"), None);
    assert_eq!(catalog.find(Some("claude"), "ses_1"), None);
    assert!(catalog.find(None, "ses_1").is_some());
    assert_eq!(asked(&home), ["acp"], "nothing but an id is put into a question");
}

#[test]
fn opencode_that_lists_nothing_is_asked_by_its_own_command() {
    let (home, catalog) = opencode("exit 3");
    put(&home, ".local/share/opencode/opencode.db", None, 1_000);
    let listed = answered(&catalog);
    assert_eq!((ids(&listed), listed.sessions[0].title.as_deref()), (vec!["ses_0"], Some("say 0")));
    assert_eq!(listed.sessions[0].size_bytes, 7);
    let note = listed.agents[0].note.as_deref().unwrap();
    assert!(note.contains("own command") && note.contains("exit code 3"), "{note}");
    assert_eq!(asked(&home), ["acp", "db"]);
}
