//! Parses a decision of a prompt, from a request or a WebSocket frame.

use super::error::ApiError;
use super::input::JsonBody;
use crate::access::Scope;
use crate::adapter::PermissionAnswer;
use crate::worker::Decision;

/// The names of the field that holds an option, the preferred one first.
const OPTION: [&str; 3] = ["option_id", "decision", "option"];

/// The scope that a decision requires: another input for a tool is a command of its own. To raise a budget requires more.
pub(super) fn required_scope(decision: &Decision) -> Scope {
    match decision {
        Decision::Option(answer) if answer.updated_input.is_some() => Scope::Admin,
        Decision::Option(answer) if answer.interrupt => Scope::Send,
        _ => Scope::Answer,
    }
}

/// The refusal of a raise: a budget is for more than one worker, so only a client that may do everything changes it.
pub(super) fn raise_refused() -> ApiError {
    let text = "to raise a budget needs a token of the scope admin that is not narrowed; answer once_more or stop";
    ApiError::Detail(403, text.to_owned())
}

/// Parses a decision: `answers` to a question, or else an option. `None` for an invalid body.
pub(super) fn read(body: &mut JsonBody) -> Option<Decision> {
    let answers = body.value("answers");
    if answers.as_ref().is_some_and(|answers| !answers.is_object() && !answers.is_array()) {
        body.mistake("answers", "Input should be an object or a list", "value_error");
    }
    let options: Vec<String> = OPTION.into_iter().filter_map(|name| body.optional_text(name)).collect();
    // No prompt has an empty option, which the response then reports.
    let option = options.iter().find(|option| !option.is_empty()).or(options.first()).cloned();
    let message = body.optional_text("message");
    let updated_input = body.value("updated_input").filter(|input| !input.is_null());
    let interrupt = body.flag("interrupt");
    if let Some(answers) = answers {
        return Some(Decision::Answers(answers));
    }
    let Some(option_id) = option else {
        if !body.has_mistakes() {
            body.mistake("option_id", "Field required", "missing");
        }
        return None;
    };
    Some(Decision::Option(PermissionAnswer { option_id, message, updated_input, interrupt }))
}
