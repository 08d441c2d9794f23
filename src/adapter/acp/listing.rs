//! The dialog that asks an agent for its sessions (`initialize`, then pages of `session/list`). Pure: the caller runs the
//! agent and passes the lines on.

use serde_json::{Value, json};

use super::{errors, rpc};
use crate::adapter::kit::{field, text};
use crate::json;

/// Most pages that are asked for.
const PAGES_MAX: usize = 20;
/// Most sessions of one answer.
const SESSIONS_MAX: usize = 1_000;

/// A session as its agent lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentSession {
    /// The agent's id of it.
    pub session_id: String,
    /// Its working directory.
    pub cwd: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The time of its last activity, as ISO 8601.
    pub updated_at: Option<String>,
}

/// The state of a dialog after a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListStep {
    /// Write this line next.
    Write(Vec<u8>),
    /// Wait for the next line.
    Wait,
    /// All sessions, as far as they were asked for.
    Done(Vec<AgentSession>),
    /// No list, and the reason in words.
    Failed(String),
}

/// One dialog.
#[derive(Debug, Default)]
pub(crate) struct SessionListing {
    requests: u64,
    pages: usize,
    sessions: Vec<AgentSession>,
}

impl SessionListing {
    /// The line that begins it.
    pub(crate) fn begin(&mut self) -> Vec<u8> {
        self.request(
            "initialize",
            json!({
                "protocolVersion": rpc::PROTOCOL_VERSION,
                "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
                "clientInfo": rpc::client_info(),
            }),
        )
    }

    fn request(&mut self, method: &str, params: Value) -> Vec<u8> {
        let line = rpc::line(&rpc::request(self.requests, method, params));
        self.requests += 1;
        line
    }

    /// Takes the next line of the agent's stdout.
    pub(crate) fn line(&mut self, line: &[u8]) -> ListStep {
        let Some(mut line) = json::value(line) else { return ListStep::Wait };
        let id = line.get("id").cloned().unwrap_or_default();
        if let Some(method) = field::text(&line, "method") {
            // The agent's own requests would otherwise keep it waiting.
            let declined = (!id.is_null()).then(|| rpc::line(&rpc::no_method(&id, method)));
            return declined.map_or(ListStep::Wait, ListStep::Write);
        }
        if id != self.requests {
            return ListStep::Wait;
        }
        let error = field::take(&mut line, "error");
        if !error.is_null() {
            return ListStep::Failed(errors::error_text(&error));
        }
        let result = field::take(&mut line, "result");
        if self.requests == 1 { self.initialized(&result) } else { self.page(&result) }
    }

    fn initialized(&mut self, result: &Value) -> ListStep {
        let able = result.get("agentCapabilities").and_then(|able| able.get("sessionCapabilities"));
        match able.and_then(|able| able.get("list")) {
            Some(list) if !list.is_null() => ListStep::Write(self.request("session/list", json!({}))),
            _ => ListStep::Failed("the agent does not list its sessions".to_owned()),
        }
    }

    fn page(&mut self, result: &Value) -> ListStep {
        let list = field::list(result, "sessions");
        let left = SESSIONS_MAX - self.sessions.len();
        self.sessions.extend(list.iter().filter_map(session).take(left));
        self.pages += 1;
        match field::text(result, "nextCursor").filter(|cursor| !cursor.is_empty()) {
            Some(cursor) if self.pages < PAGES_MAX && self.sessions.len() < SESSIONS_MAX => {
                ListStep::Write(self.request("session/list", json!({"cursor": cursor})))
            }
            _ => ListStep::Done(std::mem::take(&mut self.sessions)),
        }
    }
}

fn session(session: &Value) -> Option<AgentSession> {
    let text = |key: &str| {
        let text = field::text(session, key).filter(|text| !text.is_empty())?;
        Some(text::cut(text.to_owned(), text::STRING_MAX))
    };
    Some(AgentSession {
        session_id: text("sessionId")?,
        cwd: text("cwd"),
        title: text("title"),
        updated_at: text("updatedAt"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(listing: &mut SessionListing, id: u64, result: Value) -> ListStep {
        listing.line(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().as_bytes())
    }

    fn able(listing: &mut SessionListing) -> ListStep {
        listing.begin();
        answer(listing, 1, json!({"protocolVersion": 1, "agentCapabilities": {"sessionCapabilities": {"list": {}}}}))
    }

    #[test]
    fn listing_asks_for_each_page_and_gives_all_sessions() {
        let mut listing = SessionListing::default();
        let ListStep::Write(asked) = able(&mut listing) else { panic!("nothing asked") };
        assert!(String::from_utf8(asked).unwrap().contains("session/list"));
        assert_eq!(listing.line(b"a banner"), ListStep::Wait);
        assert!(matches!(listing.line(br#"{"id":9,"method":"fs/read_text_file"}"#), ListStep::Write(_)));
        let first = json!({"sessions": [{"sessionId": "a", "cwd": "/p", "title": null}, 7], "nextCursor": "c"});
        let ListStep::Write(asked) = answer(&mut listing, 2, first) else { panic!("nothing asked") };
        assert!(String::from_utf8(asked).unwrap().contains(r#""cursor":"c""#));
        let second =
            json!({"sessions": [{"sessionId": "b", "cwd": "/q", "title": "T", "updatedAt": "2026-01-01T00:00:00Z"}]});
        let ListStep::Done(sessions) = answer(&mut listing, 3, second) else { panic!("not done") };
        let ids: Vec<&str> = sessions.iter().map(|session| session.session_id.as_str()).collect();
        assert_eq!(
            (ids, sessions[0].title.as_deref(), sessions[1].title.as_deref()),
            (vec!["a", "b"], None, Some("T"))
        );
    }

    #[test]
    fn listing_fails_with_a_reason_where_the_agent_cannot() {
        let mut listing = SessionListing::default();
        listing.begin();
        let step = answer(&mut listing, 1, json!({"protocolVersion": 1, "agentCapabilities": {}}));
        assert_eq!(step, ListStep::Failed("the agent does not list its sessions".to_owned()));
        let mut listing = SessionListing::default();
        able(&mut listing);
        let step = listing.line(br#"{"id":2,"error":{"code":-32000,"message":"log in first"}}"#);
        assert_eq!(step, ListStep::Failed("log in first".to_owned()));
    }

    #[test]
    fn listing_ends_although_the_agent_names_pages_for_ever() {
        let mut listing = SessionListing::default();
        able(&mut listing);
        let page = || json!({"sessions": [{"sessionId": "a", "cwd": "/p"}], "nextCursor": "again"});
        let steps =
            (2..).map(|id| answer(&mut listing, id, page())).take_while(|step| matches!(step, ListStep::Write(_)));
        assert_eq!(steps.count(), PAGES_MAX - 1);
    }
}
