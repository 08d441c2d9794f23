//! Stories of one worker, passed to its fold as records, with the expected state and events.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::adapter::Adapter;
use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::clock::Micros;
use crate::event::EventContent;
use crate::journal::{Control, Kind, Record};
use crate::worker::state::State;
use crate::worker::state::fold::Fold;

/// Microseconds between two records.
const PAUSE: u64 = 1_000;

/// A fold with the events that it has emitted and that were not taken yet.
pub(super) struct Story {
    fold: Fold,
    seq: u64,
    events: Vec<Value>,
}

impl Story {
    /// A worker that was created.
    fn of(adapter: Arc<dyn Adapter>) -> Self {
        let mut story = Self { fold: Fold::new(adapter), seq: 100, events: Vec::new() };
        story.ctl(
            json!({"type": "created", "worker_id": "w", "name": "w", "project_path": "/project", "ai_cli_type": "x"}),
        );
        story
    }

    pub(super) fn claude() -> Self {
        Self::of(Arc::new(Claude::new(ClaudeSettings::default())))
    }

    /// A process of the worker has started.
    pub(super) fn start(&mut self, session_id: &str, resume: bool) -> &mut Self {
        self.ctl(json!({"type": "launching", "session_id": session_id, "resume": resume}));
        self.ctl(json!({"type": "started", "pid": 2, "start_time": 1, "shim_pid": 1, "shim_start_time": 1, "argv": []}))
    }

    /// Claude Code has answered the request that opens its process.
    pub(super) fn ready(&mut self) -> &mut Self {
        self.input(json!({"type": "control_request", "request_id": "i", "request": {"subtype": "initialize"}}));
        self.out(
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "i", "response": {}}}),
        )
    }

    pub(super) fn ctl(&mut self, control: Value) -> &mut Self {
        let control: Control = serde_json::from_value(control).unwrap();
        assert_ne!(control, Control::Unknown);
        self.record(Kind::Ctl, &control.to_json())
    }

    pub(super) fn out(&mut self, line: Value) -> &mut Self {
        self.record(Kind::Out, line.to_string().as_bytes())
    }

    pub(super) fn input(&mut self, line: Value) -> &mut Self {
        self.record(Kind::In, line.to_string().as_bytes())
    }

    fn record(&mut self, kind: Kind, payload: &[u8]) -> &mut Self {
        let time = Micros(1_700_000_000_000_000 + self.seq * PAUSE);
        let record = Record { seq: self.seq, time, kind, payload, len: payload.len() as u64 + 22 };
        let mut events = Vec::new();
        self.fold.record(&record, &mut events);
        for event in events {
            let content = EventContent { body: &event.body, content: &event.content, timestamp: record.time };
            self.events.push(serde_json::to_value(content).unwrap());
        }
        self.seq = record.end();
        self
    }

    pub(super) fn state(&self) -> &State {
        self.fold.state()
    }

    /// Returns the events of a type since the last call.
    pub(super) fn take(&mut self, kind: &str) -> Vec<Value> {
        std::mem::take(&mut self.events).into_iter().filter(|event| event["type"] == kind).collect()
    }
}

pub(super) fn init(session_id: &str) -> Value {
    json!({"type": "system", "subtype": "init", "session_id": session_id, "model": "m", "permissionMode": "default"})
}

pub(super) fn ask(id: &str) -> Value {
    let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}});
    json!({"type": "control_request", "request_id": id, "request": request})
}

pub(super) fn result() -> Value {
    json!({"type": "result", "subtype": "success", "is_error": false, "result": "done"})
}

#[test]
fn unusable_session_ids_never_replace_a_good_one() {
    let mut story = Story::claude();
    story.start("good", false).ready().out(init("good")).out(result());
    let long = "x".repeat(2_000);
    for odd in ["", " ", "-rf", "a\nb", &long] {
        story.out(init(odd)).out(result());
        assert_eq!(story.state().session_id.as_deref(), Some("good"), "after {odd:?}");
    }
    story.out(init("better"));
    assert_eq!(story.state().session_id.as_deref(), Some("better"));
}

