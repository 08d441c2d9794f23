//! The review of a worker's changes: comments are kept in the journal, and found again in the present project.

mod message;
mod places;

use crate::clock::Micros;
use crate::journal::{Anchor, Control, ReviewChange, ReviewComment, ReviewSide};
use crate::worker::error::WorkerError;
use crate::worker::place::look::{DiffScope, anchor};
use crate::worker::run::mailbox::CommandBatch;
use crate::worker::run::queue::NewMessage;
use crate::worker::run::worker::{Claim, Worker};
use crate::worker::state::{COMMENTS_BYTES_MAX, COMMENTS_MAX, CommentStage, ReviewEntry, ViewedFile};
use places::PresentProject;
pub(crate) use places::{LinePlace, ReviewState};
use serde::Serialize;

/// Longest text of a comment, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 10_000;
/// Longest path of a file, in characters.
pub(crate) const FILE_CHARS_MAX: usize = 4_096;
/// Longest id of a comment that a client chooses, in characters.
pub(crate) const CLIENT_ID_CHARS_MAX: usize = 200;
/// Maximum number of lines of one comment.
const LINES_MAX: u64 = 1_000;
/// Lines of a comment that are quoted.
const QUOTED_LINES_MAX: usize = 100;

/// A comment as a client sends it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewComment {
    /// The file; none for all changes.
    pub file: Option<String>,
    /// The side of the lines.
    pub side: ReviewSide,
    /// First and last line; none for the whole file.
    pub lines: Option<(u64, u64)>,
    /// The lines as the client shows them.
    pub quoted: Vec<String>,
    /// The text.
    pub text: String,
    /// The lines suggested instead.
    pub suggestion: Option<String>,
    /// The scope of the diff.
    pub scope: DiffScope,
    /// The client's own id.
    pub client_comment_id: Option<String>,
}

/// A change of a comment; absent fields stay unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommentChange {
    /// Its text.
    pub text: Option<String>,
    /// Its suggestion; empty for none.
    pub suggestion: Option<String>,
    /// True to close it, false to make it a draft again.
    pub resolved: Option<bool>,
}

/// A comment on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownComment {
    id: String,
    client_comment_id: Option<String>,
    file: Option<String>,
    side: ReviewSide,
    start: Option<u64>,
    end: Option<u64>,
    text: String,
    suggestion: Option<String>,
    scope: String,
    hunk: String,
    quoted: Vec<String>,
    old_hash: Option<String>,
    new_hash: Option<String>,
    state: ReviewState,
    place: Option<LinePlace>,
    message_id: Option<String>,
    created_at: Micros,
    edited_at: Micros,
}

