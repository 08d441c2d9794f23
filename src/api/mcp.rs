//! The MCP servers in a body: `[{"name", "command", "args", "env"}, {"name", "url", "headers", "type"}]`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::input::JsonBody;
use crate::journal::{McpServer, McpTransport};

/// Maximum number of servers of a worker.
const SERVERS_MAX: usize = 32;
/// Longest name of a server, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Takes the field `mcp_servers`.
pub(super) fn servers(body: &mut JsonBody) -> Vec<McpServer> {
    let list = body.list("mcp_servers");
    if list.len() > SERVERS_MAX {
        body.mistake("mcp_servers", &format!("Input should have at most {SERVERS_MAX} entries"), "too_long");
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut servers = Vec::new();
    for item in list {
        match server(item, body) {
            Ok(server) if names.insert(server.name.clone()) => servers.push(server),
            Ok(server) => {
                let text = format!("Two servers have the name {:?}; give each its own", server.name);
                body.mistake("mcp_servers", &text, "value_error");
            }
            Err(Some(text)) => body.mistake("mcp_servers", &text, "value_error"),
            Err(None) => {}
        }
    }
    servers
}

/// Parses one server; `None` if errors were recorded.
fn server(item: Value, body: &mut JsonBody) -> Result<McpServer, Option<String>> {
    let Value::Object(fields) = item else {
        return Err(Some("Each should be an object with a name, and a command or a url".to_owned()));
    };
    let mut fields = JsonBody::of(fields);
    let name = fields.text("name");
    let (kind, command, url) =
        (fields.optional_text("type"), fields.optional_text("command"), fields.optional_text("url"));
    let (args, env, headers) = (fields.texts("args"), fields.text_map("env"), fields.text_map("headers"));
    let mistakes = fields.has_mistakes();
    body.take_mistakes("mcp_servers", fields);
    if mistakes {
        return Err(None);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        return Err(Some(format!("{name:?} is not a name: write 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9, _, -, .")));
    }
    let transport = match (kind.as_deref(), command, url) {
        (None | Some("stdio"), Some(command), None) => {
            if command.trim().is_empty() {
                return Err(Some(format!("{name}: command should not be blank")));
            }
            if let Some((variable, _)) = env.iter().find(|(name, value)| !crate::worker_env::is_env_entry(name, value))
            {
                return Err(Some(format!("{name}: not a variable that an environment can hold: {variable:?}")));
            }
            McpTransport::Stdio { command, args, env }
        }
        (kind @ (None | Some("http" | "sse")), None, Some(url)) => {
            if !(url.starts_with("http://") || url.starts_with("https://")) || url.contains(char::is_whitespace) {
                return Err(Some(format!("{name}: url should begin with http:// or https://")));
            }
            if let Some((header, _)) = headers.iter().find(|(name, value)| !is_header(name, value)) {
                return Err(Some(format!("{name}: not a header that HTTP can carry: {header:?}")));
            }
            if kind == Some("sse") { McpTransport::Sse { url, headers } } else { McpTransport::Http { url, headers } }
        }
        (Some(kind), ..) if !matches!(kind, "stdio" | "http" | "sse") => {
            return Err(Some(format!("{name}: unknown type {kind:?}; one of stdio, http, sse")));
        }
        _ => return Err(Some(format!("{name}: write a command (stdio), or a url (http, sse)"))),
    };
    Ok(McpServer { name, transport })
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token) && !value.contains(|c: char| c.is_control() && c != '\t')
}