#[test]
fn prompts_of_an_interrupted_turn_end_with_it() {
    let mut story = Story::claude();
    story.start("s", false).ready().out(init("s")).out(ask("early")).out(result());
    story.out(init("s")).out(ask("late")).ctl(json!({"type": "interrupt_requested", "by": "user"}));
    assert_eq!(story.state().prompts.len(), 2, "the CLI may withdraw them itself");
    story.take("");
    story.out(result());
    let resolved = story.take("permission_resolved");
    assert_eq!(resolved.len(), 1, "{resolved:?}");
    let about = (&resolved[0]["request_id"], &resolved[0]["decision"], &resolved[0]["by"]);
    assert_eq!(about, (&json!("late"), &json!("cancelled"), &json!("cli")));
    assert_eq!(story.state().prompts.iter().map(|prompt| &*prompt.request_id).collect::<Vec<_>>(), ["early"]);
    assert_eq!(story.state().resolved.back().unwrap().decision, "cancelled", "a late answer is told so");
}

#[test]
fn prompts_of_a_turn_that_nobody_interrupted_outlive_it() {
    let mut story = Story::claude();
    story.start("s", false).ready().out(init("s")).out(ask("p")).out(result());
    assert_eq!(story.state().prompts.len(), 1, "a sub-agent in the background waits for its answer");
}

/// A live request for a permission mode, and the request that carries it to Claude Code.
fn wish_for(story: &mut Story, mode: &str) {
    story.ctl(json!({"type": "configured", "permission_mode": mode}));
    let request = json!({"subtype": "set_permission_mode", "mode": mode});
    story.input(json!({"type": "control_request", "request_id": mode, "request": request}));
}

fn accepts(story: &mut Story, id: &str) {
    story.out(json!({"type": "control_response", "response": {"subtype": "success", "request_id": id, "response": {"mode": id}}}));
}

fn refuses(story: &mut Story, id: &str) {
    story.out(json!({"type": "control_response", "response": {"subtype": "error", "request_id": id, "error": "no"}}));
}

fn next_mode(story: &Story) -> Option<String> {
    story.state().next_start().permission_mode
}

#[test]
fn refused_permission_mode_takes_effect_nowhere() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    wish_for(&mut story, "plan");
    assert_eq!(next_mode(&story), None, "nobody has accepted it yet");
    accepts(&mut story, "plan");
    assert_eq!(next_mode(&story).as_deref(), Some("plan"));
    assert_eq!(story.state().permission_mode.as_deref(), Some("plan"));
    assert_eq!(story.take("setting")[0]["state"], "applied");
    wish_for(&mut story, "bypassPermissions");
    refuses(&mut story, "bypassPermissions");
    let reported = std::mem::take(&mut story.events);
    assert_eq!(reported[0]["code"], "request_refused");
    let about = (&reported[1]["type"], &reported[1]["setting"], &reported[1]["value"], &reported[1]["state"]);
    assert_eq!(about, (&json!("setting"), &json!("permission_mode"), &json!("bypassPermissions"), &json!("refused")));
    assert_eq!(next_mode(&story).as_deref(), Some("plan"), "what was there before holds");
    assert_eq!(story.state().permission_mode.as_deref(), Some("plan"));
}

#[test]
fn wish_without_an_answer_is_no_setting_after_the_process() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    wish_for(&mut story, "bypassPermissions");
    story.ctl(json!({"type": "exited", "exit_code": 1}));
    assert_eq!(next_mode(&story), None);
    story.ctl(json!({"type": "configured", "permission_mode": "acceptEdits", "model": "opus"}));
    assert_eq!(next_mode(&story).as_deref(), Some("acceptEdits"), "a stopped worker has nobody who could refuse");
    assert_eq!(story.state().next_start().model.as_deref(), Some("opus"));
}

#[test]
fn simultaneous_wishes_are_distinguished_by_their_answers() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    wish_for(&mut story, "plan");
    wish_for(&mut story, "bypassPermissions");
    wish_for(&mut story, "acceptEdits");
    refuses(&mut story, "bypassPermissions");
    accepts(&mut story, "acceptEdits");
    accepts(&mut story, "plan");
    assert_eq!(next_mode(&story).as_deref(), Some("plan"), "the last one that the CLI has accepted");
}

