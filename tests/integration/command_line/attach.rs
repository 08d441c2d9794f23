//! `attach`, from a pipe and in a terminal, and the terminal output of other commands.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::start;
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, within};
use crate::support::workers::TestWorker;

/// A script that runs a command in a new terminal, which receives the standard input.
const IN_TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// A running `attach`.
struct AttachProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl AttachProcess {
    fn begin(server: &TestServer, words: &[&str], in_terminal: bool) -> Self {
        let mut command = server.command(words.iter().copied());
        if in_terminal {
            let program = command.get_program().to_owned();
            let mut terminal = std::process::Command::new("python3");
            terminal.args(["-c", IN_TERMINAL]).arg(program).args(words).env_clear();
            terminal.current_dir(server.dir());
            terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = terminal;
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        let readers = streams.into_iter().map(|mut stream| {
            let output = Arc::clone(&output);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut piece) {
                    output.lock().unwrap().extend_from_slice(&piece[..count]);
                }
            })
        });
        Self { input: child.stdin.take(), readers: readers.collect(), child, output }
    }

    fn typed(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn wait_shown(&self, text: &str) {
        let found = within(DEADLINE, || self.shown().contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} is not in the terminal: {}", self.shown());
    }

    /// Returns its exit code, and its whole output.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let status = eventually(DEADLINE, "the command's end", || self.child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status.code(), self.shown())
    }
}

impl Drop for AttachProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a worker with this name, and an `attach` to it in a terminal once it is ready.
#[track_caller]
fn attach_in_terminal(server: &TestServer, name: &str) -> (TestWorker, AttachProcess) {
    let worker = TestWorker::create(server, "claude", &json!({"name": name}));
    worker.wait_status(server, "idle");
    let attached = AttachProcess::begin(server, &["attach", name], true);
    attached.wait_shown("Ctrl-D detaches");
    (worker, attached)
}

#[test]
fn lines_from_a_pipe_are_answered_one_turn_after_another() {
    let server = start("attach-pipe", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "piped"}));
    let mut attached = AttachProcess::begin(&server, &["attach", "piped"], false);
    attached.typed("permission Bash {\"command\":\"true\"}\ny\nhello\n");
    attached.input = None;
    let (code, shown) = attached.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("? Bash {\"command\":\"true\"}") && shown.contains("allow_once (user)"), "{shown}");
    assert_eq!(worker.events_of(&server, "turn_completed").len(), 2);
    let answer = worker.events_of(&server, "assistant").pop().unwrap()["content"].as_str().unwrap().to_owned();
    assert!(shown.contains(&answer), "{answer}: {shown}");
}

#[test]
fn pipe_that_ends_during_a_prompt_is_reported() {
    let server = start("attach-asked", &[]);
    TestWorker::create(&server, "claude", &json!({"name": "asks"}));
    let mut attached = AttachProcess::begin(&server, &["attach", "asks"], false);
    attached.typed("permission\n");
    attached.input = None;
    let (code, shown) = attached.end();
    assert!(code == Some(3) && shown.contains("it waits for an answer"), "{code:?} {shown}");
}

#[test]
fn attached_terminal_denies_a_prompt_and_ctrl_d_detaches() {
    let Some(_) = require_program("python3") else { return };
    let server = start("attach-terminal", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "talker");
    attached.typed("permission\n");
    attached.wait_shown("y: once");
    attached.typed("perhaps\n");
    attached.wait_shown("it waits for an answer");
    attached.typed("n too dangerous\n");
    worker.wait_turn(&server, 1);
    attached.wait_shown("deny (user)");
    assert_eq!(worker.controls(&server, "permission_answered")[0]["message"], "too dangerous");
    attached.typed("\u{4}");
    let (code, shown) = attached.end();
    assert_eq!(code, Some(0), "{shown}");
    worker.wait_status(&server, "idle");
}

#[test]
fn ctrl_c_interrupts_the_turn_and_the_conversation_continues() {
    let Some(_) = require_program("python3") else { return };
    let server = start("attach-interrupt", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "busy");
    attached.typed("permission\n");
    attached.wait_shown("y: once");
    attached.typed("\u{3}");
    attached.wait_shown("[the turn ended: interrupted]");
    attached.typed("hello again\n");
    worker.wait_turn(&server, 2);
    attached.typed("\u{4}");
    assert_eq!(attached.end().0, Some(0));
}

