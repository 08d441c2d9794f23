//! The parts of the crate that its tests, fuzzers and benches use, under the paths that they have inside.
//!
//! Everything else is visible in the crate alone, so that the compiler names code without a caller.

/// Time.
pub mod clock {
    pub use crate::clock::Micros;
}

/// Settings.
pub mod config {
    pub use crate::config::{SETTINGS, Secret, setting};
}

/// Journals.
pub mod journal {
    pub use crate::journal::{By, Control, Ended, Entry, Kind, Reader, Record, WorkerOptions, Writer, encode, records};
}

/// Events.
pub mod event {
    pub use crate::event::{Body, Event, Image, SessionFacts, TurnEnd, numbered};
}

/// The adapters of the CLIs.
pub mod adapter {
    pub use crate::adapter::{
        Action, Activity, Adapter, Cli, Command, Launch, LaunchRequest, LinePattern, Message, PermissionAnswer,
        Refusal, Session, SessionChoice,
    };

    /// CLIs that speak the Agent Client Protocol.
    pub mod acp {
        pub use crate::adapter::acp::{Gemini, GeminiSettings, OpenCode, OpenCodeSettings};
    }

    /// Claude Code.
    pub mod claude {
        pub use crate::adapter::claude::{Claude, ClaudeSettings};
    }

    /// Codex.
    pub mod codex {
        pub use crate::adapter::codex::{Codex, CodexSettings};
    }

    /// CLIs that a file describes.
    pub mod declared {
        pub use crate::adapter::declared::Declared;
    }
}

/// The shim, and the server's connection to it.
pub mod shim {
    pub use crate::shim::{FromShim, Incoming, ShimSpec, connect, end_tree, greeted, spawn, tree};

    /// Frames between server and shim.
    pub mod protocol {
        pub use crate::shim::protocol::{
            BODY_MAX, Command, HEADER_MAX, Parsed, VERSION, Versions, control_line, encode_command, input_line,
            parse_command, run_body,
        };
    }
}

/// HTTP.
pub mod http {
    /// The delays after wrong tokens.
    pub mod throttle {
        pub use crate::http::throttle::FIRST_WAIT;
    }

    pub use crate::http::client::{ClientConnection, ResponseHead, request_head};
    pub use crate::http::{BodyLimit, Head, Limits, Reply, Request, Response, Server, Service, error_code};

    /// Tokens, hosts and origins.
    pub mod guard {
        pub use crate::http::guard::GuardRules;
    }
}

/// The access token.
pub mod token {
    pub use crate::token::AuthToken;
}

/// WebSocket.
pub mod websocket {
    pub use crate::websocket::{CloseReason, Incoming, Reader, ReaderLimits, handshake};
}

/// Frames of clients.
pub mod wire {
    pub use crate::wire::{Output, RawLines, append_output};
}

/// Publishing to subscribers.
pub mod hub {
    pub use crate::hub::{
        Batch, BatchFrames, Change, FrameKind, Listening, Message, Missed, Outbox, Replay, Source, Topic,
    };
}

/// The fold over a journal.
pub mod worker {
    /// The fold over a journal.
    pub mod fold {
        pub use crate::worker::state::fold::Fold;
    }
}
