//! The parts of a connection that both of its threads use: prompts without a response, and requests to the client.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::rpc::{self, META, RpcError};

/// Prompts that may wait for the ends of their turns on one connection.
pub(super) const PROMPTS_MAX: usize = 64;
/// Answered prompts that are remembered, so that a repeated one is recognized.
const ANSWERED_MAX: usize = 128;
/// Pieces of messages in a cursor.
const PIECES_MAX: usize = 64;

/// The workers and defaults to which a connection is bound by its address.
#[derive(Clone, Debug, Default)]
pub(super) struct Binding {
    /// The only worker.
    pub(super) worker: Option<String>,
    /// The CLI of new workers.
    pub(super) cli: Option<String>,
    /// The project of new workers.
    pub(super) project: Option<String>,
}

/// The properties of a client, as it has introduced itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Editor {
    /// Its name, for people.
    pub(super) name: Option<String>,
    /// True if it shows forms.
    pub(super) takes_forms: bool,
    /// True if it shows options that are on or off.
    pub(super) takes_booleans: bool,
    /// True if it shows notices.
    pub(super) takes_notices: bool,
    /// True if it keeps cursors, so that it can resume a session where it lost it.
    pub(super) takes_cursors: bool,
}

impl Editor {
    /// Reads the parameters of `initialize`.
    pub(super) fn read(params: &Value) -> Self {
        let has = |path: &str| params.pointer(path).is_some_and(|value| !value.is_null());
        let info = |name: &str| params["clientInfo"][name].as_str().filter(|text| !text.trim().is_empty());
        Self {
            name: info("title").or(info("name")).map(str::to_owned),
            takes_forms: has("/clientCapabilities/elicitation/form"),
            takes_booleans: has("/clientCapabilities/session/configOptions/boolean"),
            takes_notices: has("/clientCapabilities/session/notices"),
            takes_cursors: params["clientCapabilities"]["_meta"][META]["cursors"] == true,
        }
    }
}

/// A `session/prompt` without a response.
#[derive(Clone, Debug)]
pub(super) struct AwaitedPrompt {
    /// The id of the request.
    pub(super) id: Value,
    pub(super) worker: String,
    pub(super) client_message_id: String,
    /// The server's id of the message, once it is known.
    pub(super) message_id: Option<String>,
    /// The event that accepted it: earlier ones do not concern it.
    pub(super) accepted: u64,
    /// True if the CLI has taken it.
    pub(super) is_consumed: bool,
}

/// A request to the client that waits for its response.
#[derive(Clone, Debug)]
pub(super) struct OpenRequest {
    pub(super) worker: String,
    /// The prompt that it asks about.
    pub(super) request_id: String,
    /// The number of questions; `None` for a permission.
    pub(super) questions: Option<usize>,
}

/// The shared parts. `V` is the view of a session on its way to the writing thread.
pub(super) struct ConnectionState<V> {
    pub(super) prompts: Vec<AwaitedPrompt>,
    /// The client's ids of prompts, with the ids of their requests.
    answered: VecDeque<(String, Value)>,
    /// By the id of the request.
    pub(super) requests: HashMap<String, OpenRequest>,
    /// Views that the writing thread takes over when it comes to their marks.
    pub(super) arriving: HashMap<String, VecDeque<V>>,
}

impl<V> Default for ConnectionState<V> {
    fn default() -> Self {
        Self { prompts: Vec::new(), answered: VecDeque::new(), requests: HashMap::new(), arriving: HashMap::new() }
    }
}

impl<V> ConnectionState<V> {
    /// Returns whether the same prompt was sent on this connection before.
    ///
    /// # Errors
    /// Fails when its client's id was the one of another request or session, which has the response.
    pub(super) fn is_repeated(&self, (id, worker): (&Value, &str), client_message_id: &str) -> Result<bool, RpcError> {
        let awaited = self.prompts.iter().find(|prompt| prompt.client_message_id == client_message_id);
        let answered = self.answered.iter().find(|(known, _)| known == client_message_id);
        let is_same = match (awaited, answered) {
            (Some(prompt), _) => prompt.id == *id && prompt.worker == worker,
            (None, Some((_, known))) => known == id,
            (None, None) => return Ok(false),
        };
        if is_same {
            return Ok(true);
        }
        Err(RpcError::params(format!("client_message_id: {client_message_id:?} is the one of another request")))
    }

    /// Finds the prompt with a client's id.
    pub(super) fn prompt(&mut self, client_message_id: &str) -> Option<&mut AwaitedPrompt> {
        self.prompts.iter_mut().find(|prompt| prompt.client_message_id == client_message_id)
    }

    /// Takes out the prompts of a worker that `is_over` names, and returns their responses.
    pub(super) fn answer(
        &mut self,
        worker: &str,
        result: &Result<Value, RpcError>,
        is_over: impl Fn(&AwaitedPrompt) -> bool,
    ) -> Vec<String> {
        let mut responses = Vec::new();
        let mut answered = Vec::new();
        self.prompts.retain(|prompt| {
            if prompt.worker != worker || !is_over(prompt) {
                return true;
            }
            responses.push(rpc::response(&prompt.id, result));
            answered.push((prompt.client_message_id.clone(), prompt.id.clone()));
            false
        });
        for prompt in answered {
            if self.answered.len() == ANSWERED_MAX {
                self.answered.pop_front();
            }
            self.answered.push_back(prompt);
        }
        responses
    }
}

/// The part of a message that a client has as pieces.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharedPiece {
    pub(super) of: String,
    pub(super) message_id: Option<String>,
    pub(super) chars: u64,
}

