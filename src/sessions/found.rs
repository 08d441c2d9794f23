//! One session of a CLI, as it was found.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::Micros;

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 160;

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FoundSession {
    /// The CLI's id of it: what `resume_session` takes.
    pub session_id: String,
    /// The adapter that can resume it.
    pub ai_cli_type: Cow<'static, str>,
    /// Its working directory, where that is known.
    pub project_path: Option<String>,
    /// Its first message, or what the CLI calls it.
    pub title: Option<String>,
    /// The time of its last growth.
    pub last_activity: Micros,
    /// Bytes of its transcript, or of its messages in the database.
    pub size_bytes: u64,
    /// Its transcript, where it has one that can be followed or held open.
    #[serde(skip)]
    pub transcript: Option<PathBuf>,
}

/// A title: the first suitable text. Messages that a CLI writes itself, in angle brackets, are not suitable.
pub(super) fn as_title(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('<')).then(|| text.chars().take(TITLE_CHARS_MAX).collect())
}
