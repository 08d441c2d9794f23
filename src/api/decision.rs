//! Reading a decision of a prompt, from a request or a WebSocket frame.

use super::input::Body;
use crate::adapter::PermissionAnswer;
use crate::worker::Decision;

/// The names of the field that holds an option, the usual one first.
const OPTION: [&str; 3] = ["option_id", "decision", "option"];

/// Reads a decision: `answers` to a question, or else an option. `None` is a mistake of the body.
pub(super) fn read(body: &mut Body) -> Option<Decision> {
    let answers = body.value("answers");
    if answers.as_ref().is_some_and(|answers| !answers.is_object() && !answers.is_array()) {
        body.mistake("answers", "Input should be an object or a list", "value_error");
    }
    let options: Vec<String> = OPTION.into_iter().filter_map(|name| body.optional_text(name)).collect();
    // An empty one is no option of any prompt, which the answer then says.
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
