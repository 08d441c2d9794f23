//! Commands to lines of the CLI's stdin. Every line is made by the serialiser: an invalid message would end the
//! process.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::adapter::claude::launch;
use crate::adapter::claude::lines::{QUESTION_TOOL, UNREADABLE, prompt};
use crate::adapter::claude::state::{ClaudeState, PendingRequest, Prompt};
use crate::adapter::kit::prompt::{no_answer, not_open, takes_a_decision, unknown_answer};
use crate::adapter::kit::{Attachment, attachment::IMAGES, field};
use crate::adapter::{Action, Command, Message, PermissionAnswer, Refusal};

/// The id of the request that opens every process.
pub(super) const INITIALIZE_ID: &str = "rs-worker-initialize";
/// The agent's answer for a refusal without a reason.
const DENIED: &str = "The user does not want this tool to be used now.";
/// The agent's answer for a question that its user does not answer.
const UNANSWERED: &str = "The user does not want to answer.";
/// The media type of documents that the API takes.
const DOCUMENT: &str = "application/pdf";

/// Returns the lines that the protocol needs next.
pub(super) fn due(state: &ClaudeState) -> Option<Action> {
    if !state.running {
        return None;
    }
    if !state.handshake.initialized {
        return Some(write(&request(INITIALIZE_ID, json!({"subtype": "initialize"}))));
    }
    if state.declines.is_empty() {
        return None;
    }
    Some(Action::Write(state.declines.iter().map(|declined| line(&decline(declined))).collect()))
}

/// A command as lines of stdin.
pub(super) fn encode(state: &ClaudeState, command: &Command<'_>) -> Result<Action, Refusal> {
    match command {
        // The CLI itself decides: a message to a running turn joins it at its next step, or waits for its end.
        Command::Message(message) | Command::Steer(message) => Ok(write(&user(message)?)),
        Command::Interrupt => Ok(control(state, "interrupt", None)),
        Command::SetModel(Some(model)) if model.trim().is_empty() => {
            Err(Refusal::Invalid("the model's name is empty".to_owned()))
        }
        Command::SetModel(Some(model)) => Ok(control(state, "set_model", Some(("model", *model)))),
        Command::SetModel(None) => Ok(control(state, "set_model", None)),
        Command::SetOption { option, .. } => {
            Err(Refusal::Unsupported(format!("Claude Code has no option {option} that can be set while it runs")))
        }
        Command::SetPermissionMode(mode) => {
            Ok(control(state, "set_permission_mode", Some(("mode", launch::permission_mode(mode)?))))
        }
        Command::Permission { request_id, answer } => {
            let prompt = open_prompt(state, request_id)?;
            permission(prompt, answer)
        }
        Command::Answer { request_id, answers } => {
            let prompt = open_prompt(state, request_id)?;
            answer(prompt, answers)
        }
        Command::Decline { request_id, cancel } => {
            let prompt = open_prompt(state, request_id)?;
            Ok(form_answered(prompt, &decline_question(prompt, *cancel)))
        }
    }
}

fn line(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn write(value: &Value) -> Action {
    Action::Write(vec![line(value)])
}

fn request(id: &str, request: Value) -> Value {
    json!({"type": "control_request", "request_id": id, "request": request})
}

/// A control request whose id is unique within the process: the count of those written before it, and what it asks.
fn control(state: &ClaudeState, subtype: &str, field: Option<(&str, &str)>) -> Action {
    let id = format!("rs-worker-{}-{subtype}", state.requests_written);
    let mut body = Map::from_iter([("subtype".to_owned(), subtype.into())]);
    body.extend(field.map(|(key, value)| (key.to_owned(), value.into())));
    write(&request(&id, Value::Object(body)))
}

/// An answer to a prompt, as its line is written.
#[derive(Serialize)]
struct PromptAnswer<'p> {
    r#type: &'static str,
    response: ControlResponse<'p>,
}

