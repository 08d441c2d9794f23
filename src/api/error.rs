//! Errors in the format of the reference, `{"detail": ...}` with a matching status, and a `code` for programs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::access::Scope;
use crate::http::{Response, error_code};
use crate::private_list::ListError;
use crate::worker::WorkerError;

/// The code of a key or id that was already used for another request.
const KEY_REUSED: &str = "key_reused";

/// The reason for which a request failed.
#[derive(Debug)]
pub(super) enum ApiError {
    /// A status and a text for people.
    Detail(u16, String),
    /// The body or the query is invalid: 422 with one entry for each error.
    Validation(Vec<FieldMistake>),
    /// The error of a worker's command.
    Worker(WorkerError),
}

/// One error in a body or a query, in FastAPI's format.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FieldMistake {
    /// The location: `["body", "name"]`.
    pub(super) loc: Vec<Value>,
    /// The text for people.
    pub(super) msg: String,
    /// The machine-readable kind.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

impl ApiError {
    /// Creates a 400 with a text for people.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::Detail(400, text.into())
    }

    /// Creates a 400 with a text for people, for one field of the request.
    pub(super) fn in_field(field: &'static str, text: impl Into<String>) -> Self {
        Self::Worker(WorkerError::Invalid(text.into()).in_field(field))
    }

    /// Creates a 422 with one error.
    pub(super) fn mistake(place: &str, name: &str, msg: impl Into<String>, kind: &'static str) -> Self {
        Self::Validation(vec![FieldMistake { loc: vec![json!(place), json!(name)], msg: msg.into(), kind }])
    }

    /// Returns the error as a response.
    pub(super) fn response(&self) -> Response {
        let (status, answer) = match self {
            Self::Detail(status, text) => (*status, detail(*status, text)),
            Self::Validation(mistakes) => (422, validation(mistakes)),
            Self::Worker(error) => (status(error), worker_error(error)),
        };
        Response::json(status, &answer)
    }
}

/// The refusal of what a scope does not include.
pub(super) fn beyond_scope(has: Scope, needed: Scope) -> ApiError {
    ApiError::Detail(403, format!("this token has the scope {has}, and the scope {needed} is needed"))
}

fn detail(status: u16, text: &str) -> Value {
    json!({ "detail": text, "code": error_code(status) })
}

fn validation(mistakes: &[FieldMistake]) -> Value {
    let mut answer = json!({ "detail": mistakes, "code": error_code(422) });
    if let [FieldMistake { loc, .. }] = mistakes
        && let [_, Value::String(field), ..] = &loc[..]
    {
        answer["field"] = json!(field);
    }
    answer
}

fn worker_error(error: &WorkerError) -> Value {
    match error {
        WorkerError::InField { field, error } => {
            let mut answer = worker_error(error);
            answer["field"] = json!(field);
            answer
        }
        WorkerError::Reused { field, text } => {
            let mistake = FieldMistake { loc: vec![json!("body"), json!(field)], msg: text.clone(), kind: KEY_REUSED };
            json!({ "detail": [mistake], "code": KEY_REUSED, "field": field })
        }
        WorkerError::Resolved(resolution) => {
            json!({ "detail": error.to_string(), "code": "already_answered", "answer": resolution })
        }
        WorkerError::Held { pid, code, text } => json!({ "detail": text, "code": code, "pid": pid }),
        WorkerError::Blocked { code, text, fields } => {
            let mut answer = fields.as_ref().clone();
            answer.insert("detail".to_owned(), json!(text));
            answer.insert("code".to_owned(), json!(code));
            Value::Object(answer)
        }
        other => {
            if let WorkerError::Io(error) = other {
                log::error!("a request failed: {error}");
            }
            detail(status(other), &other.to_string())
        }
    }
}

fn status(error: &WorkerError) -> u16 {
    match error {
        WorkerError::NotFound(_) => 404,
        WorkerError::Invalid(_) => 400,
        WorkerError::Conflict(_)
        | WorkerError::Resolved(_)
        | WorkerError::Held { .. }
        | WorkerError::Blocked { .. } => 409,
        WorkerError::Reused { .. } => 422,
        WorkerError::InField { error, .. } => status(error),
        WorkerError::TooLarge(_) => 413,
        WorkerError::Limit(_) => 429,
        WorkerError::Unavailable(_) => 503,
        WorkerError::Io(_) => 500,
    }
}

impl From<WorkerError> for ApiError {
    fn from(error: WorkerError) -> Self {
        Self::Worker(error)
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::Worker(error.into())
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Mistake(mistake) => Self::in_field(mistake.field, mistake.text),
            ListError::NotFound(text) => Self::Detail(404, text),
            ListError::Full(text) => Self::Detail(409, text),
            ListError::File(text) => Self::Detail(503, text),
        }
    }
}

/// Joins the errors of a 422 to one sentence.
pub(crate) fn mistakes_in_words(mistakes: &Value) -> String {
    let one = |mistake: &Map<String, Value>| {
        let place = mistake.get("loc").and_then(Value::as_array).and_then(|loc| loc.last());
        let place = place.map_or_else(String::new, |place| match place {
            Value::String(place) => place.clone(),
            other => other.to_string(),
        });
        format!("{place}: {}", mistake.get("msg").and_then(Value::as_str).unwrap_or_default())
    };
    let all = mistakes.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_object).map(one).collect::<Vec<_>>().join("; ")
}
