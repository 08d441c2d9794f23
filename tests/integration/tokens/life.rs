//! Tokens are made, listed, used and revoked.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{TOKEN, TestToken, server};
use crate::support::http::Client;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::{WsClient, WsReceipt};
use crate::wire::{LOOP, builder, command, detail, idle_worker, start};

/// The time within which what a revoked token has opened must end.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn tokens_are_listed_with_last_use_and_never_their_secret() {
    let mut server = server();
    let made = TestToken::new(&server, "wall display", "read", &json!({"expires_at": "2099-01-02T03:04:05Z"}));
    assert!(made.secret.starts_with("rsw_") && made.secret.len() == 68, "{}", made.secret);
    let only =
        |server: &crate::support::server::TestServer| server.get("/api/tokens").expect(200).json()["tokens"][0].clone();
    assert_eq!((&only(&server)["last_used"], &only(&server)["expired"]), (&Value::Null, &json!(false)));
    made.client(&server).get("/metrics").expect(200);
    let listed = only(&server);
    assert_eq!(
        (&listed["name"], &listed["scope"], &listed["last_address"]),
        (&json!("wall display"), &json!("read"), &json!("127.0.0.1"))
    );
    assert!(
        crate::wire::is_utc_time(&listed["last_used"]) && crate::wire::is_utc_time(&listed["expires_at"]),
        "{listed}"
    );
    assert!(!listed.to_string().contains(&made.secret));
    let file = server.data_dir().join(".tokens");
    assert_eq!(
        fs::metadata(&file).map(|it| std::os::unix::fs::PermissionsExt::mode(&it.permissions()) & 0o777).unwrap(),
        0o600
    );
    assert!(!fs::read_to_string(&file).unwrap().contains(&made.secret[4..]));
    assert!(!server.log().contains(&made.secret[4..]), "not in the log either");
    server.restart();
    made.client(&server).get("/api/workers").expect(200);
    server.kill9();
    server.start();
    made.client(&server).get("/api/workers").expect(200);
    made.client(&server).get("/api/tokens").expect(403);
}

#[test]
fn revocation_ends_sockets_streams_and_logins_within_a_second() {
    let server = server();
    let worker = idle_worker(&server, LOOP);
    let made = TestToken::new(&server, "phone", "answer", &json!({}));
    let login = Client::new(server.addr()).post("/api/login", &json!({"token": made.secret})).expect(200);
    let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let with_cookie = Client::new(server.addr()).with("cookie", &cookie);
    assert_eq!(with_cookie.get("/api/health").expect(200).json()["scope"], "answer");
    with_cookie.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(403);
    let mut sockets = vec![
        made.ws(&server, "/ws").unwrap(),
        made.ws(&server, &format!("/ws/{worker}?since=0")).unwrap(),
        WsClient::connect(server.addr(), "/ws", &[("cookie", &cookie)]).unwrap(),
    ];
    let mut stream = crate::support::http::Raw::connect(server.addr()).unwrap();
    let head = format!(
        "GET /api/workers/{worker}/events HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\n\r\n",
        server.addr(),
        made.bearer()
    );
    stream.send(head.as_bytes()).unwrap();
    let mut begin = [0; 12];
    assert!(stream.read(&mut begin).unwrap() > 0, "the stream has begun");
    for socket in &mut sockets {
        crate::wire::frames_before_pong(socket);
    }
    let begin = Instant::now();
    server.delete(&format!("/api/tokens/{}", made.id)).expect(200);
    for socket in &mut sockets {
        socket.wait_for_close(REVOKED_WITHIN);
    }
    assert!(stream.is_closed_within(REVOKED_WITHIN), "the event stream is still open");
    println!("all closed {:?} after the revocation began", begin.elapsed());
    assert!(begin.elapsed() < REVOKED_WITHIN, "{:?}", begin.elapsed());
    assert_eq!(detail(&made.client(&server).get("/api/workers").expect(401)), "the token is wrong");
    with_cookie.get("/api/workers").expect(401);
    assert_eq!(server.get("/api/logins").expect(200).json()["logins"], json!([]));
    server.delete(&format!("/api/tokens/{}", made.id)).expect(404);
}

#[test]
fn tokens_work_on_a_server_without_one_of_its_own() {
    let server = start(builder());
    let made = TestToken::new(&server, "phone", "read", &json!({}));
    // A local program has the scope of the token that it names, and the whole one without it.
    assert_eq!(made.client(&server).get("/api/health").expect(200).json()["scope"], "read");
    assert_eq!(server.get("/api/health").expect(200).json()["scope"], "admin");
    let proxied = made.client(&server).with("x-forwarded-for", "192.0.2.1");
    proxied.get("/api/workers").expect(200);
    server.delete(&format!("/api/tokens/{}", made.id)).expect(200);
    proxied.get("/api/workers").expect(401);
    made.client(&server).get("/api/workers").expect(401);
}

