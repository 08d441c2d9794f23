//! The webhook, with a real receiver that checks signatures as docs/operations.md shows.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::server::{Builder, TestServer, wait_file};
use crate::support::temp::TempDir;
use crate::support::users::serve_as_stranger;
use crate::support::wait::{DEADLINE, eventually, patience};
use crate::support::workers::TestWorker;
use crate::wire::{self, LOOP, builder};

const SECRET: &str = "a-secret-between-the-two-of-us";

/// A running receiver, which ends when it is dropped.
struct Receiver {
    child: Child,
    dir: TempDir,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    /// Starts one that sends these responses in turn.
    fn start(answers: &[&str]) -> Self {
        Self::start_with(answers, false)
    }

    /// The same over TLS, with its own certificate.
    fn start_tls(answers: &[&str]) -> Self {
        Self::start_with(answers, true)
    }

    fn start_with(answers: &[&str], tls: bool) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = TempDir::new("webhook");
        fs::write(dir.path().join("verify.py"), documented_check()).unwrap();
        let script = dir.path().join("receiver.py");
        fs::copy(root.join("tests/python/webhook_receiver.py"), &script).unwrap();
        let out = File::create(dir.path().join("out")).unwrap();
        let certificate = dir.path().join("certificate.pem");
        if tls {
            make_certificate(&certificate);
        }
        let python = root.join("target/venv/bin/python");
        let child = Command::new(&python)
            .arg(script)
            .arg(SECRET)
            .arg(if tls { certificate.as_os_str() } else { "plain".as_ref() })
            .args(answers)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error} (make install-test-deps)", python.display()));
        let receiver = Self { child, dir };
        eventually(DEADLINE, "the receiver's port", || receiver.out().contains('\n').then_some(()));
        receiver
    }

    fn out(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).unwrap()
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/hook?for=me", self.out().lines().next().unwrap())
    }

    /// The messages so far.
    fn messages(&self) -> Vec<Value> {
        let out = self.out();
        let whole = out.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().skip(1).map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{out}"))).collect()
    }

    #[track_caller]
    fn wait(&self, count: usize) -> Vec<Value> {
        eventually(DEADLINE, &format!("{count} messages"), || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        })
    }

    /// Returns the settings of a server with this receiver as its webhook.
    fn reported_by(&self, builder: Builder) -> Builder {
        builder
            .env("WEBHOOK_URL", self.url("127.0.0.1"))
            .env("WEBHOOK_SECRET", SECRET)
            .env("WEBHOOK_ALLOW_PRIVATE", "true")
    }
}

/// Creates a self-signed certificate of `localhost`, and its key.
fn make_certificate(path: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    let made = openssl.arg("-keyout").arg(path).arg("-out").arg(path.with_extension("crt")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let both = [path.to_owned(), path.with_extension("crt")].map(|part| fs::read(part).unwrap()).concat();
    fs::write(path, both).unwrap();
}

/// The function of docs/operations.md that checks a signature.
fn documented_check() -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let blocks = text.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .into_iter()
        .find(|block| block.contains("def is_genuine("))
        .expect("docs/operations.md has the function")
        .to_owned()
}

