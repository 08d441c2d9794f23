//! Lines to the agent: the steps of the handshake, and commands. Every line is made by the serialiser.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::state::{AcpState, Handshake, Prompt, SessionOpening};
use super::{Dialect, rpc};
use crate::adapter::kit::prompt::{not_open, takes_a_decision, unknown_answer};
use crate::adapter::kit::{Attachment, Form};
use crate::adapter::{Action, Command, Message, PermissionAnswer, Refusal};
use crate::event::PermissionOption;
use crate::journal::{McpServer, McpTransport};

/// Returns the lines that the protocol needs next.
pub(super) fn due(state: &AcpState, dialect: &Dialect) -> Option<Action> {
    if !state.running {
        return None;
    }
    if state.handshake == Handshake::Failed {
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
    match state.handshake {
        Handshake::Initialize => Some(request(state, "initialize", initialize(dialect))),
        Handshake::Open => Some(open(state)),
        Handshake::SetMode if !waits_for(state, &["session/set_mode", "session/set_config_option"]) => {
            Some(set_mode(state, state.wanted_mode(dialect)?))
        }
        Handshake::SetModel if !waits_for(state, &["session/set_model", "session/set_config_option"]) => {
            Some(set_model(state, dialect, state.wanted_model()?))
        }
        Handshake::SetOptions if !waits_for(state, &["session/set_config_option"]) => {
            let (option, value) = state.wanted_option()?;
            Some(set_option(state, option, value))
        }
        _ => None,
    }
}

/// A command as lines of stdin.
pub(super) fn encode(state: &AcpState, dialect: &Dialect, command: &Command<'_>) -> Result<Action, Refusal> {
    match command {
        Command::Message(message) => prompt(state, dialect, message),
        Command::Steer(message) if dialect.steer => prompt(state, dialect, message),
        Command::Steer(_) => Err(Refusal::Unsupported(format!(
            "{} takes no message within a turn: send it without `steer`, and it waits for the turn's end",
            dialect.name
        ))),
        Command::Interrupt => Ok(interrupt(state)),
        Command::Permission { request_id, answer } => permission(state, dialect, request_id, answer),
        Command::Answer { request_id, answers } => {
            let (prompt, form) = question(state, request_id)?;
            let content = form.content(answers).map_err(Refusal::Invalid)?;
            Ok(write(&rpc::response(&prompt.id, json!({"action": "accept", "content": content}))))
        }
        Command::Decline { request_id, cancel } => {
            let (prompt, _) = question(state, request_id)?;
            let action = if *cancel { "cancel" } else { "decline" };
            Ok(write(&rpc::response(&prompt.id, json!({ "action": action }))))
        }
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
        Command::SetOption { option, value } => {
            opened(state, dialect)?;
            Ok(set_option(state, option, value))
        }
    }
}

fn write(message: &Value) -> Action {
    Action::Write(vec![rpc::line(message)])
}

fn request(state: &AcpState, method: &str, params: Value) -> Action {
    write(&rpc::request(state.requests_written, method, params))
}

fn waits_for(state: &AcpState, methods: &[&str]) -> bool {
    state.requests.iter().any(|request| methods.contains(&request.method.as_str()))
}

fn initialize(dialect: &Dialect) -> Value {
    // Agents use the files of this machine themselves, unless their adapter says otherwise, and run their commands
    // themselves: so they work on while no server runs.
    let files = dialect.client_files;
    let able = json!({
        "fs": {"readTextFile": files, "writeTextFile": files},
        "terminal": false,
        "session": {"compaction": {}, "configOptions": {"boolean": {}}, "notices": {}},
        "elicitation": {"form": {}},
    });
    json!({
        "protocolVersion": rpc::PROTOCOL_VERSION,
        "clientCapabilities": able,
        "clientInfo": rpc::client_info(),
    })
}

/// Begins a session, or takes up an earlier one: without its history where the journal has it already.
fn open(state: &AcpState) -> Action {
    let all = state.mcp_servers.iter().chain(&state.own_server);
    let servers: Vec<Value> = all.filter(|it| state.can_use(it)).map(mcp_server).collect();
    let session = |id: &str| json!({"sessionId": id, "cwd": state.wanted.cwd, "mcpServers": servers});
    match &state.opening {
        SessionOpening::New => request(state, "session/new", json!({"cwd": state.wanted.cwd, "mcpServers": servers})),
        SessionOpening::Fork(from) => request(state, "session/fork", session(from)),
        SessionOpening::Resume(id) => {
            let known = *id == state.facts.session_id;
            let quietly = state.agent.resume && (known || !state.agent.load);
            request(state, if quietly { "session/resume" } else { "session/load" }, session(id))
        }
    }
}

/// An MCP server as the protocol has it.
fn mcp_server(server: &McpServer) -> Value {
    let pairs = |pairs: &[(String, String)]| -> Value {
        pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let (name, kind) = (&server.name, server.transport.kind());
    match &server.transport {
        McpTransport::Stdio { command, args, env } => {
            json!({"name": name, "command": command, "args": args, "env": pairs(env)})
        }
        McpTransport::Http { url, headers } | McpTransport::Sse { url, headers } => {
            json!({"type": kind, "name": name, "url": url, "headers": pairs(headers)})
        }
    }
}

fn set_mode(state: &AcpState, mode: &str) -> Action {
    match &state.agent.mode_option {
        Some(option) => request(state, "session/set_config_option", option_params(state, option, mode)),
        None => request(state, "session/set_mode", json!({"sessionId": state.facts.session_id, "modeId": mode})),
    }
}

fn set_model(state: &AcpState, dialect: &Dialect, model: &str) -> Action {
    let model = dialect.model_id(model);
    match &state.agent.model_option {
        Some(option) => request(state, "session/set_config_option", option_params(state, option, &model)),
        None => request(state, "session/set_model", json!({"sessionId": state.facts.session_id, "modelId": model})),
    }
}

fn set_option(state: &AcpState, option: &str, value: &Value) -> Action {
    let mut params = json!({"sessionId": state.facts.session_id, "configId": option, "value": value});
    if value.is_boolean() {
        params["type"] = "boolean".into();
    }
    request(state, "session/set_config_option", params)
}

fn option_params(state: &AcpState, option: &str, value: &str) -> Value {
    json!({"sessionId": state.facts.session_id, "configId": option, "value": value})
}

fn opened(state: &AcpState, dialect: &Dialect) -> Result<(), Refusal> {
    if state.handshake == Handshake::Ready {
        return Ok(());
    }
    Err(Refusal::Unsupported(format!("{} is not ready yet: wait until the worker is idle", dialect.name)))
}

fn prompt(state: &AcpState, dialect: &Dialect, message: &Message<'_>) -> Result<Action, Refusal> {
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

fn attachment(state: &AcpState, dialect: &Dialect, attachment: &Value) -> Result<Value, Refusal> {
    let Attachment { media_type, data, name } = Attachment::read(attachment)?;
    let agent = &state.agent;
    let kind = media_type.split('/').next().unwrap_or_default();
    match kind {
        "image" if agent.image => Ok(json!({"type": "image", "mimeType": media_type, "data": data})),
        "audio" if agent.audio => Ok(json!({"type": "audio", "mimeType": media_type, "data": data})),
        "image" | "audio" => {
            Err(Refusal::Invalid(format!("{} takes no {kind}; send the message without it", dialect.name)))
        }
        _ if agent.embedded => {
            let name = name.unwrap_or("attachment");
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
fn interrupt(state: &AcpState) -> Action {
    let cancel = rpc::notification("session/cancel", json!({"sessionId": state.facts.session_id}));
    let prompts = state
        .prompts
        .iter()
        .filter(|prompt| !prompt.answered)
        .map(|prompt| rpc::response(&prompt.id, cancelled(prompt)));
    Action::Write(std::iter::once(cancel).chain(prompts).map(|message| rpc::line(&message)).collect())
}

fn cancelled(prompt: &Prompt) -> Value {
    match prompt.form {
        Some(_) => json!({"action": "cancel"}),
        None => json!({"outcome": {"outcome": "cancelled"}}),
    }
}

/// The open question with this id, and its form.
fn question<'s>(state: &'s AcpState, request_id: &str) -> Result<(&'s Prompt, &'s Form), Refusal> {
    let prompt = state.prompts.iter().find(|prompt| prompt.request_id == *request_id && !prompt.answered);
    let prompt = prompt.ok_or_else(|| not_open(request_id))?;
    match &prompt.form {
        Some(form) => Ok((prompt, form)),
        None => Err(takes_a_decision()),
    }
}

fn permission(
    state: &AcpState,
    dialect: &Dialect,
    request_id: &str,
    answer: &PermissionAnswer,
) -> Result<Action, Refusal> {
    let prompt = state.prompts.iter().find(|prompt| prompt.request_id == *request_id && !prompt.answered);
    let prompt = prompt.ok_or_else(|| not_open(request_id))?;
    if answer.updated_input.is_some() {
        let reason =
            format!("{} takes no other input for its tools: allow the call as it is, or deny it", dialect.name);
        return Err(Refusal::Invalid(reason));
    }
    let option = chosen(prompt, &answer.option_id)?;
    let result = json!({"outcome": {"outcome": "selected", "optionId": option.id}});
    let mut lines = vec![rpc::line(&rpc::response(&prompt.id, result))];
    if answer.interrupt && option.kind.starts_with("reject") {
        let cancel = rpc::notification("session/cancel", json!({"sessionId": state.facts.session_id}));
        lines.push(rpc::line(&cancel));
    }
    Ok(Action::Write(lines))
}

/// The option that an answer means.
fn chosen<'a>(prompt: &'a Prompt, wanted: &str) -> Result<&'a PermissionOption, Refusal> {
    PermissionOption::chosen(&prompt.options, wanted)
        .ok_or_else(|| unknown_answer(wanted, prompt.options.iter().map(|option| option.id.as_str())))
}