#[test]
fn attached_terminal_streams_a_message_and_shows_it_once() {
    let Some(_) = require_program("python3") else { return };
    let server = start("attach-grows", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "writer");
    attached.typed("deltas 1000000 20\n");
    attached.wait_shown("w0 w1 w2 ");
    assert!(worker.events_of(&server, "assistant").is_empty(), "the message is not whole yet");
    attached.typed("\u{3}");
    attached.wait_shown("[the turn ended: interrupted]");
    let shown = attached.shown();
    assert_eq!(shown.matches("w0 ").count(), 1, "{shown}");
    attached.typed("\u{4}");
    assert_eq!(attached.end().0, Some(0));
}

#[test]
fn commands_do_not_wait_for_a_cli_without_turns() {
    let server = start("attach-no-turns", &[]);
    let worker = TestWorker::create(&server, "program", &json!({"name": "plain", "args": ["cat"]}));
    worker.wait_status(&server, "idle");
    let sent = super::run(&server, &["send", "plain", "one"]);
    let reported = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success() && reported.contains("does not report the end of its turns"), "{reported}");
    let mut attached = AttachProcess::begin(&server, &["attach", "plain"], false);
    attached.typed("two\nthree\n");
    attached.input = None;
    assert_eq!(attached.end().0, Some(0));
    for (number, said) in (1..).zip(["one", "two", "three"]) {
        assert_eq!(worker.wait_event(&server, "assistant", number)["content"], said);
    }
}

#[test]
fn restarted_server_is_found_again_and_nothing_is_missed() {
    let Some(_) = require_program("python3") else { return };
    let mut server = start("attach-again", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "patient");
    server.restart();
    worker.say(&server, "said meanwhile");
    attached.wait_shown("> said meanwhile");
    assert_eq!(attached.shown().matches("> said meanwhile").count(), 1);
    attached.typed("\u{4}");
    assert_eq!(attached.end().0, Some(0));
}

/// Returns the address of a stub of the server, which closes the connection at the request after `count` others.
fn relay_requests(server: &TestServer, count: usize) -> SocketAddr {
    let (listener, client) = (TcpListener::bind("127.0.0.1:0").unwrap(), server.client.clone());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().take(count).map_while(Result::ok) {
            let head: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let reply = client.get(head[0].split(' ').nth(1).unwrap());
            write!(stream, "HTTP/1.1 {} -\r\ncontent-length: {}\r\n\r\n", reply.status, reply.body.len()).unwrap();
            stream.write_all(&reply.body).unwrap();
        }
    });
    address
}