#[derive(Serialize)]
struct ControlResponse<'p> {
    subtype: &'static str,
    request_id: &'p str,
    response: Behavior<'p>,
}

#[derive(Serialize)]
#[serde(tag = "behavior", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Behavior<'p> {
    Allow {
        #[serde(skip_serializing_if = "Option::is_none")]
        updated_input: Option<Input<'p>>,
        #[serde(skip_serializing_if = "<[Value]>::is_empty")]
        updated_permissions: &'p [Value],
    },
    Deny {
        message: &'p str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        interrupt: bool,
    },
}

/// The input of an allowed tool: as it was read, or as the CLI wrote it.
#[derive(Serialize)]
#[serde(untagged)]
enum Input<'p> {
    Read(Cow<'p, Value>),
    Written(&'p RawValue),
}

fn answered(prompt: &Prompt, behavior: Behavior<'_>) -> Result<Action, Refusal> {
    let response = ControlResponse { subtype: "success", request_id: &prompt.id, response: behavior };
    let line = serde_json::to_vec(&PromptAnswer { r#type: "control_response", response });
    let line = line.map_err(|error| Refusal::Invalid(format!("the answer cannot be written as JSON: {error}")))?;
    Ok(Action::Write(vec![line]))
}

/// The input that the answer repeats. Older CLIs take an answer without one for a broken one; but an input that was
/// repaired would change what the CLI asked for.
fn asked_input(prompt: &Prompt) -> Option<Input<'_>> {
    match &prompt.written {
        Some(written) => serde_json::from_str(written).ok().map(Input::Written),
        None if prompt.repaired => None,
        None if prompt.input.is_object() => Some(Input::Read(Cow::Borrowed(&prompt.input))),
        None => Some(Input::Read(Cow::Owned(json!({})))),
    }
}

/// The answer to a request that rs-worker has nothing for. Dialogs have an answer that means "closed".
fn decline(declined: &PendingRequest) -> Value {
    let id = &declined.id;
    let response = match declined.subtype.as_str() {
        "request_user_dialog" => {
            json!({"subtype": "success", "request_id": id, "response": {"behavior": "cancelled"}})
        }
        "elicitation" => json!({"subtype": "success", "request_id": id, "response": {"action": "cancel"}}),
        "can_use_tool" => json!({"subtype": "error", "request_id": id, "error": "too many prompts are open"}),
        UNREADABLE => json!({"subtype": "error", "request_id": id, "error": "rs-worker could not read this request"}),
        other => json!({"subtype": "error", "request_id": id, "error": format!("rs-worker does not support {other}")}),
    };
    json!({"type": "control_response", "response": response})
}

/// A message. Its text goes as it is: what begins with `/` is a slash command by the CLI's own rules.
fn user(message: &Message<'_>) -> Result<Value, Refusal> {
    let content = if message.attachments.is_empty() {
        if message.content.trim().is_empty() {
            return Err(Refusal::Invalid("the message is empty".to_owned()));
        }
        Value::from(message.content)
    } else {
        let mut blocks = message.attachments.iter().map(attachment).collect::<Result<Vec<_>, _>>()?;
        if !message.content.trim().is_empty() {
            blocks.push(json!({"type": "text", "text": message.content}));
        }
        Value::Array(blocks)
    };
    Ok(json!({"type": "user", "message": {"role": "user", "content": content}, "uuid": message.id}))
}

fn attachment(attachment: &Value) -> Result<Value, Refusal> {
    let Attachment { media_type, data, .. } = Attachment::read(attachment)?;
    let kind = match media_type {
        DOCUMENT => "document",
        image if IMAGES.contains(&image) => "image",
        other => {
            let known = IMAGES.join(", ");
            return Err(Refusal::Invalid(format!("Claude Code takes no {other}; it takes {known}, {DOCUMENT}")));
        }
    };
    Ok(json!({"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}))
}

fn open_prompt<'s>(state: &'s ClaudeState, id: &str) -> Result<&'s Prompt, Refusal> {
    state.prompt(id).ok_or_else(|| not_open(id))
}

fn permission(prompt: &Prompt, answer: &PermissionAnswer) -> Result<Action, Refusal> {
    let granted = prompt::granted(&prompt.suggestions, &answer.option_id);
    match answer.option_id.as_str() {
        "allow" | "allow_once" | "allow_always" if prompt.tool == QUESTION_TOOL => {
            Err(Refusal::Invalid("this is a question: it takes answers, or a denial".to_owned()))
        }
        "allow_always" if granted.is_none() => {
            Err(Refusal::Invalid("this prompt cannot be allowed for good; use allow_once or deny".to_owned()))
        }
        option if granted.is_some() || matches!(option, "allow" | "allow_once") => {
            let updated_input = match &answer.updated_input {
                Some(input) if !input.is_object() => {
                    return Err(Refusal::Invalid("updated_input must be an object".to_owned()));
                }
                Some(input) => Some(Input::Read(Cow::Borrowed(input))),
                None => asked_input(prompt),
            };
            let updated_permissions = granted.map(std::slice::from_ref).unwrap_or_default();
            answered(prompt, Behavior::Allow { updated_input, updated_permissions })
        }
        "deny" | "reject" | "reject_once" => {
            let reason = answer.message.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
            answered(prompt, Behavior::Deny { message: reason.unwrap_or(DENIED), interrupt: answer.interrupt })
        }
        other => Err(unknown_answer(other, ["allow_once", "allow_always", "deny"])),
    }
}

/// An answer that repeats nothing of what the CLI asked.
fn form_answered(prompt: &Prompt, answer: &Value) -> Action {
    let response = json!({"subtype": "success", "request_id": prompt.id, "response": answer});
    write(&json!({"type": "control_response", "response": response}))
}

/// The answer to a question that means that there is none.
fn decline_question(prompt: &Prompt, cancel: bool) -> Value {
    match prompt.form {
        Some(_) => json!({"action": if cancel { "cancel" } else { "decline" }}),
        None => json!({"behavior": "deny", "message": UNANSWERED}),
    }
}

/// Answers to questions: an object by the question's text or its number (from 0), or a list in their order. Several
/// choices of one question may be a list.
fn answer(prompt: &Prompt, answers: &Value) -> Result<Action, Refusal> {
    if let Some(form) = &prompt.form {
        let content = form.content(answers).map_err(Refusal::Invalid)?;
        return Ok(form_answered(prompt, &json!({"action": "accept", "content": content})));
    }
    if prompt.tool != QUESTION_TOOL {
        return Err(takes_a_decision());
    }
    let questions = field::list(&prompt.input, "questions");
    let mut given = Map::new();
    for (at, question) in questions.iter().enumerate() {
        let text = field::text_or_empty(question, "question");
        let answer = match answers {
            Value::Array(list) => list.get(at),
            Value::Object(fields) => fields.get(text).or_else(|| fields.get(&at.to_string())),
            _ => None,
        };
        if let Some(answer) = answer.and_then(chosen) {
            given.insert(text.to_owned(), answer.into());
        }
    }
    if given.is_empty() {
        return Err(no_answer(questions.iter().map(|question| field::text_or_empty(question, "question"))));
    }
    let mut input = prompt.input.clone();
    if let Some(fields) = input.as_object_mut() {
        fields.insert("answers".to_owned(), Value::Object(given));
    }
    let updated_input = Some(Input::Read(Cow::Owned(input)));
    answered(prompt, Behavior::Allow { updated_input, updated_permissions: &[] })
}

/// One answer as the CLI wants it: a text, with several choices joined by a comma.
fn chosen(answer: &Value) -> Option<String> {
    match answer {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "Yes" } else { "No" }.to_owned()),
        Value::Array(list) => {
            let texts = list.iter().filter_map(chosen).collect::<Vec<_>>();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}