/// Returns the server's count of its messages.
fn count(server: &TestServer, outcome: &str) -> u64 {
    let line = format!("rs_worker_webhook_messages_total{{outcome=\"{outcome}\"}} ");
    let text = server.get("/metrics").expect(200).text();
    text.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[track_caller]
fn wait_count(server: &TestServer, outcome: &str, wanted: u64) {
    eventually(DEADLINE, &format!("{wanted} {outcome}"), || (count(server, outcome) >= wanted).then_some(()));
    assert_eq!(count(server, outcome), wanted, "{outcome}");
}

fn one_turn(server: &TestServer, prompt: &str) -> TestWorker {
    let worker = TestWorker::create(server, "claude", &json!({"name": "told of"}));
    worker.wait_status(server, "idle");
    worker.say(server, prompt);
    worker
}

#[test]
fn real_prompts_that_a_rule_answers_notify_nobody() {
    let receiver = Receiver::start(&["204"]);
    let server = receiver.reported_by(builder()).start();
    server.post("/api/rules", &json!({"name": "ls", "effect": "allow", "commands": ["ls"]})).expect(201);
    let worker = one_turn(&server, "permission Bash {\"command\":\"ls\"}");
    worker.wait_turn(&server, 1);
    worker.say(&server, "permission Bash {\"command\":\"ls /\"}");
    let reported: Vec<Value> = receiver.wait(2).into_iter().map(|message| message["body"]["type"].clone()).collect();
    assert_eq!(reported, ["turn_completed", "waiting"], "only what no rule answers");
}

#[test]
fn real_prompts_turns_and_failures_arrive_signed_in_order() {
    let receiver = Receiver::start(&["204"]);
    let server = receiver.reported_by(builder()).start();
    let worker = one_turn(&server, "permission Bash {\"command\":\"ls\"}");
    let asked = receiver.wait(1);
    let prompt = worker.wait_prompt(&server);
    let (reported, event) = (&asked[0]["body"], &asked[0]["body"]["data"]["event"]);
    assert_eq!((&asked[0]["path"], &asked[0]["type"]), (&json!("/hook?for=me"), &json!("application/json")));
    assert_eq!((&reported["type"], &event["type"]), (&json!("waiting"), &json!("permission_request")));
    assert_eq!((&event["request_id"], &event["tool_name"]), (&prompt["request_id"], &json!("Bash")));
    let of = &reported["data"]["worker"];
    assert_eq!((&of["id"], &of["name"], &of["status"]), (&json!(worker.id), &json!("told of"), &json!("waiting")));
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    receiver.wait(2);
    worker.say(&server, "exit 3");
    let all = receiver.wait(4);
    let kinds: Vec<&str> = all.iter().map(|message| message["body"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["waiting", "turn_completed", "turn_completed", "failed"]);
    let turn = &worker.events_of(&server, "turn_completed")[0];
    let reported = &all[1]["body"];
    assert_eq!((&reported["data"]["seq"], &reported["timestamp"]), (&turn["seq"], &turn["timestamp"]));
    assert_eq!(reported["data"]["event"]["result"], turn["result"]);
    assert_eq!(all[3]["body"]["data"]["worker"]["status"], "failed");
    for message in &all {
        assert_eq!((&message["genuine"], &message["changed_is_genuine"]), (&json!(true), &json!(false)), "{message}");
    }
    wait_count(&server, "delivered", 4);
    let log = server.log();
    assert!(!log.contains(SECRET) && !log.contains("for=me"), "secrets are masked: {log}");
}

#[test]
fn real_budget_warning_arrives_once_at_80_percent() {
    let receiver = Receiver::start(&["204"]);
    let server = receiver.reported_by(builder()).env("WEBHOOK_EVENTS", "budget,failed").start();
    server.post("/api/budgets", &json!({"name": "five", "limits": {"turns": 5}})).expect(201);
    let worker = one_turn(&server, "echo 1");
    for turn in 2..=4 {
        worker.wait_turn(&server, turn - 1);
        assert!(receiver.messages().is_empty(), "less than 80 % are used");
        worker.say(&server, "echo more");
    }
    let reported = &receiver.wait(1)[0]["body"];
    assert_eq!((&reported["type"], &reported["data"]["event"]["code"]), (&json!("budget"), &json!("budget_warning")));
    let text = reported["data"]["event"]["content"].as_str().unwrap();
    assert!(text.contains("80 %") && text.contains("4 of 5 turns"), "{text}");
    worker.say(&server, "exit 3");
    let kinds: Vec<Value> = receiver.wait(2).into_iter().map(|message| message["body"]["type"].clone()).collect();
    assert_eq!(kinds, ["budget", "failed"], "one warning, also after the fifth turn");
}

#[test]
fn real_only_the_events_that_are_wanted_are_reported() {
    let receiver = Receiver::start(&["200"]);
    let mut server = receiver.reported_by(builder()).env("WEBHOOK_EVENTS", "failed").start();
    let worker = one_turn(&server, "echo a turn");
    worker.wait_turn(&server, 1);
    worker.say(&server, "exit 3");
    let all = receiver.wait(1);
    assert_eq!(all[0]["body"]["type"], "failed");
    wait_count(&server, "delivered", 1);
    assert!(server.terminate().success());
    assert!(!server.log().contains("does not answer"), "there was nothing to wait for: {}", server.log());
}

#[test]
fn real_undelivered_message_is_resent_and_known_by_its_id() {
    let receiver = Receiver::start(&["500", "429", "200"]);
    let server = receiver.reported_by(builder()).start();
    one_turn(&server, "echo hi");
    let tries = receiver.wait(3);
    assert!(tries.iter().all(|message| message["genuine"] == true && message["id"] == tries[0]["id"]), "{tries:#?}");
    wait_count(&server, "delivered", 1);
    assert_eq!((receiver.messages().len(), count(&server, "failed")), (3, 0));
}

#[test]
fn real_message_is_dropped_after_its_attempts_and_others_follow() {
    let receiver = Receiver::start(&["500", "500", "400", "302=http://127.0.0.1:9/", "200"]);
    let server = receiver.reported_by(builder()).env("WEBHOOK_ATTEMPTS", "2").start();
    let worker = one_turn(&server, "echo first");
    worker.wait_turn(&server, 1);
    wait_count(&server, "failed", 1);
    // Refused and redirected messages are not retried.
    for (turn, prompt) in [(2, "echo second"), (3, "echo third"), (4, "echo fourth")] {
        worker.say(&server, prompt);
        worker.wait_turn(&server, turn);
    }
    let all = receiver.wait(5);
    wait_count(&server, "delivered", 1);
    assert_eq!((all.len(), count(&server, "failed"), count(&server, "dropped")), (5, 3, 0));
    let results: Vec<&Value> = all.iter().map(|message| &message["body"]["data"]["event"]["result"]).collect();
    assert_eq!(results, ["first", "first", "second", "third", "fourth"]);
    server.wait_output("redirections are not followed");
}

#[test]
fn real_private_address_behind_a_name_is_refused_before_connecting() {
    let receiver = Receiver::start(&["200"]);
    let url = receiver.url("localhost");
    let server = receiver.reported_by(builder()).env("WEBHOOK_URL", url).env("WEBHOOK_ALLOW_PRIVATE", "false").start();
    one_turn(&server, "echo hi");
    wait_count(&server, "failed", 1);
    assert_eq!(receiver.messages(), Vec::<Value>::new());
    server.wait_output("is not an address of the Internet (this machine)");
}

#[test]
fn real_messages_go_over_tls_to_a_trusted_receiver() {
    let receiver = Receiver::start_tls(&["503", "204"]);
    let url = receiver.url("localhost").replace("http:", "https:");
    let trusted = receiver.dir.path().join("certificate.crt");
    let builder = receiver.reported_by(builder()).env("WEBHOOK_URL", &url).env("CURL_CA_BUNDLE", trusted);
    // Neither proxies nor the user's own settings of curl redirect the request.
    let server = builder.env("HTTPS_PROXY", "http://127.0.0.1:9").start();
    one_turn(&server, "hello");
    wait_count(&server, "delivered", 1);
    let messages = receiver.messages();
    assert_eq!((messages.len(), &messages[0]["id"]), (2, &messages[1]["id"]), "503 is tried again");
    for message in messages {
        assert_eq!((&message["genuine"], &message["changed_is_genuine"]), (&json!(true), &json!(false)), "{message}");
        assert_eq!((&message["path"], &message["type"]), (&json!("/hook?for=me"), &json!("application/json")));
        assert_eq!(message["body"]["type"], "turn_completed");
    }
}

#[test]
fn real_unprivileged_servers_messages_have_bodies_over_tls() {
    // Memory and files of the server are inaccessible to its own user, and thus to the curl that it starts.
    let receiver = Receiver::start_tls(&["204"]);
    let url = receiver.url("localhost").replace("http:", "https:");
    let trusted = receiver.dir.path().join("certificate.crt");
    let builder = receiver.reported_by(builder()).env("WEBHOOK_URL", &url).env("CURL_CA_BUNDLE", trusted);
    let Some(server) = serve_as_stranger(builder) else { return };
    one_turn(&server, "hello");
    wait_count(&server, "delivered", 1);
    let message = receiver.messages().remove(0);
    assert_eq!((&message["body"]["type"], &message["genuine"]), (&json!("turn_completed"), &json!(true)), "{message}");
}

#[test]
fn real_receiver_with_an_untrusted_certificate_gets_nothing() {
    let receiver = Receiver::start_tls(&["204"]);
    let url = receiver.url("localhost").replace("http:", "https:");
    let server = receiver.reported_by(builder()).env("WEBHOOK_URL", &url).env("WEBHOOK_ATTEMPTS", "1").start();
    one_turn(&server, "hello");
    wait_count(&server, "failed", 1);
    assert!(receiver.messages().is_empty());
    let log = wait_file(&server.dir().join("logs/app.log"), "certificate");
    assert!(!log.contains("/hook?for=me"), "the address may be a secret: {log}");
}

#[test]
fn contradictory_settings_stop_the_start_with_a_remedy() {
    let secret = ("WEBHOOK_SECRET", SECRET);
    for (settings, said) in [
        (vec![("WEBHOOK_URL", "http://example.org/")], "WEBHOOK_SECRET is not"),
        (vec![("WEBHOOK_URL", "http://169.254.169.254/latest"), secret], "WEBHOOK_ALLOW_PRIVATE=true"),
        (vec![("WEBHOOK_URL", "http://[::ffff:10.0.0.1]/"), secret], "a private network"),
        (vec![("WEBHOOK_URL", "https://example.org/"), secret, ("PATH", "/nowhere")], "apt-get install curl"),
        (vec![("WEBHOOK_URL", "example.org"), secret], "WEBHOOK_URL"),
        (vec![("WEBHOOK_EVENTS", "everything")], "some of `waiting`, `turn_completed`, `failed`"),
        (vec![("WEBHOOK_SECRET", "short")], "16 to 4096"),
    ] {
        let mut builder = builder();
        for (name, value) in &settings {
            builder = builder.env(name, value);
        }
        let (status, output) = builder.prepare().start_in_vain();
        assert_eq!(status.code(), Some(1), "{settings:?}");
        assert!(output.contains(said), "{said}: {output}");
    }
}

/// Turns that end while the receiver hangs: more than the queue holds.
const TURNS: usize = 300;

#[test]
fn real_hanging_receiver_delays_nothing_else() {
    let receiver = Receiver::start(&["hang"]);
    let prepared = receiver.reported_by(builder()).env("MAX_QUEUE", "1000").env("WEBHOOK_TIMEOUT_SECS", "60");
    let mut server = wire::start(prepared);
    let worker = TestWorker { id: wire::idle_worker(&server, LOOP) };
    worker.say(&server, "number 0");
    receiver.wait(1);
    for number in 1..TURNS {
        worker.say(&server, &format!("number {number}"));
    }
    eventually(DEADLINE, "all turns", || {
        let turns = worker.show(&server)["turns"].as_u64();
        (turns == Some(TURNS as u64)).then_some(())
    });
    // One message is still being sent, so none has waited for its end; and the queue is full.
    wait_count(&server, "dropped", TURNS as u64 - 1 - 256);
    assert_eq!(receiver.messages().len(), 1);
    let begin = Instant::now();
    assert!(server.terminate().success());
    let bound = Duration::from_secs(15) * patience();
    assert!(begin.elapsed() < bound, "it does not wait for the receiver: {:?}", begin.elapsed());
}
