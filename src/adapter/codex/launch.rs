//! The command line and environment of Codex.

use crate::adapter::codex::{CodexSettings, EFFORTS, modes};
use crate::adapter::kit::launch;
use crate::adapter::{AGENT_SERVER, AGENT_TOKEN_ENV, AgentAccess, Launch, LaunchRequest, Refusal, SessionChoice};

/// Environment variables that hold the account: no other CLI and no log may see them.
pub(super) const SECRET_ENV: [&str; 3] = ["CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_API_KEY"];

/// The variable in which the API key is given.
const KEY_ENV: &str = "CODEX_API_KEY";

/// The model provider that uses the API key. The app server's own `openai` takes no key from the environment: it wants a
/// login, which would write the key into a file.
const PROVIDER: &str = "openai-api-key";

/// Arguments that would change the protocol, and subcommands, which would run something else.
const RESERVED: [&str; 11] = [
    "--listen",
    "--stdio",
    "--print-startup-config",
    "--startup-client-info",
    "-h",
    "--help",
    "daemon",
    "proxy",
    "generate-ts",
    "generate-json-schema",
    "help",
];

/// Beginnings of lines that matter for a moment only: the pieces of an output that follows whole, progress reports, and the
/// turn's diff so far, which the changes themselves contain too. The pieces of messages and thoughts are not among them: of
/// one that is cut short they are all there is.
const VOLATILE: [&str; 5] = [
    "item/commandExecution/outputDelta",
    "item/fileChange/outputDelta",
    "item/fileChange/patchUpdated",
    "item/mcpToolCall/progress",
    "turn/diff/updated",
];

pub(super) fn launch(settings: &CodexSettings, request: &LaunchRequest<'_>) -> Result<Launch, Refusal> {
    let options = request.options;
    if let Some(mode) = &options.permission_mode {
        modes::find(mode)?;
    }
    if let SessionChoice::Resume(id) | SessionChoice::Fork { from: id, .. } = request.session
        && id.trim().is_empty()
    {
        return Err(Refusal::Invalid("the session's id is empty".to_owned()));
    }
    let mut args = vec!["app-server".to_owned()];
    let mut env = Vec::new();
    if let Some(key) = launch::given(&settings.api_key) {
        let mut set = |key: &str, value: &str| args.extend(config(&format!("model_providers.{PROVIDER}.{key}"), value));
        set("name", "OpenAI");
        set("base_url", "https://api.openai.com/v1");
        set("wire_api", "responses");
        set("env_key", KEY_ENV);
        args.extend(config("model_provider", PROVIDER));
        env.push((KEY_ENV.to_owned(), key.clone()));
    }
    // A worker's own model goes with its session, where it can be changed.
    if let Some(model) = launch::given(&settings.model).filter(|_| options.model.is_none()) {
        args.extend(config("model", model));
    }
    if let Some(effort) = launch::effort(options, &EFFORTS)? {
        args.extend(config("model_reasoning_effort", effort));
    }
    launch::check_args(&options.args, |name| RESERVED.contains(&name) || name.starts_with("--ws-"))?;
    // The last word is theirs: of two values for one setting the later one holds.
    args.extend(options.args.iter().cloned());
    Ok(Launch {
        program: settings.binary.clone(),
        args,
        env,
        volatile: VOLATILE.iter().map(|method| format!(r#"{{"method":"{method}""#).into_bytes()).collect(),
        message_ends: Vec::new(),
        one_process_per_turn: false,
        stop_by_eof: true,
    })
}

/// Adds this server to the MCP servers of a start. The CLI reads the token from its environment. Arguments of the worker come
/// later and may change it.
pub(super) fn give_access(launch: &mut Launch, access: &AgentAccess<'_>) {
    let url = config(&format!("mcp_servers.{AGENT_SERVER}.url"), access.url);
    let token = config(&format!("mcp_servers.{AGENT_SERVER}.bearer_token_env_var"), AGENT_TOKEN_ENV);
    // After the subcommand.
    launch.args.splice(1..1, url.into_iter().chain(token));
    launch::put_token(launch, access);
}

/// A setting of the configuration, as arguments. A JSON string is a TOML string too.
fn config(key: &str, value: &str) -> [String; 2] {
    ["-c".to_owned(), format!("{key}={}", serde_json::Value::from(value))]
}