/// A place in the stream of a session, which a client may send back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SessionCursor {
    /// The last event of which the client has all updates.
    pub(super) seq: u64,
    /// The event after it, and the number of its updates that the client has.
    pub(super) skip: Option<(u64, usize)>,
    pub(super) pieces: Vec<SharedPiece>,
}

impl SessionCursor {
    /// Reads a cursor that the server has sent.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let piece = |piece: &Value| {
            Some(SharedPiece {
                of: piece.get(0)?.as_str()?.to_owned(),
                message_id: piece.get(1)?.as_str().map(str::to_owned),
                chars: piece.get(2)?.as_u64()?,
            })
        };
        let pieces = value.get("pieces").and_then(Value::as_array).into_iter().flatten();
        let skip = value
            .get("skip")
            .and_then(|skip| Some((skip.get(0)?.as_u64()?, usize::try_from(skip.get(1)?.as_u64()?).ok()?)));
        Some(Self {
            seq: value.get("seq")?.as_u64()?,
            skip,
            pieces: pieces.take(PIECES_MAX).filter_map(piece).collect(),
        })
    }

    /// The cursor as the client gets it.
    pub(super) fn to_json(&self) -> Value {
        let mut json = serde_json::json!({"seq": self.seq});
        if let Some((seq, count)) = self.skip {
            json["skip"] = serde_json::json!([seq, count]);
        }
        if !self.pieces.is_empty() {
            let piece = |piece: &SharedPiece| serde_json::json!([piece.of, piece.message_id, piece.chars]);
            json["pieces"] = self.pieces.iter().map(piece).collect();
        }
        json
    }

    /// Takes a piece of a message: returns the part of its text that the client does not have.
    pub(super) fn take_piece<'t>(&mut self, of: &str, id: Option<&str>, offset: u64, text: &'t str) -> &'t str {
        let count = text.chars().count() as u64;
        let known = self.pieces.iter_mut().find(|piece| piece.of == of && piece.message_id.as_deref() == id);
        let has = known.as_ref().map_or(0, |piece| piece.chars);
        let end = offset.saturating_add(count);
        match known {
            Some(piece) => piece.chars = has.max(end),
            None => {
                if self.pieces.len() == PIECES_MAX {
                    self.pieces.remove(0);
                }
                self.pieces.push(SharedPiece { of: of.to_owned(), message_id: id.map(str::to_owned), chars: end });
            }
        }
        after(text, has.saturating_sub(offset))
    }

    /// Takes a whole message: returns the part of its text that the client does not have as pieces.
    pub(super) fn take_whole<'t>(&mut self, of: &str, id: Option<&str>, text: &'t str) -> &'t str {
        let is_it = |piece: &SharedPiece| {
            let same = piece.message_id.as_deref() == id;
            piece.of == of && (same || id.is_none() || piece.message_id.is_none())
        };
        let Some(at) = self.pieces.iter().position(is_it) else { return text };
        after(text, self.pieces.remove(at).chars)
    }
}

/// Returns the text after the first `chars` characters.
fn after(text: &str, chars: u64) -> &str {
    if chars == 0 {
        return text;
    }
    let at = usize::try_from(chars).ok().and_then(|chars| text.char_indices().nth(chars));
    at.map_or("", |(at, _)| &text[at..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_passed_on_once_however_it_comes() {
        let mut cursor = SessionCursor::default();
        assert_eq!(cursor.take_piece("assistant", Some("m"), 0, "größ"), "größ");
        assert_eq!(cursor.take_piece("assistant", Some("m"), 0, "größer "), "er ");
        assert_eq!(cursor.take_piece("assistant", Some("m"), 2, "ö"), "");
        let mut resumed = SessionCursor::read(&cursor.to_json()).unwrap();
        assert_eq!(resumed, cursor);
        assert_eq!(resumed.take_whole("thinking", Some("m"), "hm"), "hm");
        assert_eq!(resumed.take_whole("assistant", Some("m"), "größer als"), "als");
        assert_eq!(resumed.take_whole("assistant", Some("m"), "next block"), "next block");
    }

    #[test]
    fn cursors_of_clients_are_read_leniently() {
        assert_eq!(SessionCursor::read(&json!({})), None);
        let read =
            SessionCursor::read(&json!({"seq": 7, "skip": [9, 1], "pieces": [["assistant", null, 3], 5]})).unwrap();
        assert_eq!((read.seq, read.skip, read.pieces.len()), (7, Some((9, 1)), 1));
        let skip = SessionCursor::read(&json!({"seq": 7, "skip": "x"})).unwrap();
        assert_eq!(skip.skip, None);
    }

    #[test]
    fn answered_prompts_are_remembered() {
        let mut shared = ConnectionState::<()>::default();
        let prompt = |worker: &str, id: &str| AwaitedPrompt {
            id: json!(id),
            worker: worker.to_owned(),
            client_message_id: id.to_owned(),
            message_id: None,
            accepted: 0,
            is_consumed: false,
        };
        shared.prompts = vec![prompt("a", "1"), prompt("b", "2")];
        let responses = shared.answer("a", &Ok(json!({"stopReason": "end_turn"})), |_| true);
        assert_eq!(responses, [r#"{"jsonrpc":"2.0","id":"1","result":{"stopReason":"end_turn"}}"#]);
        let sent = |id: &str, worker: &str, known: &str| shared.is_repeated((&json!(id), worker), known);
        assert_eq!((sent("1", "a", "1"), sent("2", "b", "2"), sent("3", "a", "3")), (Ok(true), Ok(true), Ok(false)));
        // Another request with the same client's id would never have a response.
        for (id, worker, known) in [("9", "a", "1"), ("9", "b", "2"), ("2", "a", "2")] {
            assert!(sent(id, worker, known).is_err(), "{id} {worker} {known}");
        }
    }
}