fn acp_story() -> Story {
    use crate::adapter::acp::{OpenCode, OpenCodeSettings};
    Story::of(Arc::new(OpenCode::new(OpenCodeSettings::default())))
}

/// Writes the next request of the handshake as the fold requires, and answers it.
fn answer_due(story: &mut Story, outcome: &Value) -> Value {
    let Some(crate::adapter::Action::Write(lines)) = story.fold.session().due() else { panic!("nothing is due") };
    let request: Value = serde_json::from_slice(&lines[0]).unwrap();
    story.record(Kind::In, &lines[0]);
    let mut answer = json!({"jsonrpc": "2.0", "id": request["id"]});
    answer.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
    story.out(answer);
    request
}

#[test]
fn mode_refused_at_the_start_is_not_asked_for_again() {
    let mut story = acp_story();
    story.ctl(json!({"type": "configured", "permission_mode": "build"}));
    story.ctl(json!({"type": "configured", "permission_mode": "nonsense"}));
    let settings = story.state().next_start();
    story.ctl(json!({"type": "launching", "session_id": "s", "settings": settings}));
    story.ctl(json!({"type": "started", "pid": 2, "start_time": 1, "shim_pid": 1, "shim_start_time": 1, "argv": []}));
    answer_due(&mut story, &json!({"result": {"protocolVersion": 1}}));
    answer_due(&mut story, &json!({"result": {"sessionId": "s1"}}));
    let asked = answer_due(&mut story, &json!({"error": {"code": -32602, "message": "no such mode"}}));
    assert_eq!((&asked["method"], &asked["params"]["modeId"]), (&json!("session/set_mode"), &json!("nonsense")));
    assert_eq!(story.take("setting")[0]["state"], "refused");
    assert_eq!(next_mode(&story), None, "it was never in force, and neither was the one before");
    assert_eq!(story.state().status.as_str(), "idle", "the worker works with what it has");
}

#[test]
fn codex_turn_with_a_refused_model_keeps_the_current_one() {
    use crate::adapter::codex::{Codex, CodexSettings};
    let mut story = Story::of(Arc::new(Codex::new(CodexSettings::default())));
    story.start("s", false);
    answer_due(&mut story, &json!({"result": {}}));
    let open = json!({"id": "thread/start-1", "method": "thread/start", "params": {}});
    story.input(open).out(json!({"id": "thread/start-1", "result": {"thread": {"id": "t"}, "model": "good"}}));
    story.ctl(json!({"type": "configured", "model": "nonsense"}));
    assert_eq!(story.state().next_start().model.as_deref(), Some("nonsense"), "nobody was asked yet");
    let turn = json!({"threadId": "t", "clientUserMessageId": "m", "model": "nonsense", "input": []});
    story.input(json!({"id": "message-m", "method": "turn/start", "params": turn}));
    assert_eq!(story.state().model.as_deref(), Some("good"), "only an answer puts it in force");
    story.out(json!({"id": "message-m", "error": {"message": "no such model"}}));
    assert_eq!((story.state().model.as_deref(), story.state().next_start().model), (Some("good"), None));
    assert_eq!(story.take("setting").last().unwrap()["state"], "refused");
}

#[test]
fn run_that_fails_says_why_in_one_sentence() {
    let reason = |story: &mut Story, exit: Value| {
        story.ctl(exit);
        (story.state().status.as_str(), story.state().reason.clone().unwrap_or_default())
    };
    let mut story = Story::claude();
    let tail = "warming up\nError: no key\n    at main\n";
    let exit = json!({"type": "exited", "exit_code": 1, "stderr_tail": tail});
    let reported = reason(story.start("s", false), exit);
    assert_eq!(reported, ("failed", "The CLI exited with code 1: Error: no key; a message starts it again".to_owned()));
    story.start("s", false).record(Kind::Out, b"This program is no longer maintained.");
    let reported = reason(&mut story, json!({"type": "exited", "exit_code": 0}));
    let retired = "The CLI exited with code 0: This program is no longer maintained; a message starts it again";
    assert_eq!(reported, ("failed", retired.to_owned()), "it was never ready");
    story.start("s", false).ready();
    assert_eq!(reason(&mut story, json!({"type": "exited", "exit_code": 0})).0, "stopped", "it was");
    story.ctl(json!({"type": "launching", "session_id": "s"}));
    let reported =
        reason(&mut story, json!({"type": "spawn_failed", "error": "program x was not found", "missing": true}));
    let install = "program x was not found; to install it: npm install -g @anthropic-ai/claude-code";
    assert_eq!(reported, ("failed", install.to_owned()));
}