#[test]
fn hostile_wishes_for_tokens_are_refused_with_the_field() {
    let server = server();
    let long = "n".repeat(65);
    for (body, status, said) in [
        (json!({}), 422, "Field required"),
        (json!({"name": "a", "scope": "owner"}), 422, "read, answer, send or admin"),
        (json!({"name": "", "scope": "read"}), 400, "a name has from 1"),
        (json!({"name": long, "scope": "read"}), 400, "a name has from 1"),
        (json!({"name": "a\u{1b}[2J", "scope": "read"}), 400, "no control characters"),
        (json!({"name": "a", "scope": "read", "workers": ["none"]}), 400, "Worker not found"),
        (json!({"name": "a", "scope": "read", "projects": ["relative"]}), 400, "absolute path"),
        (json!({"name": "a", "scope": "read", "projects": ["/none/such"]}), 400, "cannot be used"),
        (json!({"name": "a", "scope": "read", "projects": vec!["/"; 17]}), 400, "16 projects at most"),
        (json!({"name": "a", "scope": "read", "expires_at": "2001-01-01T00:00:00Z"}), 400, "in the past"),
        (json!({"name": "a", "scope": "read", "expires_at": 5}), 422, "a time as in"),
    ] {
        let refused = server.post("/api/tokens", &body).expect(status);
        assert!(refused.text().contains(said), "{body}: {}", refused.text());
    }
    TestToken::new(&server, "a", "read", &json!({}));
    let again = server.post("/api/tokens", &json!({"name": "a", "scope": "admin"})).expect(409);
    assert!(detail(&again).contains("there is a token of this name"), "{}", again.text());
    assert_eq!(server.get("/api/tokens").expect(200).json()["tokens"].as_array().unwrap().len(), 1);
}

#[test]
fn guessed_tokens_are_throttled_and_real_ones_are_let_in() {
    let server = server();
    let made = TestToken::new(&server, "a", "read", &json!({}));
    let guess = |at: usize| {
        let bearer = format!("Bearer rsw_{at:064}");
        Client::new(server.addr()).with("authorization", &bearer).get("/api/workers").status
    };
    let statuses: Vec<u16> = (0..8).map(guess).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    made.client(&server).get("/api/workers").expect(200);
    assert_ne!(made.secret, TOKEN);
    made.ws(&server, "/ws").unwrap().wait_for("the list", DEADLINE, |frame| frame["type"] == "workers");
}

#[test]
fn answer_with_another_input_needs_the_scope_admin() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let message = json!({"content": "permission Bash {\"command\":\"true\"}"});
    server.post(&format!("/api/workers/{worker}/messages"), &message).expect(202);
    server.wait_status(&worker, "waiting");
    let prompts = server.get("/api/permissions").expect(200).json();
    let request = prompts["permissions"][0]["request_id"].as_str().unwrap().to_owned();
    let made = TestToken::new(&server, "phone", "answer", &json!({}));
    let other = json!({"option_id": "allow", "updated_input": {"command": "id"}});
    let path = format!("/api/workers/{worker}/permissions/{request}");
    made.client(&server).post(&path, &other).expect(403);
    let mut ws = made.ws(&server, "/ws").unwrap();
    let frame = json!({"type": "permission", "worker_id": worker, "request_id": request, "option_id": "allow",
                       "updated_input": {"command": "id"}});
    assert_eq!(command(&mut ws, frame)["status"], 403);
    made.client(&server).post(&path, &json!({"option_id": "allow"})).expect(200);
}

#[test]
fn narrowed_socket_ends_when_its_worker_moves_away() {
    let server = server();
    let project = server.project();
    let worker = idle_worker(&server, LOOP);
    let made = TestToken::new(&server, "wall", "send", &json!({"projects": [project]}));
    let mut ws = made.ws(&server, &format!("/ws/{worker}")).unwrap();
    server.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(200);
    let elsewhere = server.dir().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    server.patch(&format!("/api/workers/{worker}"), &json!({"project_path": elsewhere})).expect(200);
    let ended = eventually(DEADLINE, "the end of the socket", || match ws.receive(Duration::from_millis(100)) {
        WsReceipt::Closed(_) => Some(true),
        WsReceipt::Frame(_) | WsReceipt::Nothing => None,
    });
    assert!(ended);
    made.client(&server).get(&format!("/api/workers/{worker}")).expect(404);
}