/// A review on the wire.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownReview {
    comments: Vec<ShownComment>,
    viewed: Vec<ViewedFile>,
    /// The reason why places are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Worker {
    /// Returns the review, with the places of its comments in the present project.
    pub(crate) fn review(&self, gone: &dyn Fn() -> bool) -> ShownReview {
        let state = self.state();
        let noted = state.review.comments();
        let mut known = PresentProject::of(self, noted, gone);
        let comments = noted.iter().map(|noted| shown(noted, known.find(self, noted))).collect();
        ShownReview { comments, viewed: state.review.viewed().to_vec(), detail: known.problem() }
    }

    /// Adds a comment. The same client's id again is the same comment.
    ///
    /// # Errors
    /// Fails when the lines are not in the diff, there are too many comments, or the id was used for another comment.
    pub(crate) fn add_comment(&self, new: NewComment, gone: &dyn Fn() -> bool) -> Result<ShownComment, WorkerError> {
        let _claim = self.claim_review();
        let state = self.state();
        if let Some(id) = new.client_comment_id.as_deref() {
            let is_it = |noted: &&ReviewEntry| noted.comment.client_comment_id.as_deref() == Some(id);
            if let Some(before) = state.review.comments().iter().find(is_it) {
                let lines = (before.comment.start, before.comment.end);
                let is_same = before.comment.file == new.file
                    && (new.lines.is_none() || lines == (new.lines.map(|it| it.0), new.lines.map(|it| it.1)));
                let text = format!("the id {id:?} was used for another comment; use a new id for a new comment");
                return if is_same {
                    self.show_comment(&before.comment.comment_id, gone)
                } else {
                    Err(WorkerError::Reused { field: "client_comment_id", text })
                };
            }
        }
        let comment = self.anchored(new, gone)?;
        if !state.review.has_room_for(&comment) {
            return Err(WorkerError::Limit(format!(
                "the worker's review has {} comments, and at most {COMMENTS_MAX} with {COMMENTS_BYTES_MAX} bytes fit: \
                 delete some that are resolved",
                state.review.comments().len()
            )));
        }
        let id = comment.comment_id.clone();
        self.change_review(ReviewChange::Written { comment: Box::new(comment) })?;
        // Its place was just found, so there is no need to search for it.
        self.noted(&id, |noted| shown(noted, places::fresh(&noted.comment)))
    }

    /// Changes a comment's text, resolves it, or makes it a draft again.
    ///
    /// # Errors
    /// Fails when the comment does not exist, or its text has been sent.
    pub(crate) fn edit_comment(
        &self,
        comment_id: &str,
        change: CommentChange,
        gone: &dyn Fn() -> bool,
    ) -> Result<ShownComment, WorkerError> {
        let _claim = self.claim_review();
        let stage = self.noted(comment_id, |noted| noted.stage)?;
        let id = || comment_id.to_owned();
        let mut batch = None;
        let mut add = |change| {
            let control = Control::Review(change);
            batch = Some(
                batch.take().map_or_else(|| CommandBatch::of(&control), |batch: CommandBatch| batch.and(&control)),
            );
        };
        if let Some(resolved) = change.resolved {
            add(ReviewChange::Resolved { comment_id: id(), resolved });
        }
        if change.text.is_some() || change.suggestion.is_some() {
            if stage != CommentStage::Draft && change.resolved != Some(false) {
                let text = "the comment has been sent: make it a draft again (state: draft) to change it";
                return Err(WorkerError::Conflict(text.to_owned()));
            }
            add(ReviewChange::Edited { comment_id: id(), text: change.text, suggestion: change.suggestion });
        }
        if let Some(batch) = batch {
            self.append(&batch)?;
        }
        self.show_comment(comment_id, gone)
    }

    /// Deletes a comment. A sent message with it stays unchanged.
    ///
    /// # Errors
    /// Fails when the comment does not exist.
    pub(crate) fn delete_comment(&self, comment_id: &str) -> Result<(), WorkerError> {
        let _claim = self.claim_review();
        self.noted(comment_id, |_| ())?;
        self.change_review(ReviewChange::Deleted { comment_id: comment_id.to_owned() })
    }

    /// Marks a file's content as viewed, or removes the mark.
    ///
    /// # Errors
    /// Fails when the journal can't be written.
    pub(crate) fn mark_viewed(&self, file: String, hash: String, viewed: bool) -> Result<(), WorkerError> {
        let _claim = self.claim_review();
        let is_marked = self.state().review.viewed().iter().any(|mark| mark.file == file && mark.hash == hash);
        if is_marked == viewed {
            return Ok(());
        }
        self.change_review(ReviewChange::Viewed { file, hash, viewed })
    }

    /// Holds the review, so that no comment changes between being read and being sent.
    pub(in crate::worker) fn claim_review(&self) -> Claim<'_> {
        self.claim("review".to_owned())
    }

    /// Writes the message of all drafts, or of the named ones, with a text before them.
    ///
    /// # Errors
    /// Fails when there are none, or a named one is not a draft.
    pub(in crate::worker) fn review_message(
        &self,
        named: Option<&[String]>,
        text: Option<&str>,
        gone: &dyn Fn() -> bool,
    ) -> Result<NewMessage, WorkerError> {
        let state = self.state();
        for id in named.unwrap_or_default() {
            let stage = self.noted(id, |noted| noted.stage)?;
            if stage != CommentStage::Draft {
                return Err(WorkerError::Conflict(format!("comment {id} has been sent or resolved already")));
            }
        }
        let is_wanted = |noted: &&ReviewEntry| {
            let is_named = named.is_none_or(|ids| ids.contains(&noted.comment.comment_id));
            noted.stage == CommentStage::Draft && is_named
        };
        let drafts: Vec<&ReviewEntry> = state.review.comments().iter().filter(is_wanted).collect();
        if drafts.is_empty() {
            return Err(WorkerError::Conflict("no draft comments to send".to_owned()));
        }
        let mut known = PresentProject::of(self, state.review.comments(), gone);
        let placed: Vec<_> = drafts.iter().map(|noted| (*noted, known.find(self, noted).1)).collect();
        Ok(NewMessage {
            content: message::text(&placed, text),
            review: drafts.iter().map(|noted| noted.comment.comment_id.clone()).collect(),
            ..NewMessage::default()
        })
    }

    fn change_review(&self, change: ReviewChange) -> Result<(), WorkerError> {
        self.append(&CommandBatch::of(&Control::Review(change)))
    }

    fn noted<T>(&self, comment_id: &str, of: impl FnOnce(&ReviewEntry) -> T) -> Result<T, WorkerError> {
        let missing = || WorkerError::NotFound(format!("comment not found: {comment_id}"));
        self.state().review.comment(comment_id).map(of).ok_or_else(missing)
    }

    fn show_comment(&self, comment_id: &str, gone: &dyn Fn() -> bool) -> Result<ShownComment, WorkerError> {
        let noted = self.noted(comment_id, ReviewEntry::clone)?;
        let found = PresentProject::of(self, std::slice::from_ref(&noted), gone).find(self, &noted);
        Ok(shown(&noted, found))
    }

    /// Builds the comment with the text that it is on.
    fn anchored(&self, new: NewComment, gone: &dyn Fn() -> bool) -> Result<ReviewComment, WorkerError> {
        let mut comment = ReviewComment {
            comment_id: uuid::Uuid::new_v4().to_string(),
            client_comment_id: new.client_comment_id,
            file: new.file,
            side: new.side,
            start: new.lines.map(|lines| lines.0),
            end: new.lines.map(|lines| lines.1),
            text: new.text,
            suggestion: new.suggestion,
            scope: new.scope.as_str().to_owned(),
            ..ReviewComment::default()
        };
        let Some(file) = comment.file.clone() else { return Ok(comment) };
        if let Some((start, end)) = new.lines.filter(|(start, end)| end - start >= LINES_MAX) {
            let text = format!("a comment is on at most {LINES_MAX} lines, not on {start} to {end}");
            return Err(WorkerError::Invalid(text).in_field("end"));
        }
        let looked = self.look_at_changes(&new.scope, gone)?;
        let changes = looked.as_ref().as_ref().map_err(WorkerError::from)?.as_ref().ok_or_else(|| {
            WorkerError::Conflict("the project is not under git, so its files have no changes".to_owned())
        })?;
        let entry = changes.files.iter().find(|entry| entry.is_named(&file, comment.side));
        let Some(entry) = entry else {
            if comment.start.is_some() && !new.quoted.is_empty() {
                comment.anchor = Some(anchor::of_lines(&new.quoted));
                return Ok(comment);
            }
            return Err(WorkerError::Conflict(format!("the diff does not have this file: {file}")).in_field("file"));
        };
        (comment.old_hash, comment.new_hash) = (entry.old_hash.clone(), entry.new_hash.clone());
        let Some((start, end)) = new.lines else { return Ok(comment) };
        let hunks = entry.part.map(|part| anchor::hunks(&changes.diff, part)).unwrap_or_default();
        let text = if comment.side == ReviewSide::New { places::text(self, &entry.path) } else { None };
        let lines = text.as_deref().map(anchor::lines_of);
        let mut effort = places::effort();
        let found = anchor::anchor(&hunks, comment.side, (start, end), lines.as_deref(), &mut effort);
        comment.anchor = Some(match found {
            Some(found) if new.quoted.is_empty() || quotes(&found, &new.quoted) => found,
            // The agent has changed the file since the client read it: the comment keeps what its author saw.
            _ if !new.quoted.is_empty() => {
                (comment.old_hash, comment.new_hash) = (None, None);
                anchor::of_lines(&new.quoted)
            }
            _ => {
                let text = format!("the diff does not show lines {start} to {end} of {file}");
                return Err(WorkerError::Conflict(text).in_field("start"));
            }
        });
        Ok(comment)
    }
}

/// Returns whether an anchor's lines are those that a client shows.
fn quotes(anchor: &Anchor, quoted: &[String]) -> bool {
    anchor.lines == anchor::of_lines(quoted).lines
}

fn shown(noted: &ReviewEntry, (state, place): (ReviewState, Option<LinePlace>)) -> ShownComment {
    let ReviewEntry { comment, message_id, created_at, edited_at, .. } = noted.clone();
    let anchor = comment.anchor.unwrap_or_default();
    ShownComment {
        id: comment.comment_id,
        client_comment_id: comment.client_comment_id,
        file: comment.file,
        side: comment.side,
        start: comment.start,
        end: comment.end,
        text: comment.text,
        suggestion: comment.suggestion,
        scope: comment.scope,
        quoted: message::quoted(&anchor, QUOTED_LINES_MAX),
        hunk: anchor.hunk,
        old_hash: comment.old_hash,
        new_hash: comment.new_hash,
        state,
        place,
        message_id,
        created_at: Micros(created_at),
        edited_at: Micros(edited_at),
    }
}
