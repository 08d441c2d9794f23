//! `POST /api/workers/{id}/handover`: continues a conversation in another CLI or model.

use super::creation::{limit_is_a_bad_request, options, require_effort};
use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::journal::WorkerOptions;
use crate::worker::registry::handover::NewHandover;
use crate::worker::state::State;

/// Fields that a new worker of the same CLI takes from the first one if the request omits them.
const INHERITED: [&str; 7] = ["model", "permission_mode", "effort", "system_prompt", "args", "env", "mcp_servers"];

/// Creates the worker and passes it the conversation.
pub(super) fn hand_over(call: &ApiCall<'_>) -> RouteResult {
    let first = call.worker()?;
    let state = first.state();
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let hash = body.hash();
    let given = INHERITED.map(|name| body.has(name));
    let name = body.optional_words("name");
    let kind = body.optional_text("ai_cli_type").filter(|kind| !kind.is_empty());
    let copy = one_of(&mut body, "where", ["same", "copy"]);
    let leave_uncommitted = one_of(&mut body, "uncommitted", ["carry", "leave"]);
    let file = one_of(&mut body, "as", ["message", "file"]);
    let text = body.optional_text("text").filter(|text| !text.trim().is_empty());
    let force = body.flag("force");
    let mut wanted = options(&mut body);
    body.finish()?;
    let ai_cli_type = kind.unwrap_or_else(|| state.ai_cli_type.clone());
    let adapter = call.api.clis.adapters.get(&ai_cli_type);
    let adapter = adapter.map_err(|error| ApiError::in_field("ai_cli_type", error.to_string()))?;
    if ai_cli_type == state.ai_cli_type {
        inherit(&mut wanted, &state, given);
    }
    let takes_servers = adapter.cli().capabilities.iter().any(|capability| capability == "mcp_servers");
    if !wanted.mcp_servers.is_empty() && !takes_servers {
        let text = format!("{ai_cli_type} takes no mcp_servers: configure them in the CLI itself");
        return Err(ApiError::in_field("mcp_servers", text));
    }
    require_effort(&wanted, adapter.as_ref())?;
    if leave_uncommitted && !copy {
        let text = "the same folder has its uncommitted changes: omit uncommitted, or send \"where\": \"copy\"";
        return Err(ApiError::in_field("uncommitted", text));
    }
    wanted.limits = wanted.limits.or(state.options.limits);
    // It works where the first one did, but always in a new session.
    wanted.runner = state.options.runner.clone();
    wanted.resume_session = None;
    wanted.mcp = false;
    wanted.request_hash = wanted.idempotency_key.is_some().then_some(hash);
    let name = name.unwrap_or_else(|| default_name(&state, &ai_cli_type));
    let new = NewHandover { name, ai_cli_type, options: wanted, copy, leave_uncommitted, file, text, force };
    let worker = call.api.registry.hand_over(&first, new).map_err(limit_is_a_bad_request)?;
    Ok(Response::json(201, &call.summary(&worker)).into())
}

/// Takes omitted options from the first worker. Another CLI gets none: variables may be keys of the first one's
/// provider, and modes and arguments belong to the CLI.
fn inherit(wanted: &mut WorkerOptions, state: &State, [model, mode, effort, prompt, args, env, servers]: [bool; 7]) {
    let had = &state.options;
    if !model {
        wanted.model.clone_from(&had.model);
    }
    if !mode {
        wanted.permission_mode.clone_from(&had.permission_mode);
    }
    if !effort {
        wanted.effort.clone_from(&had.effort);
    }
    if !prompt {
        wanted.system_prompt.clone_from(&had.system_prompt);
    }
    if !args {
        wanted.args.clone_from(&had.args);
    }
    if !env {
        wanted.env.clone_from(&had.env);
    }
    if !servers {
        wanted.mcp_servers.clone_from(&had.mcp_servers);
    }
}

/// Parses one of two words, the first one by default; returns whether it is the second.
fn one_of(body: &mut JsonBody, name: &str, [usual, other]: [&str; 2]) -> bool {
    match body.optional_text(name).as_deref() {
        None => false,
        Some(word) if word == usual => false,
        Some(word) if word == other => true,
        Some(_) => {
            body.mistake(name, &format!("Input should be {usual} or {other}"), "enum");
            false
        }
    }
}

/// Returns the first worker's name with the new CLI's.
fn default_name(state: &State, kind: &str) -> String {
    let end = format!(" ({kind})");
    let room = crate::worker::run::commands::NAME_CHARS_MAX.saturating_sub(end.chars().count());
    state.name.chars().take(room).collect::<String>() + &end
}
