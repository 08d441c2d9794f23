//! Commands to lines of the CLI's stdin. Every line is made by the serialiser: one that is no valid message would end
//! the process.

use serde_json::{Map, Value, json};

use crate::adapter::claude::launch;
use crate::adapter::claude::lines::QUESTION_TOOL;
use crate::adapter::claude::state::{Prompt, Request, State};
use crate::adapter::field;
use crate::adapter::{Action, Command, Message, PermissionAnswer, Refusal};

/// The id of the request that opens every process.
pub(super) const INITIALIZE_ID: &str = "rs-worker-initialize";
/// What the agent is told of a refusal without a reason.
const DENIED: &str = "The user does not want this tool to be used now.";
/// Media types of images that the API takes.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// The media type of documents that the API takes.
const DOCUMENT: &str = "application/pdf";

/// What the protocol wants to be written now.
pub(super) fn due(state: &State) -> Option<Action> {
    if !state.running {
        return None;
    }
    if !state.initialized {
        return Some(write(&request(INITIALIZE_ID, json!({"subtype": "initialize"}))));
    }
    if state.declines.is_empty() {
        return None;
    }
    Some(Action::Write(state.declines.iter().map(|declined| line(&decline(declined))).collect()))
}

/// A command as lines of stdin.
pub(super) fn encode(state: &State, command: &Command<'_>) -> Result<Action, Refusal> {
    match command {
        // The CLI itself decides: a message to a running turn joins it at its next step, or waits for its end.
        Command::Message(message) | Command::Steer(message) => Ok(write(&user(message)?)),
        Command::Interrupt => Ok(control(state, "interrupt", None)),
        Command::SetModel(Some(model)) if model.trim().is_empty() => {
            Err(Refusal::Invalid("the model's name is empty".to_owned()))
        }
        Command::SetModel(Some(model)) => Ok(control(state, "set_model", Some(("model", *model)))),
        Command::SetModel(None) => Ok(control(state, "set_model", None)),
        Command::SetPermissionMode(mode) => {
            Ok(control(state, "set_permission_mode", Some(("mode", launch::permission_mode(mode)?))))
        }
        Command::Permission { request_id, answer } => {
            let prompt = open_prompt(state, request_id)?;
            Ok(answered(request_id, permission(prompt, answer)?))
        }
        Command::Answer { request_id, answers } => {
            let prompt = open_prompt(state, request_id)?;
            Ok(answered(request_id, answer(prompt, answers)?))
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
fn control(state: &State, subtype: &str, field: Option<(&str, &str)>) -> Action {
    let id = format!("rs-worker-{}-{subtype}", state.requests_written);
    let mut body = Map::from_iter([("subtype".to_owned(), subtype.into())]);
    body.extend(field.map(|(key, value)| (key.to_owned(), value.into())));
    write(&request(&id, Value::Object(body)))
}

fn answered(id: &str, answer: Value) -> Action {
    let response = json!({"subtype": "success", "request_id": id, "response": answer});
    write(&json!({"type": "control_response", "response": response}))
}

/// The answer to a request that rs-worker has nothing for. Dialogs have an answer that means "closed".
fn decline(declined: &Request) -> Value {
    let id = &declined.id;
    let response = match declined.subtype.as_str() {
        "request_user_dialog" => {
            json!({"subtype": "success", "request_id": id, "response": {"behavior": "cancelled"}})
        }
        "elicitation" => json!({"subtype": "success", "request_id": id, "response": {"action": "cancel"}}),
        "can_use_tool" => json!({"subtype": "error", "request_id": id, "error": "too many prompts are open"}),
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
    let (Some(media_type), Some(data)) = (field::text(attachment, "media_type"), field::text(attachment, "data"))
    else {
        return Err(Refusal::Invalid("an attachment needs media_type and data (base64)".to_owned()));
    };
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

fn open_prompt<'s>(state: &'s State, id: &str) -> Result<&'s Prompt, Refusal> {
    state.prompt(id).ok_or_else(|| Refusal::NotOpen(format!("no prompt {id} is open")))
}

fn permission(prompt: &Prompt, answer: &PermissionAnswer) -> Result<Value, Refusal> {
    let always = answer.option_id == "allow_always";
    match answer.option_id.as_str() {
        "allow" | "allow_once" | "allow_always" if prompt.tool == QUESTION_TOOL => {
            Err(Refusal::Invalid("this is a question: it takes answers, or a denial".to_owned()))
        }
        "allow_always" if prompt.suggestions.is_empty() => {
            Err(Refusal::Invalid("this prompt cannot be allowed for good; use allow_once or deny".to_owned()))
        }
        "allow" | "allow_once" | "allow_always" => {
            let input = answer.updated_input.as_ref().unwrap_or(&prompt.input);
            if answer.updated_input.is_some() && !input.is_object() {
                return Err(Refusal::Invalid("updated_input must be an object".to_owned()));
            }
            // Without an input the CLI takes the answer for a broken one and fails the tool.
            let input = if input.is_object() { input.clone() } else { json!({}) };
            let mut allow = json!({"behavior": "allow", "updatedInput": input});
            if let (true, Some(fields)) = (always, allow.as_object_mut()) {
                fields.insert("updatedPermissions".to_owned(), prompt.suggestions.clone().into());
            }
            Ok(allow)
        }
        "deny" | "reject" | "reject_once" => {
            let reason = answer.message.as_deref().map(str::trim).filter(|reason| !reason.is_empty()).unwrap_or(DENIED);
            let mut deny = json!({"behavior": "deny", "message": reason});
            if let (true, Some(fields)) = (answer.interrupt, deny.as_object_mut()) {
                fields.insert("interrupt".to_owned(), true.into());
            }
            Ok(deny)
        }
        other => Err(Refusal::Invalid(format!("unknown answer {other:?}; one of allow_once, allow_always, deny"))),
    }
}

/// Answers to questions: an object by the question's text or its number (from 0), or a list in their order. Several
/// choices of one question may be a list.
fn answer(prompt: &Prompt, answers: &Value) -> Result<Value, Refusal> {
    if prompt.tool != QUESTION_TOOL {
        return Err(Refusal::Invalid("this is a permission prompt: it takes a decision, not answers".to_owned()));
    }
    let questions = prompt.input.get("questions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
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
        let texts = questions.iter().map(|question| field::text_or_empty(question, "question"));
        let texts = texts.collect::<Vec<_>>().join(" / ");
        return Err(Refusal::Invalid(format!("no answer to any of the questions: {texts}")));
    }
    let mut input = prompt.input.clone();
    if let Some(fields) = input.as_object_mut() {
        fields.insert("answers".to_owned(), Value::Object(given));
    }
    Ok(json!({"behavior": "allow", "updatedInput": input}))
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
