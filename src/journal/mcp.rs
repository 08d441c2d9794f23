//! MCP servers that a worker's agent gets.

use serde::{Deserialize, Serialize};

/// An MCP server: tools and knowledge for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServer {
    /// Its name, unique within the worker.
    pub name: String,
    /// The way in which it is reached.
    #[serde(flatten)]
    pub transport: McpTransport,
}

/// The transport of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum McpTransport {
    /// The agent starts it.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        #[serde(default)]
        args: Vec<String>,
        /// Environment variables.
        #[serde(default)]
        env: Vec<(String, String)>,
    },
    /// Over HTTP.
    Http {
        /// Its address.
        url: String,
        /// Headers of each request.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// Over HTTP with server-sent events, the older transport.
    Sse {
        /// Its address.
        url: String,
        /// Headers of each request.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
}

impl McpTransport {
    /// Its name in the API and in the Agent Client Protocol.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Stdio { .. } => "stdio",
            Self::Http { .. } => "http",
            Self::Sse { .. } => "sse",
        }
    }
}
