//! The groups in which settings are shown.

/// Settings that belong together, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingGroup {
    /// The address to listen on.
    Server,
    /// Workers and their processes.
    Worker,
    /// Which AI CLIs there are.
    Cli,
    /// Claude Code.
    Claude,
    /// OpenCode.
    OpenCode,
    /// Gemini CLI.
    Gemini,
    /// Codex.
    Codex,
    /// Access to the API and to projects.
    Access,
    /// Bounds and time-outs of connections.
    Connections,
    /// Notifications of browsers.
    Push,
    /// Notifications of programs and services.
    Webhook,
    /// The log.
    Log,
}

impl SettingGroup {
    /// All groups in order.
    pub const ALL: [Self; 12] = [
        Self::Server,
        Self::Worker,
        Self::Cli,
        Self::Claude,
        Self::OpenCode,
        Self::Gemini,
        Self::Codex,
        Self::Access,
        Self::Connections,
        Self::Push,
        Self::Webhook,
        Self::Log,
    ];

    /// Its heading.
    #[cfg(test)]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Worker => "Worker",
            Self::Cli => "AI CLI",
            Self::Claude => "Claude Code",
            Self::OpenCode => "OpenCode",
            Self::Gemini => "Gemini CLI",
            Self::Codex => "Codex",
            Self::Access => "Access",
            Self::Connections => "Connection",
            Self::Push => "Web Push",
            Self::Webhook => "Webhook",
            Self::Log => "Log",
        }
    }
}
