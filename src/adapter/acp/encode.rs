//! What is written to the agent: the steps of the handshake, and commands. Every line is made by the serialiser.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::state::{Ask, Opening, State, Step};
use super::{Dialect, rpc};
use crate::adapter::{Action, Command, Message, PermissionAnswer, Refusal, field};
use crate::event::PermissionOption;

/// What the protocol wants to be written now.
pub(super) fn due(state: &State, dialect: &Dialect) -> Option<Action> {
    if !state.running {
        return None;
    }
    if state.step == Step::Failed {
        // The agent would wait for nothing; its next start tries again.
        return Some(Action::Signal(Signal::SIGTERM as i32));
    }
    if !state.declines.is_empty() {
        let lines = state.declines.iter().map(|declined| rpc::line(&rpc::no_method(&declined.id, &declined.method)));
        return Some(Action::Write(lines.collect()));
    }
    if let Some(asked) = state.files.first() {
        return Some(Action::Serve(asked.seq));
    }
    match state.step {
        Step::Initialize => Some(request(state, "initialize", initialize(dialect))),
        Step::Open => Some(open(state)),
        Step::SetMode if !waits_for(state, &["session/set_mode", "session/set_config_option"]) => {
            Some(set_mode(state, state.wanted_mode()?))
        }
        Step::SetModel if !waits_for(state, &["session/set_model", "session/set_config_option"]) => {
            Some(set_model(state, dialect, state.wanted_model()?))
        }
        _ => None,
    }
}

/// A command as lines of stdin.
pub(super) fn encode(state: &State, dialect: &Dialect, command: &Command<'_>) -> Result<Action, Refusal> {
    match command {
        Command::Message(message) => prompt(state, dialect, message),
        Command::Steer(message) if dialect.steer => prompt(state, dialect, message),
        Command::Steer(_) => Err(Refusal::Unsupported(format!(
            "{} takes no message within a turn: send it without `steer`, and it waits for the turn's end",
            dialect.name
        ))),
        Command::Interrupt => Ok(interrupt(state)),
        Command::Permission { request_id, answer } => permission(state, dialect, request_id, answer),
        Command::Answer { request_id, .. } => match state.asks.iter().find(|ask| ask.request_id == *request_id) {
            Some(_) => {
                Err(Refusal::Invalid("this is a permission prompt: it takes a decision, not answers".to_owned()))
            }
            None => Err(not_open(request_id)),
        },
        Command::SetModel(Some(model)) if !model.trim().is_empty() => {
            opened(state, dialect)?;
            Ok(set_model(state, dialect, model))
        }
        Command::SetModel(_) => {
            Err(Refusal::Invalid(format!("name a model: {} makes its own choice at its start only", dialect.name)))
        }
        Command::SetPermissionMode(mode) => {
            opened(state, dialect)?;
            let modes = &state.agent.modes;
            if !modes.is_empty() && !modes.iter().any(|known| known == mode) {
                return Err(Refusal::Invalid(format!("unknown mode {mode:?}; one of {}", modes.join(", "))));
            }
            Ok(set_mode(state, mode))
        }
    }
}

fn write(message: &Value) -> Action {
    Action::Write(vec![rpc::line(message)])
}

fn request(state: &State, method: &str, params: Value) -> Action {
    write(&rpc::request(state.requests_written, method, params))
}

fn waits_for(state: &State, methods: &[&str]) -> bool {
    state.requests.iter().any(|request| methods.contains(&request.method.as_str()))
}

fn initialize(dialect: &Dialect) -> Value {
    // Agents use the files of this machine themselves, unless their adapter says otherwise, and run their commands
    // themselves: so they work on while no server runs.
    let files = dialect.client_files;
    let able = json!({"fs": {"readTextFile": files, "writeTextFile": files}, "terminal": false});
    json!({
        "protocolVersion": rpc::PROTOCOL_VERSION,
        "clientCapabilities": able,
        "clientInfo": {"name": "rs-worker", "title": "rs-worker", "version": env!("CARGO_PKG_VERSION")},
    })
}

/// Begins a session, or takes up an earlier one: without its history where the journal has it already.
fn open(state: &State) -> Action {
    let session = |id: &str| json!({"sessionId": id, "cwd": state.cwd, "mcpServers": []});
    match &state.opening {
        Opening::New => request(state, "session/new", json!({"cwd": state.cwd, "mcpServers": []})),
        Opening::Fork(from) => request(state, "session/fork", session(from)),
        Opening::Resume(id) => {
            let known = *id == state.facts.session_id;
            let quietly = state.agent.resume && (known || !state.agent.load);
            request(state, if quietly { "session/resume" } else { "session/load" }, session(id))
        }
    }
}

fn set_mode(state: &State, mode: &str) -> Action {
    match &state.agent.mode_option {
        Some(option) => request(state, "session/set_config_option", option_params(state, option, mode)),
        None => request(state, "session/set_mode", json!({"sessionId": state.facts.session_id, "modeId": mode})),
    }
}