#[test]
fn attach_greets_once_it_can_outlast_the_server() {
    let server = start("attach-greets", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let is_greeted = |shown: &str| shown.contains("Ctrl-D detaches");
    for count in 0.. {
        let url = format!("http://{}", relay_requests(&server, count));
        let mut attached = AttachProcess::begin(&server, &["attach", &worker.id, "--url", &url], false);
        let outlasts = eventually(DEADLINE, "it ends or connects again", || {
            let ended = attached.child.try_wait().unwrap().is_some();
            (ended || attached.shown().contains("reconnecting")).then_some(!ended)
        });
        if outlasts {
            assert!(is_greeted(&attached.shown()), "{}", attached.shown());
            break;
        }
        let (code, shown) = attached.end();
        assert!(code == Some(1) && !is_greeted(&shown), "after {count} requests: {shown}");
    }
}

#[test]
fn message_that_grows_over_a_restart_shows_each_word_once() {
    let Some(_) = require_program("python3") else { return };
    let mut server = start("attach-grows-on", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "writer");
    attached.typed("deltas 1000000 50\n");
    for word in ["w19 ", "w69 ", "w119 "] {
        attached.wait_shown(word);
        if word != "w119 " {
            server.kill9();
            server.start();
        }
    }
    let shown = attached.shown();
    assert!(shown.contains("[connected again]"), "{shown}");
    for number in 0..119 {
        assert_eq!(shown.matches(&format!("w{number} ")).count(), 1, "w{number}: {shown}");
    }
    worker.call(&server, "interrupt").expect(200);
    attached.wait_shown("[the turn ended: interrupted]");
    attached.typed("\u{4}");
    assert_eq!(attached.end().0, Some(0));
}

#[test]
fn a_restored_history_is_shown_from_its_beginning() {
    let Some(_) = require_program("python3") else { return };
    let mut server = start("attach-restored", &[]);
    let (worker, mut attached) = attach_in_terminal(&server, "restored");
    let stop = |server: &TestServer| {
        worker.call(server, "stop").expect(200);
        worker.wait_status(server, "stopped");
        server.wait_no_processes_of(&worker.id);
    };
    let journal = worker.dir(&server).join("journal");
    stop(&server);
    let older = std::fs::read(&journal).unwrap();
    worker.say(&server, "echo lost");
    worker.wait_turn(&server, 1);
    stop(&server);
    attached.wait_shown("> echo lost");
    server.terminate();
    std::fs::write(&journal, &older).unwrap();
    server.start();
    attached.wait_shown("[the worker's history is another one now");
    worker.say(&server, "echo found");
    worker.wait_turn(&server, 1);
    attached.wait_shown("> echo found");
    attached.typed("\u{4}");
    assert_eq!(attached.end().0, Some(0));
}

#[test]
fn step_over_a_second_is_reported_on_a_terminal() {
    let Some(_) = require_program("python3") else { return };
    let server = start("progress", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "slow"}));
    let mut waiting = AttachProcess::begin(&server, &["send", "slow", "permission"], true);
    // The first report may come later than after a second.
    waiting.wait_shown("waiting for the answer (");
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    waiting.input = None;
    let (code, shown) = waiting.end();
    assert!(code == Some(0) && shown.contains("allowed: {"), "{code:?} {shown}");
}

#[test]
fn commands_print_nothing_on_a_terminal_that_it_would_obey() {
    let Some(_) = require_program("python3") else { return };
    let server = start("terminal-clean", &[]);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "odd"}));
    worker.say(&server, "echo marked \u{9b}31m \u{1b}]0;title\u{7} \u{8}\u{8} over\rwritten \u{202e}turned");
    worker.wait_turn(&server, 1);
    let commands: [&[&str]; 5] = [
        &["export", "odd", "md"],
        &["export", "odd", "json"],
        &["export", "odd", "jsonl"],
        &["logs", "odd"],
        &["search", "marked"],
    ];
    for words in commands {
        let mut command = AttachProcess::begin(&server, words, true);
        command.input = None;
        let (code, shown) = command.end();
        assert!(code == Some(0) && shown.contains("marked"), "{words:?}: {code:?} {shown:?}");
        // Bold words are the command's own, and so is the line that reports a step of more than a second.
        let own = ["\u{1b}[1m", "\u{1b}[0m", "\r\u{1b}[K"];
        let text = own.iter().fold(shown.replace("\r\n", "\n"), |text, own| text.replace(own, ""));
        let obeyed: Vec<char> = text
            .chars()
            .filter(|it| (it.is_control() && !matches!(it, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(it))
            .collect();
        assert!(obeyed.is_empty(), "{words:?}: {obeyed:?} in {shown:?}");
    }
}

#[test]
fn form_of_an_agent_is_filled_in_line_by_line() {
    let mut server = TestServer::builder().name("attach-form").env("STOP_GRACE_SECS", "1").prepare();
    let file = json!({"family": "acp", "command": [crate::support::clis::fake_cli(), "acp"]});
    crate::support::workers::declare(&server, "agent", &file);
    server.start();
    let worker = TestWorker::create(&server, "agent", &json!({}));
    let mut attached = AttachProcess::begin(&server, &["attach", &worker.id], false);
    attached.typed("form\n");
    attached.wait_shown("? Who are you?");
    attached.wait_shown("2: Blue");
    for (line, next) in [("2\n", "? count"), ("\n", "? Name: Your name?"), ("Ann\n", "? sure"), ("yes\n", "form:")] {
        attached.typed(line);
        attached.wait_shown(next);
    }
    attached.wait_shown(r#"{"action":"accept","content":{"color":"b","count":3,"name":"Ann","sure":true}}"#);
    attached.typed("form\n");
    worker.wait_prompt(&server);
    attached.typed("/decline\n");
    attached.wait_shown(r#"form: {"action":"decline"}"#);
    attached.input = None;
    attached.end();
}
