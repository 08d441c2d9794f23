//! The access of workers' agents to this server, and the names by which they know it.

use std::path::Path;

/// The access of a worker's agent to this server, by MCP.
#[derive(Clone, Copy)]
pub struct AgentAccess<'a> {
    /// The address of the MCP server.
    pub url: &'a str,
    /// The address of the server itself.
    pub base: &'a str,
    /// The agent's token, which is in [`AGENT_TOKEN_ENV`] and never on a command line.
    pub secret: &'a str,
    /// The program of this server, which an agent can start as an MCP server.
    pub program: &'a Path,
}

/// The variable in which an agent has its token: commands of this program use it too.
pub(crate) const AGENT_TOKEN_ENV: &str = "RS_WORKER_TOKEN";

/// The variable with the address of this server, for commands of this program.
pub(crate) const AGENT_URL_ENV: &str = "RS_WORKER_URL";

/// The name under which an agent knows this server.
pub(crate) const AGENT_SERVER: &str = "rs-worker";

/// The capability of a CLI whose agents can be given a token.
pub(crate) const AGENT_TOKENS: &str = "agent_tokens";