fn set_model(state: &State, dialect: &Dialect, model: &str) -> Action {
    let model = dialect.model_id(model);
    match &state.agent.model_option {
        Some(option) => request(state, "session/set_config_option", option_params(state, option, &model)),
        None => request(state, "session/set_model", json!({"sessionId": state.facts.session_id, "modelId": model})),
    }
}

fn option_params(state: &State, option: &str, value: &str) -> Value {
    json!({"sessionId": state.facts.session_id, "configId": option, "value": value})
}

fn opened(state: &State, dialect: &Dialect) -> Result<(), Refusal> {
    if state.step == Step::Ready {
        return Ok(());
    }
    Err(Refusal::Unsupported(format!("{} is not ready yet: wait until the worker is idle", dialect.name)))
}

fn prompt(state: &State, dialect: &Dialect, message: &Message<'_>) -> Result<Action, Refusal> {
    opened(state, dialect)?;
    let mut blocks =
        message.attachments.iter().map(|it| attachment(state, dialect, it)).collect::<Result<Vec<_>, _>>()?;
    if !message.content.trim().is_empty() {
        blocks.push(json!({"type": "text", "text": message.content}));
    }
    if blocks.is_empty() {
        return Err(Refusal::Invalid("the message is empty".to_owned()));
    }
    let params = json!({"sessionId": state.facts.session_id, "prompt": blocks, "_meta": rpc::meta(message.id)});
    Ok(request(state, "session/prompt", params))
}

fn attachment(state: &State, dialect: &Dialect, attachment: &Value) -> Result<Value, Refusal> {
    let (Some(media_type), Some(data)) = (field::text(attachment, "media_type"), field::text(attachment, "data"))
    else {
        return Err(Refusal::Invalid("an attachment needs media_type and data (base64)".to_owned()));
    };
    let agent = &state.agent;
    let kind = media_type.split('/').next().unwrap_or_default();
    match kind {
        "image" if agent.image => Ok(json!({"type": "image", "mimeType": media_type, "data": data})),
        "audio" if agent.audio => Ok(json!({"type": "audio", "mimeType": media_type, "data": data})),
        "image" | "audio" => {
            Err(Refusal::Invalid(format!("{} takes no {kind}; send the message without it", dialect.name)))
        }
        _ if agent.embedded => {
            let name = field::text(attachment, "name").unwrap_or("attachment");
            let resource = json!({"uri": format!("attachment:///{name}"), "mimeType": media_type, "blob": data});
            Ok(json!({"type": "resource", "resource": resource}))
        }
        _ => {
            let name = &dialect.name;
            Err(Refusal::Invalid(format!(
                "{name} takes no {media_type}; put it into a file of the project and name it"
            )))
        }
    }
}

/// Ends the turn. Prompts that are open are answered with it: some agents wait for that.
fn interrupt(state: &State) -> Action {
    let cancel = rpc::notification("session/cancel", json!({"sessionId": state.facts.session_id}));
    let asks = state.asks.iter().filter(|ask| !ask.answered).map(|ask| rpc::response(&ask.id, cancelled()));
    Action::Write(std::iter::once(cancel).chain(asks).map(|message| rpc::line(&message)).collect())
}

fn cancelled() -> Value {
    json!({"outcome": {"outcome": "cancelled"}})
}

fn not_open(request_id: &str) -> Refusal {
    Refusal::NotOpen(format!("no prompt {request_id} is open"))
}

fn permission(
    state: &State,
    dialect: &Dialect,
    request_id: &str,
    answer: &PermissionAnswer,
) -> Result<Action, Refusal> {
    let ask = state.asks.iter().find(|ask| ask.request_id == *request_id && !ask.answered);
    let ask = ask.ok_or_else(|| not_open(request_id))?;
    if answer.updated_input.is_some() {
        let reason =
            format!("{} takes no other input for its tools: allow the call as it is, or deny it", dialect.name);
        return Err(Refusal::Invalid(reason));
    }
    let option = chosen(ask, &answer.option_id)?;
    let result = json!({"outcome": {"outcome": "selected", "optionId": option.id}});
    let mut lines = vec![rpc::line(&rpc::response(&ask.id, result))];
    if answer.interrupt && option.kind.starts_with("reject") {
        let cancel = rpc::notification("session/cancel", json!({"sessionId": state.facts.session_id}));
        lines.push(rpc::line(&cancel));
    }
    Ok(Action::Write(lines))
}

/// The option that an answer means: by its id, by its kind, or as a plain word.
fn chosen<'a>(ask: &'a Ask, wanted: &str) -> Result<&'a PermissionOption, Refusal> {
    let kinds: &[&str] = match wanted {
        "allow" => &["allow_once", "allow_always"],
        "deny" | "reject" => &["reject_once", "reject_always"],
        _ => &[],
    };
    let by_id = || ask.options.iter().find(|option| option.id == wanted);
    let by_kind = |kind: &str| ask.options.iter().find(|option| option.kind == kind);
    by_id().or_else(|| by_kind(wanted)).or_else(|| kinds.iter().find_map(|kind| by_kind(kind))).ok_or_else(|| {
        let known: Vec<&str> = ask.options.iter().map(|option| option.id.as_str()).collect();
        Refusal::Invalid(format!("unknown answer {wanted:?}; one of {}", known.join(", ")))
    })
}