#[test]
fn session_that_is_gone_gives_way_to_a_new_one() {
    let mut story = Story::claude();
    story.start("old", false).ready().out(init("old")).out(result()).ctl(json!({"type": "exited", "exit_code": 0}));
    story.start("old", true);
    let message = json!({"type": "message_queued", "message_id": "m", "content": "hi"});
    story.ctl(message).ctl(json!({"type": "message_delivered", "message_id": "m", "content": "hi"}));
    story.input(json!({"type": "user", "message": {"role": "user", "content": "hi"}, "uuid": "m"}));
    story.take("");
    let errors = ["No conversation found with session ID: old"];
    story.out(json!({"type": "result", "subtype": "error_during_execution", "is_error": true, "errors": errors}));
    story.ctl(json!({"type": "exited", "exit_code": 1, "stderr_tail": errors[0]}));
    let reported = story.take("error");
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(reported[0]["code"], "session_not_found");
    assert!(reported[0]["content"].as_str().unwrap().contains("session old can't be resumed (No conversation found"));
    assert_eq!(story.state().earlier_sessions[0].session_id, "old");
    assert!(story.state().renew && !story.state().session_used && story.state().status.as_str() == "starting");
    assert_eq!(story.state().returned[0].message_id, "m");
    story.ctl(json!({"type": "message_returned", "message_id": "m", "content": "hi"}));
    assert_eq!((story.state().queue.len(), story.state().returned.len()), (1, 0));
    story.start("new", false);
    assert!(!story.state().renew);
    story.take("");
    story.ctl(json!({"type": "message_delivered", "message_id": "m", "content": "hi"}));
    assert_eq!(story.take("user"), Vec::<Value>::new(), "the history has the message already");
    story.ctl(json!({"type": "exited", "exit_code": 1, "stderr_tail": errors[0]}));
    assert_eq!(story.state().status.as_str(), "failed", "a new session cannot be gone: nothing goes round in circles");
}

#[test]
fn returned_message_is_reported_again_when_it_was_edited() {
    let mut story = Story::claude();
    story.start("old", false);
    for content in ["hi", "hello"] {
        story.ctl(json!({"type": "message_queued", "message_id": content, "content": content}));
        story.ctl(json!({"type": "message_delivered", "message_id": content, "content": content}));
        story.ctl(json!({"type": "message_returned", "message_id": content, "content": content}));
    }
    story.ctl(json!({"type": "message_edited", "message_id": "hi", "content": "hi there"}));
    story.take("");
    story.ctl(json!({"type": "message_delivered", "message_id": "hi", "content": "hi there"}));
    story.ctl(json!({"type": "message_delivered", "message_id": "hello", "content": "hello"}));
    let reported = story.take("user");
    assert_eq!((reported.len(), &reported[0]["content"]), (1, &json!("hi there")), "{reported:?}");
}

#[test]
fn limit_that_lasts_beyond_belief_holds_no_message() {
    let info = |resets: Value| json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": resets}});
    for (resets, is_known) in
        [(json!(4_000_000_000_u64), false), (json!(1e26), false), (json!("soon"), false), (json!(1_700_000_600), true)]
    {
        let mut story = Story::claude();
        story.start("s", false).ready().out(info(resets.clone()));
        let limit = story.state().limit.as_ref().map(|limit| (limit.status.clone(), limit.resets_at.is_some()));
        assert_eq!(limit, Some(("rejected".to_owned(), is_known)), "{resets}");
    }
}

