//! Comments on an agent's changes, as people write them, and the text that each one is on.

use serde::{Deserialize, Serialize};

/// The side of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewSide {
    /// The version before the changes.
    Old,
    /// The version after them.
    #[default]
    New,
}

/// A line that is found again by its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnchorLine {
    /// The whole line.
    Whole(String),
    /// A long one, by its hash.
    Long {
        /// Its beginning.
        excerpt: String,
        /// Its length.
        bytes: usize,
        /// Its SHA-256 in hex.
        sha256: String,
    },
}

/// The text that a comment is on, with the text around it, by which it is found again after changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Anchor {
    /// The hunk of the diff around it, as the comment's author saw it.
    pub hunk: String,
    /// The lines that the comment is on.
    pub lines: Vec<AnchorLine>,
    /// The lines before them, nearest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<AnchorLine>,
    /// The lines after them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<AnchorLine>,
    /// Most lines around it that any other place with the same lines had in common with it; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rival: Option<usize>,
    /// True if the whole file was known: without that, it is found in an unchanged file only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub followed: bool,
    /// True if the diff removes the lines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// A comment on an agent's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewComment {
    /// Its id.
    pub comment_id: String,
    /// The client's own id of it: the same again is the same comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_comment_id: Option<String>,
    /// The file; absent for a comment on all changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The side on which its lines are.
    pub side: ReviewSide,
    /// The first line, from 1; absent for a comment on a whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// The last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// The text.
    pub text: String,
    /// The lines that the author suggests instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The scope of the diff.
    pub scope: String,
    /// The hash of the file's content before the changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_hash: Option<String>,
    /// The hash of the file's content after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_hash: Option<String>,
    /// The text that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
}

/// A change of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ReviewChange {
    /// A comment was written.
    Written {
        /// The comment.
        comment: Box<ReviewComment>,
    },
    /// A comment that was not sent has another text or suggestion.
    Edited {
        /// Which.
        comment_id: String,
        /// Its text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Its suggestion; empty for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggestion: Option<String>,
    },
    /// A person has closed a comment, or made it a draft again.
    Resolved {
        /// Which.
        comment_id: String,
        /// False if it is a draft again.
        resolved: bool,
    },
    /// A comment was deleted.
    Deleted {
        /// Which.
        comment_id: String,
    },
    /// A person has marked a file's content as viewed, or removed the mark.
    Viewed {
        /// The file's path.
        file: String,
        /// The hash of the content.
        hash: String,
        /// False to remove the mark.
        viewed: bool,
    },
    /// A change that this build does not know.
    #[serde(other)]
    Unknown,
}
