//! Requests over loopback: only the server's own user and root need no token.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::json;

use super::TOKEN;
use crate::support::http::Client;
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::users::{STRANGER, command_of, curl_of, serve_as_stranger};
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{builder, detail, server, start};

#[test]
fn second_user_of_the_machine_gets_401_on_loopback() {
    let server = server();
    server.get("/api/workers").expect(200);
    let url = format!("http://{}", server.addr());
    let project = server.project();
    let body = format!(
        r#"{{"name":"x","project_path":"{}","ai_cli_type":"sh","initial_message":"id -un > owned"}}"#,
        project.display()
    );
    let post = ["--header", "content-type: application/json", "--data", &body];
    let login = ["--header", "content-type: application/json", "--data", r#"{"token":"a-token-of-her-own"}"#];
    let reported = format!(
        "takes requests without a token from its own user (uid {}) and from root alone, and this one is from uid {STRANGER}",
        geteuid()
    );
    for (path, more) in [("/api/workers", &post[..]), ("/api/workers", &[]), ("/metrics", &[]), ("/api/login", &login)]
    {
        let Some((status, text)) = curl_of(STRANGER, &(url.clone() + path), more) else { return };
        assert_eq!(status, 401, "{path}: {text}");
        assert!(text.contains(&reported) && text.contains("LOCAL_ACCESS=token"), "{path}: {text}");
    }
    let upgrade = ["--header", "connection: upgrade", "--header", "upgrade: websocket"];
    assert_eq!(curl_of(STRANGER, &(url.clone() + "/ws"), &upgrade).unwrap().0, 401);
    assert_eq!(server.worker_ids(), Vec::<String>::new());
    // Routes without authentication stay open.
    for path in ["/", "/health", "/api/ready"] {
        assert_eq!(curl_of(STRANGER, &(url.clone() + path), &[]).unwrap().0, 200, "{path}");
    }
}

fn server_of_stranger() -> Option<TestServer> {
    serve_as_stranger(builder())
}

#[test]
fn root_needs_no_token_from_a_users_server() {
    let Some(server) = server_of_stranger() else { return };
    server.get("/api/workers").expect(200);
    let url = format!("http://{}/api/workers", server.addr());
    assert_eq!(curl_of(STRANGER, &url, &[]).unwrap().0, 200);
    assert_eq!(curl_of(STRANGER + 1, &url, &[]).unwrap().0, 401);
}

#[test]
fn open_access_lets_every_local_user_in() {
    let server = start(builder().env("LOCAL_ACCESS", "open"));
    let url = format!("http://{}/api/workers", server.addr());
    let Some((status, _)) = curl_of(STRANGER, &url, &[]) else { return };
    assert_eq!(status, 200);
    server.client.with("via", "1.1 proxy").get("/api/workers").expect(401);
}

#[test]
fn token_access_makes_a_token_that_loopback_needs_too() {
    let server = start(builder().env("LOCAL_ACCESS", "token"));
    let refused = server.get("/api/workers").expect(401);
    assert_eq!(detail(&refused), "a token is needed: send it as Authorization: Bearer, or log in");
    let token = fs::read_to_string(server.dir().join("data/auth_token")).unwrap();
    bearer(&server.client, token.trim()).get("/api/workers").expect(200);
}

#[test]
fn explicit_same_user_access_holds_beside_a_token() {
    let server = start(builder().env("AUTH_TOKEN", TOKEN).env("LOCAL_ACCESS", "same-user"));
    server.get("/api/workers").expect(200);
    bearer(&server.client, TOKEN).get("/api/workers").expect(200);
    bearer(&server.client, "wrong-wrong-wrong-wrong").get("/api/workers").expect(401);
    let url = format!("http://{}/api/workers", server.addr());
    let Some((status, _)) = curl_of(STRANGER, &url, &[]) else { return };
    assert_eq!(status, 401);
    let bearer = format!("authorization: Bearer {TOKEN}");
    assert_eq!(curl_of(STRANGER, &url, &["--header", &bearer]).unwrap().0, 200);
}

#[test]
fn isolating_runner_refuses_access_without_a_token() {
    for access in ["open", "same-user"] {
        let mut server = builder().env("RUNNER", "bwrap").env("LOCAL_ACCESS", access).prepare();
        let (status, output) = server.start_in_vain();
        assert!(!status.success());
        assert!(output.contains("must be `token` while RUNNER allows bwrap"), "{output}");
    }
    let Some(_) = require_program("bwrap") else { return };
    let server = start(builder().env("RUNNER", "none,bwrap"));
    Client::new(server.addr()).get("/api/workers").expect(401);
    server.get("/api/workers").expect(200);
}

#[test]
fn bare_nginx_of_a_second_user_gets_401() {
    let Some(nginx) = require_program("nginx") else { return };
    let server = server();
    let folder = server.dir().join("nginx");
    fs::create_dir(&folder).unwrap();
    for (path, mode) in [(server.dir(), 0o755), (folder.as_path(), 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    // `proxy_pass` alone: HTTP/1.0, the server's own address as Host, no header of a proxy.
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         {temporary}server {{\nlisten 127.0.0.1:{port};\nlocation / {{ proxy_pass http://{1}; }}\n}}\n}}\n",
        folder.display(),
        server.addr()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, settings).unwrap();
    let file = file.display().to_string();
    let words = [nginx.to_str().unwrap(), "-e", "stderr", "-c", &file];
    let Some(mut command) = command_of(STRANGER, &words) else { return };
    let mut nginx = command.current_dir("/").spawn().unwrap();
    let client = Client::new(([127, 0, 0, 1], port).into());
    let ask = |path: &str| client.try_request("GET", path, &[], b"");
    let reply = eventually(DEADLINE, "nginx answers", || ask("/api/workers").ok());
    let health = ask("/health").map(|reply| reply.status);
    let _ = kill(Pid::from_raw(nginx.id() as i32), Signal::SIGTERM);
    let _ = nginx.wait();
    assert_eq!((reply.status, health.ok()), (401, Some(200)), "{}", reply.text());
    assert!(reply.text().contains(&format!("from uid {STRANGER}")), "{}", reply.text());
}

#[test]
fn memory_of_server_and_shim_is_closed_to_its_user() {
    let Some(server) = server_of_stranger() else { return };
    let worker = server.create_worker("claude", &json!({}));
    server.wait_status(&worker, "idle");
    let reads = |pid: i32| {
        let file = format!("/proc/{pid}/environ");
        command_of(STRANGER, &["cat", &file]).unwrap().current_dir("/").output().unwrap().status.success()
    };
    assert!(!reads(server.pid()), "the server's");
    let (shims, agents): (Vec<_>, Vec<_>) =
        server.processes_of(&worker).into_iter().partition(|process| process.command.contains(" shim "));
    assert!(!shims.is_empty() && !agents.is_empty());
    assert!(shims.iter().all(|shim| !reads(shim.pid)), "a shim's");
    assert!(agents.iter().all(|agent| reads(agent.pid)), "agents are as open as ever");
}

#[test]
fn requests_that_name_any_proxy_are_never_local() {
    let server = server();
    for name in [
        "cf-connecting-ip",
        "true-client-ip",
        "x-forwarded-server",
        "x-client-ip",
        "x-original-forwarded-for",
        "cf-ray",
    ] {
        server.client.with(name, "127.0.0.1").get("/api/workers").expect(401);
    }
}

/// The kernel reports a socket that its process has closed as root's.
#[test]
fn closed_connections_of_a_second_user_are_not_roots() {
    const TRIES: usize = 200;
    let server = server();
    let body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "claude"}).to_string();
    let request = format!(
        "POST /api/workers HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        server.addr(),
        body.len()
    );
    let file = server.dir().join("request");
    fs::write(&file, request).unwrap();
    for folder in [server.dir(), &file] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = format!(
        "request=$(cat {}; echo x); for i in $(seq {TRIES}); do exec 3<>/dev/tcp/127.0.0.1/{}; \
         printf %s \"${{request%x}}\" >&3; exec 3>&-; done",
        file.display(),
        server.addr().port()
    );
    let Some(mut command) = command_of(STRANGER, &["bash", "-c", &script]) else { return };
    assert!(command.current_dir("/").status().unwrap().success());
    eventually(DEADLINE, "all are answered", || {
        let text = server.get("/metrics").expect(200).text();
        let counter = "rs_worker_http_requests_total{method=\"POST\",route=\"/api/workers\",status=\"401\"} ";
        let count: usize = text.lines().find_map(|line| line.strip_prefix(counter))?.parse().ok()?;
        (count >= TRIES).then_some(())
    });
    assert_eq!(server.worker_ids(), Vec::<String>::new());
}

fn bearer(client: &Client, token: &str) -> Client {
    client.with("authorization", &format!("Bearer {token}"))
}