#[test]
fn codex_distinguishes_a_missing_session_from_a_taken_one() {
    use crate::adapter::codex::{Codex, CodexSettings};
    let opened = |error: &str| {
        let mut story = Story::of(Arc::new(Codex::new(CodexSettings::default())));
        story.ctl(json!({"type": "message_queued", "message_id": "m", "content": "hi"})).start("old", true);
        answer_due(&mut story, &json!({"result": {}}));
        story.input(json!({"id": "thread/resume-1", "method": "thread/resume", "params": {"threadId": "old"}}));
        story.out(json!({"id": "thread/resume-1", "error": {"code": -32600, "message": error}}));
        story
    };
    let mut taken = opened("thread old already has an active writer");
    assert_eq!(taken.fold.session().due(), Some(crate::adapter::Action::Signal(15)));
    taken.ctl(json!({"type": "exited", "signal": "SIGTERM"}));
    let state = taken.state();
    assert_eq!((state.status.as_str(), state.queue.len(), state.session_id.as_deref()), ("failed", 1, Some("old")));
    assert!(state.reason.as_deref().unwrap().contains("already has an active writer"), "{:?}", state.reason);

    let mut gone = opened("no rollout found for thread id old");
    assert_eq!(gone.take("error")[0]["code"], "session_not_found");
    let asked = answer_due(&mut gone, &json!({"result": {"thread": {"id": "new"}, "model": "m"}}));
    assert_eq!(asked["method"], "thread/start");
    let state = gone.state();
    assert_eq!((state.status.as_str(), state.queue.len(), state.session_id.as_deref()), ("idle", 1, Some("new")));
}

#[test]
fn fork_of_a_session_that_is_gone_names_it() {
    use crate::adapter::codex::{Codex, CodexSettings};
    let mut story = Story::of(Arc::new(Codex::new(CodexSettings::default())));
    let options = json!({"resume_session": "old", "fork": true});
    story.ctl(json!({"type": "created", "worker_id": "w", "name": "n", "project_path": "/p", "ai_cli_type": "codex", "options": options}));
    story.start("new", false);
    answer_due(&mut story, &json!({"result": {}}));
    story.input(json!({"id": "thread/fork-1", "method": "thread/fork", "params": {"threadId": "old"}}));
    let error = json!({"code": -32600, "message": "no rollout found for thread id old"});
    story.out(json!({"id": "thread/fork-1", "error": error}));
    let reported = story.take("error");
    assert_eq!((reported.len(), &reported[0]["code"]), (1, &json!("session_not_found")));
    assert!(reported[0]["content"].as_str().unwrap().contains("session old can't be resumed"), "{reported:?}");
    let asked = answer_due(&mut story, &json!({"result": {"thread": {"id": "other"}, "model": "m"}}));
    assert_eq!(asked["method"], "thread/start");
    assert_eq!(story.state().session_id.as_deref(), Some("other"));
    assert!(story.state().earlier_sessions.iter().all(|earlier| !earlier.session_id.is_empty()));
}

#[test]
fn handshake_without_an_answer_is_known_until_it_comes() {
    let mut story = acp_story();
    story.start("s", false);
    answer_due(&mut story, &json!({"result": {"protocolVersion": 1}}));
    story.input(json!({"jsonrpc": "2.0", "id": 2, "method": "session/new", "params": {}}));
    let since = story.state().awaited().unwrap().1;
    story.record(Kind::Err, b"still loading").record(Kind::Out, b"[log] loading");
    assert_eq!(story.state().awaited(), Some(("no answer to session/new", since)), "noise is no answer");
    story.ctl(json!({"type": "stalled", "reason": "no answer to session/new for 300 s"}));
    story.record(Kind::Out, b"[log] loading");
    assert_eq!(story.state().status.as_str(), "stalled");
    story.out(json!({"jsonrpc": "2.0", "id": 2, "result": {"sessionId": "s1"}}));
    assert_eq!((story.state().status.as_str(), story.state().awaited()), ("idle", None));
}
