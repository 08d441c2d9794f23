//! The body of the request that makes a worker, from the parameters of a new session.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::shared::{Binding, Editor};
use crate::api::call::Api;

/// Longest name of a client that a worker's name repeats, in characters.
const CLIENT_CHARS_MAX: usize = 40;

/// Makes the body.
pub(super) fn of(
    api: &Api,
    binding: &Binding,
    editor: &Editor,
    cwd: &str,
    fields: &Map<String, Value>,
    meta: &Value,
) -> Value {
    let project = binding.project.as_deref().unwrap_or(cwd);
    let folder = Path::new(project).file_name().map_or_else(|| project.into(), |name| name.to_string_lossy());
    let client: String = editor.name.as_deref().unwrap_or("editor").chars().take(CLIENT_CHARS_MAX).collect();
    let mut body = json!({"name": format!("{folder} ({client})"), "project_path": project});
    let kind = binding.cli.as_deref().unwrap_or(&api.clis.default);
    if let Some(cli) = &binding.cli {
        body["ai_cli_type"] = cli.as_str().into();
    }
    if let Some(key) = meta.get("key").and_then(Value::as_str) {
        body["idempotency_key"] = key.into();
    }
    let servers: Vec<Value> =
        fields.get("mcpServers").and_then(Value::as_array).into_iter().flatten().filter_map(server).collect();
    let takes_servers = api
        .clis
        .adapters
        .get(kind)
        .is_ok_and(|adapter| adapter.cli().capabilities.iter().any(|capability| capability == "mcp_servers"));
    if servers.is_empty() {
        return body;
    }
    if takes_servers {
        body["mcp_servers"] = servers.into();
    } else {
        // Editors send all that they have; a CLI without them is still of use.
        log::warn!("{kind} takes no MCP servers: those of {client} are left out");
    }
    body
}

/// An MCP server as the API has it.
fn server(server: &Value) -> Option<Value> {
    let text = |name: &str| server.get(name).and_then(Value::as_str);
    let pairs = |name: &str| -> Value {
        let listed = server.get(name).and_then(Value::as_array).into_iter().flatten();
        let pair = |pair: &Value| Some((pair.get("name")?.as_str()?.to_owned(), pair.get("value")?.clone()));
        Value::Object(listed.filter_map(pair).collect())
    };
    // Names of editors may have blanks.
    let name = text("name")?.replace(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c), "-");
    Some(match (text("command"), text("url")) {
        (Some(command), _) => {
            let args = server.get("args").cloned().unwrap_or_else(|| json!([]));
            json!({"name": name, "command": command, "args": args, "env": pairs("env")})
        }
        (None, Some(url)) => {
            let kind = text("type").unwrap_or("http");
            json!({"name": name, "type": kind, "url": url, "headers": pairs("headers")})
        }
        (None, None) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_editors_become_those_of_the_api() {
        let stdio =
            json!({"name": "my docs", "command": "/bin/docs", "args": ["-v"], "env": [{"name": "A", "value": "b"}]});
        let wanted = json!({"name": "my-docs", "command": "/bin/docs", "args": ["-v"], "env": {"A": "b"}});
        assert_eq!(server(&stdio), Some(wanted));
        let http = json!({"type": "sse", "name": "x", "url": "http://h/", "headers": [{"name": "H", "value": "v"}]});
        let wanted = json!({"name": "x", "type": "sse", "url": "http://h/", "headers": {"H": "v"}});
        assert_eq!(server(&http), Some(wanted));
        assert_eq!(server(&json!({"name": "x"})), None);
    }
}
