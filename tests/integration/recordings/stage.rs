//! A recorded worker of a real CLI: the actions of a scenario, and the files that are made from its journal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::scrub::Scrub;
use crate::support::model::FakeModel;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// The time of the first record of a journal, in microseconds, and the interval between records. Real times would
/// differ in each recording.
const TIMES: (usize, usize) = (1_700_000_000_000_000, 1_000);
/// The address of the fake model in recordings.
const MODEL: &str = "127.0.0.1:8910";

/// A scenario and its name.
pub(super) type Scenario = (&'static str, fn(&mut Stage));

/// A server for one scenario, with a worker once the scenario needs it.
pub(super) struct Stage {
    /// The model that the CLI talks to.
    pub(super) model: FakeModel,
    /// The CLI's name, which is that of its folder of recordings.
    pub(super) cli: &'static str,
    server: TestServer,
    options: Value,
    worker: Option<TestWorker>,
    turns: usize,
    /// Number of journal records that are in a recording, or are left out.
    kept: usize,
    scrub: Scrub,
}

impl Stage {
    /// Prepares one; the server is started with its first worker, so that a scenario can change its environment.
    pub(super) fn new(cli: &'static str, model: FakeModel, server: TestServer) -> Self {
        let mut scrub = Scrub::new();
        scrub.folder(&server.project(), "/project");
        scrub.folder(&server.home(), "$HOME");
        scrub.folder(server.dir(), "$TMP");
        scrub.folder(&std::env::temp_dir(), "$TMP");
        scrub.folder(&crate::support::clis::folder(), "$CLI");
        scrub.text(&format!("$TMP/claude-{}/", nix::unistd::getuid()), "$TMP/claude/");
        scrub.text(&model.addr().to_string(), MODEL);
        scrub.text(fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim(), "6.12.0");
        Self { model, server, cli, options: json!({}), worker: None, turns: 0, kept: 0, scrub }
    }

    /// Sets a variable of the CLI's environment.
    pub(super) fn env(&mut self, name: &str, value: &str) {
        self.server.set_env(name, value);
    }

    /// Sets an option of the worker.
    pub(super) fn option(&mut self, name: &str, value: Value) {
        self.options[name] = value;
    }

    /// Returns a file of the project.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.server.project().join(name)
    }

    /// Writes a file of the project.
    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    /// Returns the server and the worker, which are created when they are needed first.
    pub(super) fn worker(&mut self) -> (&TestServer, TestWorker) {
        if self.worker.is_none() {
            self.server.start();
            self.worker = Some(TestWorker::create(&self.server, self.cli, &self.options));
        }
        (&self.server, self.worker.clone().unwrap())
    }

    /// Waits until the CLI waits for a message.
    pub(super) fn idle(&mut self) {
        let (server, worker) = self.worker();
        worker.wait_status(server, "idle");
    }

    /// Sends a message.
    pub(super) fn say(&mut self, text: &str) {
        let (server, worker) = self.worker();
        worker.say(server, text);
    }

    /// Sends a message and waits for the end of its turn.
    pub(super) fn turn(&mut self, text: &str) {
        self.say(text);
        self.turns(self.turns + 1);
    }

    /// Waits until so many turns have ended, and the worker is idle.
    pub(super) fn turns(&mut self, count: usize) {
        self.turns = count;
        let (server, worker) = self.worker();
        worker.wait_turn(server, count);
    }

    /// Writes a message into the running turn, and waits until the CLI has it.
    pub(super) fn steer(&mut self, text: &str) {
        let before = self.inputs();
        let (server, worker) = self.worker();
        server.post(&worker.path("/messages"), &json!({"content": text, "steer": true})).expect(202);
        eventually(DEADLINE, "the message is written", || (self.inputs() > before).then_some(()));
    }

    /// Sends a message with attachments, and waits for the end of its turn.
    pub(super) fn attach(&mut self, text: &str, attachments: &Value) {
        let (server, worker) = self.worker();
        let body = json!({"content": text, "attachments": attachments});
        server.post(&worker.path("/messages"), &body).expect(202);
        self.turns(self.turns + 1);
    }

    /// Answers the next prompt.
    pub(super) fn answer(&mut self, answer: &Value) {
        let (server, worker) = self.worker();
        let prompt = worker.wait_prompt(server);
        worker.answer(server, &prompt, answer).expect(200);
    }

    /// Allows the next prompt once.
    pub(super) fn allow(&mut self) {
        self.answer(&json!({"option_id": "allow_once"}));
    }

    /// Waits for a prompt.
    pub(super) fn asked(&mut self) {
        let (server, worker) = self.worker();
        worker.wait_prompt(server);
    }

    /// Waits for so many events of a type.
    pub(super) fn event(&mut self, kind: &str, count: usize) -> Value {
        let (server, worker) = self.worker();
        worker.wait_event(server, kind, count)
    }

    /// Waits until the model's stream is held after five numbered words, and the CLI has printed the last of them.
    pub(super) fn held(&mut self) {
        self.model.wait_held(1);
        let is_word = |(kind, line): &(String, String)| kind == "out" && line.contains("\"w4 \"");
        eventually(DEADLINE, "the fifth word", || self.records().iter().any(is_word).then_some(()));
    }

    /// Interrupts the turn.
    pub(super) fn interrupt(&mut self) {
        let (server, worker) = self.worker();
        worker.call(server, "interrupt").expect(200);
    }

    /// Changes settings.
    pub(super) fn patch(&mut self, settings: &Value) {
        let (server, worker) = self.worker();
        server.patch(&worker.path(""), settings).expect(200);
    }

    /// Changes settings, and waits until the CLI has confirmed each.
    pub(super) fn change(&mut self, settings: &Value) {
        let (server, worker) = self.worker();
        let before = worker.events_of(server, "setting").len();
        self.patch(settings);
        let (server, worker) = self.worker();
        worker.wait_event(server, "setting", before + settings.as_object().unwrap().len());
    }

    /// Continues the session in another worker, which is used from here on.
    pub(super) fn fork(&mut self) {
        let (server, worker) = self.worker();
        let forked = worker.call(server, "fork").expect(201).json();
        self.worker = Some(TestWorker { id: forked["id"].as_str().unwrap().to_owned() });
        (self.kept, self.turns) = (0, 0);
    }

    /// Stops the CLI, if it runs.
    pub(super) fn stop(&mut self) {
        let (server, worker) = self.worker();
        worker.call(server, "stop");
        eventually(DEADLINE, "the CLI's end", || worker.show(server)["pid"].is_null().then_some(()));
    }

    /// Returns the id of the CLI's process.
    pub(super) fn pid(&mut self) -> i32 {
        let (server, worker) = self.worker();
        i32::try_from(worker.show(server)["pid"].as_i64().unwrap()).unwrap()
    }

    /// Returns the id of the session.
    pub(super) fn session(&mut self) -> String {
        let (server, worker) = self.worker();
        worker.show(server)["session_id"].as_str().expect("a session").to_owned()
    }

    /// Waits until the CLI has read every message, and is idle.
    pub(super) fn drained(&mut self) {
        let (server, worker) = self.worker();
        eventually(DEADLINE, "all messages are taken", || {
            let states = worker.events_of(server, "message_state");
            let count = |state: &str| states.iter().filter(|event| event["state"] == state).count();
            (count("consumed") == count("delivered") && worker.show(server)["status"] == "idle").then_some(())
        });
    }

    fn records(&mut self) -> Vec<(String, String)> {
        let (server, worker) = self.worker();
        worker.journal(server)
    }

    fn inputs(&mut self) -> usize {
        self.records().iter().filter(|(kind, _)| kind == "in").count()
    }

    /// Returns the scrubbed lines of stdin (`in`) and stdout (`out`) of the first process that is in no recording yet.
    fn lines(&mut self) -> Vec<(String, String)> {
        let records = self.records();
        let run = &records[self.kept..];
        let is_end = |(kind, line): &(String, String)| kind == "ctl" && line.contains(r#""type":"exited""#);
        let run = &run[..=run.iter().position(is_end).expect("the end of a process")];
        self.kept += run.len();
        let lines = run.iter().filter(|(kind, _)| ["in", "out"].contains(&kind.as_str()));
        lines.map(|(kind, line)| (kind.clone(), self.scrub.line(line.trim_start()))).collect()
    }

    /// Stops the CLI and writes `NAME.journal`.
    pub(super) fn record(&mut self, name: &str) {
        self.stop();
        let (begin, step) = TIMES;
        let lines = self.lines().into_iter().enumerate();
        let text = lines.map(|(at, (kind, line))| format!("{} {kind} {line}\n", begin + at * step));
        self.keep(&format!("{name}.journal"), &text.collect::<String>());
    }

    /// The same, and writes `NAME.transcript.jsonl`.
    pub(super) fn record_with_transcript(&mut self, name: &str) {
        self.record(name);
        let session = self.session();
        self.transcript(name, &session);
    }

    /// Writes `NAME.transcript.jsonl`, the file of one of the sessions so far.
    pub(super) fn transcript(&mut self, name: &str, session: &str) {
        let is_session = |path: &Path| path.file_stem().is_some_and(|stem| stem.to_str().unwrap().ends_with(session));
        let path = files(&self.server.home(), &is_session).pop().expect("a session file");
        self.keep_file(&path, &format!("{name}.transcript.jsonl"));
    }

    /// Writes `NAME.subagent.transcript.jsonl`, the session file of the session's one sub-agent.
    pub(super) fn subagent(&mut self, name: &str) {
        let paths = files(&self.server.home(), &|path| path.to_str().is_some_and(|path| path.contains("/subagents/")));
        let [path] = &paths[..] else { panic!("one session file of a sub-agent: {paths:?}") };
        self.keep_file(path, &format!("{name}.subagent.transcript.jsonl"));
    }

    fn keep_file(&mut self, path: &Path, name: &str) {
        let text = fs::read_to_string(path).unwrap();
        let text: String = text.lines().map(|line| self.scrub.line(line) + "\n").collect();
        self.keep(name, &text);
    }

    fn keep(&self, name: &str, text: &str) {
        let home = std::env::var("HOME").unwrap();
        for place in [std::env::temp_dir().to_str().unwrap(), "rs-worker-test", env!("CARGO_MANIFEST_DIR"), &home] {
            assert!(!text.contains(place), "{name} names {place}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(self.cli);
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Returns the `.jsonl` files below a folder that are `wanted`.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, wanted));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") && wanted(&path) {
            found.push(path);
        }
    }
    found
}

/// Puts a program before a CLI that indents its output by a space: no line is volatile then, and the journal has them
/// all. The CLI gets its arguments without those in `without`.
pub(super) fn indented(server: &TestServer, cli: &Path, without: &[&str]) -> PathBuf {
    let path = server.dir().join("indented");
    let left_out = without.join("|");
    let script = format!(
        "#!/bin/bash\nfor word; do shift; [[ \"|{left_out}|\" == *\"|$word|\"* ]] || set -- \"$@\" \"$word\"; done\n\
         exec > >(exec sed -u 's/^/ /')\nexec '{}' \"$@\"\n",
        cli.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
