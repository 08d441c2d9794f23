//! Tokens with scopes: what each may do, what narrowed ones see, pairing, revocation, and the audit.

mod audit;
mod command_line;
mod life;
mod pairing;
mod reach;
mod routes;
mod table;

use serde_json::{Value, json};

use crate::support::http::Client;
use crate::support::server::{Builder, TestServer};
use crate::support::ws::WsClient;
use crate::wire::{builder, start};

/// The server's own token.
const TOKEN: &str = "correct-horse-battery-staple-0123";

/// A server with a token of its own, whose client sends it.
#[track_caller]
fn with_token(builder: Builder) -> TestServer {
    let mut server = start(builder.env("AUTH_TOKEN", TOKEN));
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    server
}

/// Such a server.
#[track_caller]
fn server() -> TestServer {
    with_token(builder())
}

/// A token that was made.
struct TestToken {
    id: String,
    secret: String,
}

impl TestToken {
    /// Makes a token; `more` is laid over the request's body.
    #[track_caller]
    fn new(server: &TestServer, name: &str, scope: &str, more: &Value) -> Self {
        let mut body = json!({"name": name, "scope": scope});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = server.post("/api/tokens", &body).expect(201).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { id: text(&made["token"]["id"]), secret: text(&made["secret"]) }
    }

    /// The header that carries it.
    fn bearer(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    /// A client that sends it.
    fn client(&self, server: &TestServer) -> Client {
        Client::new(server.addr()).with("authorization", &self.bearer())
    }

    /// A WebSocket that was opened with it.
    fn ws(&self, server: &TestServer, path: &str) -> Result<WsClient, u16> {
        WsClient::connect(server.addr(), path, &[("authorization", &self.bearer())])
    }
}
