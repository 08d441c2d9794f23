//! Real proxies in front of the server, with the unchanged files of `deploy/` except for the certificate: the page and
//! everything that it needs, the API, WebSockets, event streams and the login, below a path.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::project_file;
use crate::support::clis;
use crate::support::http::{Client, Raw};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, within};
use crate::support::ws::WsClient;

/// The name under which the proxies serve, as in the files of `deploy/`.
const NAME: &str = "agents.example.org";
const TOKEN: &str = "a-token-for-the-proxies";
/// Number of attempts to start a proxy: its port was free at the check, but another process may have taken it since.
const STARTS: usize = 5;

/// A running proxy, which ends when it is dropped.
struct Proxy {
    child: Child,
    /// A client that sends requests as a browser does that uses the proxy's name.
    client: Client,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        if within(DEADLINE, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Proxy {
    /// Starts the program that `command` gives for a port, until one answers there.
    fn start(server: &TestServer, name: &str, command: impl Fn(u16) -> Command) -> Self {
        let output = server.dir().join(format!("{name}.out"));
        for _ in 0..STARTS {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let file = fs::File::create(&output).unwrap();
            let mut child = command(free.port())
                .current_dir(server.dir())
                .stdin(Stdio::null())
                .stdout(file.try_clone().unwrap())
                .stderr(file)
                .spawn()
                .unwrap_or_else(|error| panic!("{name}: {error} (make install-test-deps installs it)"));
            let up = within(DEADLINE, || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => TcpStream::connect(free).is_ok().then_some(true),
            });
            let host = format!("{NAME}:{}", free.port());
            let proxy = Self { child, client: Client::new(free).with("host", &host) };
            if up == Some(true) {
                return proxy;
            }
        }
        panic!("{name} does not start:\n{}", fs::read_to_string(output).unwrap_or_default());
    }

    fn addr(&self) -> SocketAddr {
        self.client.addr
    }

    /// Its origin, as browsers name it.
    fn origin(&self) -> String {
        format!("http://{NAME}:{}", self.addr().port())
    }
}

/// The address of the server in an example's comment.
fn server(name: &str) -> TestServer {
    TestServer::builder()
        .name(name)
        .env("CLAUDE_BINARY", clis::fake_cli())
        .env("BASE_PATH", "/agents")
        .env("ALLOWED_HOSTS", NAME)
        .env("AUTH_TOKEN", TOKEN)
        .start()
}

/// An example with the lines of this machine in place of its own; each must be in it.
fn adapted(file: &str, changes: &[(&str, String)]) -> String {
    let mut text = project_file(file);
    for (own, here) in changes {
        assert!(text.contains(own), "{file} has no {own:?}");
        text = text.replace(own, here);
    }
    text
}

fn nginx(server: &TestServer) -> Proxy {
    let dir = server.dir().display().to_string();
    let upstream = server.addr().to_string();
    Proxy::start(server, "nginx", |port| {
        let site = adapted(
            "deploy/nginx.conf",
            &[
                ("listen 443 ssl;", format!("listen 127.0.0.1:{port};")),
                ("ssl_certificate ", "# ssl_certificate ".to_owned()),
                ("ssl_certificate_key ", "# ssl_certificate_key ".to_owned()),
                ("127.0.0.1:7788", upstream.clone()),
            ],
        );
        fs::write(server.dir().join("site.conf"), site).unwrap();
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {dir}/nginx-{what};"))
            .join("\n");
        let main = format!(
            "daemon off;\nuser {user};\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}\ninclude {dir}/site.conf;\n}}\n"
        );
        fs::write(server.dir().join("nginx.conf"), main).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-p", &dir, "-c", "nginx.conf", "-e", "stderr"]);
        command.env("PATH", path_with_sbin());
        command
    })
}

/// Debian has servers in `/usr/sbin`, which may not be in PATH.
fn path_with_sbin() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

fn caddy(server: &TestServer) -> Proxy {
    Proxy::start(server, "caddy", |port| {
        let site = adapted(
            "deploy/Caddyfile",
            &[
                ("\nagents.example.org {", format!("\nhttp://agents.example.org:{port} {{\n\tbind 127.0.0.1")),
                ("127.0.0.1:7788", server.addr().to_string()),
            ],
        );
        let file = server.dir().join("Caddyfile");
        fs::write(&file, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", server.home()).env("PATH", path_with_sbin());
        command
    })
}

/// Returns every address in a response's text that the page loads: `href="..."` and `src="..."`, and the scripts'
/// imports.
fn loaded(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for mark in ["href=\"", "src=\"", "from \"", "import \"", "import(\""] {
        let parts = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(parts.filter(|address| address.contains('.')).map(str::to_owned));
    }
    found
}

/// Walks from the page to everything that it loads, with relative addresses only; returns the number of files.
fn walk_page(client: &Client) -> usize {
    let mut seen = vec!["/agents/".to_owned()];
    let mut at = 0;
    while let Some(path) = seen.get(at).cloned() {
        at += 1;
        let reply = client.get(&path).expect(200);
        if path.ends_with(".css") || path.ends_with(".svg") {
            continue;
        }
        for address in loaded(&reply.text()) {
            assert!(!address.starts_with('/'), "{path} loads {address}, which is not below the base path");
            let mut parts: Vec<&str> = path.rsplit_once('/').unwrap().0.split('/').collect();
            for part in address.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let next = parts.join("/");
            if !seen.contains(&next) {
                seen.push(next);
            }
        }
    }
    seen.len()
}

/// Checks all features through a proxy.
fn works_through(server: &TestServer, proxy: &Proxy) {
    let client = &proxy.client;
    // The address without its slash leads to the page.
    let moved = client.get("/agents");
    assert!([301, 302, 308].contains(&moved.status), "{}", moved.status);
    let location = moved.header("location").unwrap();
    assert!(location.ends_with("agents/"), "{location}");
    assert!(walk_page(client) > 20, "the page loads its scripts and styles");

    // No client is local through a proxy, even if the proxy is.
    let refused = client.get("/agents/api/workers").expect(401);
    assert!(refused.text().contains("token"), "{}", refused.text());
    let wrong = client.with("authorization", "Bearer not-the-token-at-all");
    wrong.get("/agents/api/workers").expect(401);
    // Pages of other sites, and unknown names, are refused behind a proxy too.
    client.with("origin", "http://elsewhere.example").get("/agents/api/workers").expect(403);

    // The page's login: the token once, then a cookie that is sent only to this path.
    let page = client.with("origin", &proxy.origin());
    let login = page.post("/agents/api/login", &json!({"token": TOKEN})).expect(200);
    let cookie = login.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("; Path=/agents/;") && cookie.contains("SameSite=Strict"), "{cookie}");
    let page = page.with("cookie", cookie.split(';').next().unwrap());
    let body = json!({"name": "proxied", "project_path": server.project(), "ai_cli_type": "claude"});
    let made = page.post("/agents/api/workers", &body).expect(201).json();
    let worker = made["id"].as_str().unwrap();

    // A WebSocket with the cookie, and a turn over it.
    let headers: Vec<(&str, &str)> = page.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut ws = WsClient::connect(proxy.addr(), &format!("/agents/ws/{worker}?since=0"), &headers).unwrap();
    ws.send_json(&json!({"type": "message", "content": "echo through the proxy"}));
    assert_eq!(ws.wait_for_event("turn_completed", DEADLINE)["result"], "through the proxy");
    let without = WsClient::connect(proxy.addr(), &format!("/agents/ws/{worker}"), &headers[..1]);
    assert_eq!(without.err(), Some(401));

    // An event stream, whose next event comes while it is open: no proxy buffers it.
    let mut stream = Raw::connect(proxy.addr()).unwrap();
    let fields: String = page.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("GET /agents/api/workers/{worker}/events?since=0 HTTP/1.1\r\n{fields}\r\n");
    stream.send(head.as_bytes()).unwrap();
    let mut heard = String::new();
    wait_heard(&mut stream, &mut heard, "through the proxy");
    page.post(&format!("/agents/api/workers/{worker}/messages"), &json!({"content": "echo and once more"})).expect(202);
    wait_heard(&mut stream, &mut heard, "and once more");

    page.delete(&format!("/agents/api/workers/{worker}")).expect(200);
    let out = page.post("/agents/api/logout", &json!({})).expect(200);
    assert!(out.header("set-cookie").unwrap().contains("=; Path=/agents/; Max-Age=0"), "{:?}", out.headers);
    server.wait_no_processes_of(worker);
}

fn wait_heard(stream: &mut Raw, heard: &mut String, wanted: &str) {
    eventually(DEADLINE, &format!("{wanted:?} on the event stream"), || {
        let mut bytes = [0; 8192];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the stream has ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        heard.contains(wanted).then_some(())
    });
}

#[test]
fn real_nginx_serves_page_api_and_streams_below_a_path() {
    let server = server("nginx");
    let proxy = nginx(&server);
    works_through(&server, &proxy);
}

#[test]
fn real_caddy_serves_page_api_and_streams_below_a_path() {
    let server = server("caddy");
    let proxy = caddy(&server);
    works_through(&server, &proxy);
}

#[test]
fn base_path_leaves_nothing_served_beside_it() {
    let server = TestServer::builder().name("base").env("BASE_PATH", "/x/agents/").start();
    server.wait_output(&format!("Access at: http://{}/x/agents\n", server.addr()));
    let moved = server.get("/x/agents").expect(308);
    assert_eq!(moved.header("location"), Some("agents/"));
    server.get("/x/agents/").expect(200);
    server.get("/x/agents/api/v1/workers").expect(200);
    let document = server.get("/x/agents/openapi.json").expect(200).json();
    assert_eq!(document["servers"], json!([{"url": "/x/agents"}]), "tools find the API by its document");
    for beside in ["/", "/health", "/api/workers", "/x/agentsapi/workers", "/x", "/x/agents2/"] {
        let reported = server.get(beside).expect(404).json();
        assert_eq!(
            reported["detail"], "nothing is served here: all paths begin with /x/agents/ (see BASE_PATH)",
            "{beside}"
        );
    }
    assert_eq!(server.get("/x/agents/none").expect(404).json()["detail"], "Not Found");
    // The redirect never names another site's address, whatever Host says, and unknown names are refused.
    server.client.with("host", "evil.example").get("/x/agents").expect(403);
}
