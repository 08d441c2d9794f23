//! The parts of the crate that its tests, fuzzers and benches use, under the paths that they have inside.
//!
//! Everything else is private to the crate, so that the compiler reports code without a caller.

/// Credentials.
pub mod access {
    pub use crate::access::{Identity, Reach, Scope, Token};
}

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
    pub use crate::journal::{
        By, Control, EndedProcess, Entry, Kind, Reader, Record, WorkerOptions, Writer, encode, records,
    };
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
        pub use crate::adapter::declared::DeclaredAdapter;
    }
}

/// The shim, and the server's connection to it.
pub mod shim {
    pub use crate::shim::{FromShim, IncomingBytes, ShimSpec, connect, end_tree, greeted, spawn, tree};

    /// Frames between server and shim.
    pub mod protocol {
        pub use crate::shim::protocol::{
            BODY_MAX, HEADER_MAX, ParsedCommand, ShimCommand, VERSION, Versions, control_line, encode_command,
            input_line, parse_command, run_body,
        };
    }
}

/// The screen of a terminal.
pub mod terminal {
    use crate::terminal::{Emulator, Size};

    /// A screen that takes output, in a form that shows nothing of the emulator.
    pub struct Screen(Emulator);

    impl Screen {
        /// An empty one.
        pub fn new(cols: u16, rows: u16) -> Self {
            Self(Emulator::new(Size::new(cols, rows)))
        }

        /// Takes output of a program.
        pub fn feed(&mut self, output: &[u8]) {
            self.0.feed(output);
        }

        /// Changes the size.
        pub fn resize(&mut self, cols: u16, rows: u16) {
            self.0.resize(Size::new(cols, rows));
        }

        /// Shows what was drawn in one step, and returns the screen.
        pub fn look(&mut self) -> Look {
            self.0.show();
            let text =
                |row: &Vec<crate::terminal::CellRun>| row.iter().map(|run| run.text.as_str()).collect::<String>();
            let (size, cursor) = (self.0.size(), self.0.cursor());
            Look {
                size: (size.cols, size.rows),
                rows: self.0.rows().iter().map(text).collect(),
                oldest: self.0.lines_above(self.0.history().saturating_sub(2), usize::MAX).len(),
                cursor: (cursor.row, cursor.col),
                answers: self.0.take_answers().len(),
            }
        }
    }

    /// A look at a screen.
    #[derive(Debug)]
    pub struct Look {
        /// Columns and rows.
        pub size: (u16, u16),
        /// The texts of all rows.
        pub rows: Vec<String>,
        /// The number of lines that are found from the second oldest on.
        pub oldest: usize,
        /// The cursor's row and column.
        pub cursor: (usize, usize),
        /// Bytes that the program would be answered.
        pub answers: usize,
    }

    impl std::fmt::Debug for Screen {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Screen").finish_non_exhaustive()
        }
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
    pub use crate::websocket::{CloseReason, Incoming, MessageReader, ReaderLimits, handshake};
}

/// Frames of clients.
pub mod wire {
    pub use crate::wire::{Output, RawLines, append_output};
}

/// Publishing to subscribers.
pub mod hub {
    pub use crate::hub::{
        Batch, BatchFrames, FrameDemand, FrameKind, JournalSource, MissedText, Outbox, PublishedMessage, Replay, Topic,
        UnfinishedChange,
    };
}

/// The fold over a journal.
pub mod worker {
    /// The fold over a journal.
    pub mod fold {
        pub use crate::worker::state::fold::Fold;
    }
}
