//! The command line and environment of Claude Code.

use serde_json::json;

use crate::adapter::claude::{ClaudeSettings, EFFORTS, PERMISSION_MODES};
use crate::adapter::kit::{launch, session};
use crate::adapter::{
    AGENT_SERVER, AGENT_TOKEN_ENV, AgentAccess, Launch, LaunchRequest, LinePattern, Refusal, SessionChoice,
};

/// Environment variables that hold the account: no other CLI and no log may see them.
pub(super) const SECRET_ENV: [&str; 4] =
    ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_OAUTH_TOKEN"];

/// The protocol that the fold reads: JSON lines both ways, with deltas, with our messages shown again when they are
/// taken, and with permission prompts on the same pipes.
const PROTOCOL: [&str; 10] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--replay-user-messages",
    "--permission-prompt-tool",
    "stdio",
];

/// Arguments that would change the protocol or the session behind the worker's back.
const RESERVED: [&str; 15] = [
    "-p",
    "--print",
    "--input-format",
    "--output-format",
    "--permission-prompt-tool",
    "--replay-user-messages",
    "--session-id",
    "-r",
    "--resume",
    "-c",
    "--continue",
    "--fork-session",
    "--no-session-persistence",
    "-h",
    "--help",
];

/// Beginnings of lines that matter for a moment only: the pieces of a message that follows whole, and progress reports.
const VOLATILE: [&str; 3] =
    [r#"{"type":"stream_event""#, r#"{"type":"system","subtype":"thinking_tokens""#, r#"{"type":"tool_progress""#];

/// Lines that end a block of a message. What sub-agents say comes between the pieces of the main agent's message and ends
/// nothing: theirs are not streamed. Results of newer versions begin with another field, and the order of their fields
/// differs between turns of the model and commands of the CLI.
fn message_ends() -> Vec<LinePattern> {
    let pattern = |begins: &str, lacks: &str| LinePattern { begins: begins.into(), lacks: lacks.into() };
    let assistant = pattern(r#"{"type":"assistant""#, r#""parent_tool_use_id":""#);
    let results =
        [r#"{"type":"result""#, r#"{"duration_api_ms":"#, r#"{"is_error":"#].map(|begins| pattern(begins, ""));
    [assistant].into_iter().chain(results).collect()
}

pub(super) fn launch(settings: &ClaudeSettings, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
    let options = request.options;
    let mut args: Vec<String> = PROTOCOL.map(str::to_owned).to_vec();
    match request.session {
        SessionChoice::New(id) => args.extend(["--session-id".to_owned(), session_id(id)?]),
        SessionChoice::Resume(id) => args.extend(["--resume".to_owned(), session_id(id)?]),
        SessionChoice::Fork { from, new } => args.extend([
            "--resume".to_owned(),
            session_id(from)?,
            "--fork-session".to_owned(),
            "--session-id".to_owned(),
            session_id(new)?,
        ]),
    }
    if let Some(model) = launch::model(options, settings.model.as_ref()) {
        args.extend(["--model".to_owned(), model.to_owned()]);
    }
    if let Some(mode) = &options.permission_mode {
        args.extend(["--permission-mode".to_owned(), permission_mode(mode)?.to_owned()]);
    }
    if let Some(effort) = launch::effort(options, &EFFORTS)? {
        args.extend(["--effort".to_owned(), effort.to_owned()]);
    }
    if let Some(prompt) = options.system_prompt.as_ref().filter(|prompt| !prompt.is_empty()) {
        args.extend(["--append-system-prompt".to_owned(), prompt.clone()]);
    }
    launch::check_args(&options.args, |name| RESERVED.contains(&name))?;
    args.extend(options.args.iter().cloned());

    // The updater would replace the program under running workers.
    let mut env = vec![("DISABLE_AUTOUPDATER".to_owned(), "1".to_owned())];
    if let Some(key) = launch::given(&settings.api_key) {
        env.push(("ANTHROPIC_API_KEY".to_owned(), key.clone()));
    }
    Ok(Launch {
        program: settings.binary.clone(),
        args,
        env,
        volatile: VOLATILE.iter().map(|prefix| prefix.as_bytes().to_vec()).collect(),
        message_ends: message_ends(),
        one_process_per_turn: false,
        stop_by_eof: true,
    })
}

/// Adds this server to the MCP servers of a start. The CLI reads the token from its environment. The option takes any number
/// of values, so another option has to follow it.
pub(super) fn give_access(launch: &mut Launch, access: &AgentAccess<'_>) {
    let authorization = format!("Bearer ${{{AGENT_TOKEN_ENV}}}");
    let server = json!({"type": "http", "url": access.url, "headers": {"Authorization": authorization}});
    let config = json!({"mcpServers": {AGENT_SERVER: server}}).to_string();
    launch.args.splice(0..0, ["--mcp-config".to_owned(), config]);
    launch::put_token(launch, access);
}

/// `--resume` takes an optional value, so an id that looks like a flag would be read as one.
fn session_id(id: &str) -> Result<String, Refusal> {
    if !session::is_session_argument(id) {
        return Err(Refusal::Invalid(format!("{id:?} is not a session id")));
    }
    Ok(id.to_owned())
}

/// `mode` when the CLI knows it.
pub(super) fn permission_mode(mode: &str) -> Result<&str, Refusal> {
    match mode {
        // Its name on the command line.
        "manual" => Ok("default"),
        mode if PERMISSION_MODES.contains(&mode) => Ok(mode),
        _ => Err(launch::unknown_mode(mode, &PERMISSION_MODES)),
    }
}
