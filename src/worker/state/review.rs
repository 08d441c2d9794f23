//! The review of a worker's changes: comments with their states, and marks of viewed files.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::journal::{AnchorLine, ReviewChange, ReviewComment};

/// Maximum number of comments of a worker.
pub(crate) const COMMENTS_MAX: usize = 500;
/// Maximum size of all comments of a worker with their quoted texts, in bytes.
pub(crate) const COMMENTS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Maximum number of marks of viewed files; the oldest are dropped.
const VIEWED_MAX: usize = 2_000;
/// Fixed size of a comment besides its texts, in bytes.
const COMMENT_BYTES: usize = 256;

/// The stage of a comment on its way to the agent, as recorded in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommentStage {
    /// Not sent.
    #[default]
    Draft,
    /// Part of a message.
    Sent,
    /// A person has resolved it.
    Resolved,
}

/// A comment with its stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReviewEntry {
    /// The comment.
    pub comment: ReviewComment,
    /// Its stage.
    pub stage: CommentStage,
    /// The message in which it was sent.
    pub message_id: Option<String>,
    /// True once the agent has received that message: later changes may be its answer.
    pub delivered: bool,
    /// The time at which it was written.
    pub created_at: u64,
    /// The time of its last change.
    pub edited_at: u64,
}

/// A file's content that was marked as viewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewedFile {
    /// The file's path.
    pub file: String,
    /// The hash of the content.
    pub hash: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct StoredReview {
    comments: Vec<ReviewEntry>,
    viewed: Vec<ViewedFile>,
}

/// A worker's review. Cloning is cheap: states are cloned with every record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Review {
    kept: Arc<StoredReview>,
    /// Number of comments and marks that the present record has changed; always 0 between two records.
    changed: usize,
}

impl Serialize for Review {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.kept.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Review {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StoredReview::deserialize(deserializer).map(|kept| Self { kept: Arc::new(kept), changed: 0 })
    }
}

impl Review {
    /// Returns the comments, oldest first.
    pub(crate) fn comments(&self) -> &[ReviewEntry] {
        &self.kept.comments
    }

    /// Returns one comment.
    pub(crate) fn comment(&self, comment_id: &str) -> Option<&ReviewEntry> {
        self.kept.comments.iter().find(|noted| noted.comment.comment_id == comment_id)
    }

    /// Returns the marks of viewed files, oldest first.
    pub(crate) fn viewed(&self) -> &[ViewedFile] {
        &self.kept.viewed
    }

    /// Returns the size of all comments in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.kept.comments.iter().map(|noted| weight(&noted.comment)).sum()
    }

    /// Applies a change.
    pub(super) fn change(&mut self, change: &ReviewChange, time: Micros) {
        match change {
            ReviewChange::Written { comment } => {
                // The API has the same limits, but a journal may be imported.
                if self.comment(&comment.comment_id).is_none() && self.has_room_for(comment) {
                    Arc::make_mut(&mut self.kept).comments.push(ReviewEntry {
                        comment: (**comment).clone(),
                        stage: CommentStage::Draft,
                        message_id: None,
                        delivered: false,
                        created_at: time.0,
                        edited_at: time.0,
                    });
                    self.changed += 1;
                }
            }
            ReviewChange::Edited { comment_id, text, suggestion } => {
                self.with(
                    |noted| noted.comment.comment_id == *comment_id,
                    |noted| {
                        if let Some(text) = text {
                            noted.comment.text.clone_from(text);
                        }
                        if let Some(suggestion) = suggestion {
                            noted.comment.suggestion = Some(suggestion.clone()).filter(|lines| !lines.is_empty());
                        }
                        noted.edited_at = time.0;
                    },
                );
            }
            ReviewChange::Resolved { comment_id, resolved } => {
                self.with(
                    |noted| noted.comment.comment_id == *comment_id,
                    |noted| {
                        if *resolved {
                            noted.stage = CommentStage::Resolved;
                        } else {
                            (noted.stage, noted.message_id, noted.delivered) = (CommentStage::Draft, None, false);
                        }
                        noted.edited_at = time.0;
                    },
                );
            }
            ReviewChange::Deleted { comment_id } => {
                if self.comment(comment_id).is_some() {
                    let kept = Arc::make_mut(&mut self.kept);
                    kept.comments.retain(|noted| noted.comment.comment_id != *comment_id);
                    self.changed += 1;
                }
            }
            ReviewChange::Viewed { file, hash, viewed } => {
                let kept = Arc::make_mut(&mut self.kept);
                kept.viewed.retain(|mark| mark.file != *file || mark.hash != *hash);
                if *viewed {
                    kept.viewed.push(ViewedFile { file: file.clone(), hash: hash.clone() });
                    if kept.viewed.len() > VIEWED_MAX {
                        kept.viewed.remove(0);
                    }
                }
                self.changed += 1;
            }
            ReviewChange::Unknown => {}
        }
    }

    /// Returns whether one more comment fits.
    pub(crate) fn has_room_for(&self, comment: &ReviewComment) -> bool {
        self.kept.comments.len() < COMMENTS_MAX && self.bytes() + weight(comment) <= COMMENTS_BYTES_MAX
    }

    /// Marks these comments as part of a queued message.
    pub(super) fn sent(&mut self, comment_ids: &[String], message_id: &str) {
        if comment_ids.is_empty() {
            return;
        }
        self.with(
            |noted| comment_ids.contains(&noted.comment.comment_id),
            |noted| {
                noted.stage = CommentStage::Sent;
                noted.message_id = Some(message_id.to_owned());
                noted.delivered = false;
            },
        );
    }

    /// Marks the comments of a message as received by the agent.
    pub(super) fn delivered(&mut self, message_id: &str) {
        self.with(
            |noted| noted.message_id.as_deref() == Some(message_id) && !noted.delivered,
            |noted| {
                noted.delivered = true;
            },
        );
    }

    /// Turns the comments of a message that the agent will not receive into drafts again.
    pub(super) fn returned(&mut self, message_id: &str) {
        let is_sent =
            |noted: &ReviewEntry| noted.stage == CommentStage::Sent && noted.message_id.as_deref() == Some(message_id);
        self.with(is_sent, |noted| {
            (noted.stage, noted.message_id, noted.delivered) = (CommentStage::Draft, None, false)
        });
    }

    /// Returns the event for the changes of the present record.
    pub(super) fn take_event(&mut self) -> Option<Event<'static>> {
        let comments_changed = std::mem::take(&mut self.changed);
        (comments_changed > 0).then(|| Event::new("", Body::Review { comments_changed }))
    }

    fn with(&mut self, is_it: impl Fn(&ReviewEntry) -> bool, change: impl Fn(&mut ReviewEntry)) {
        if !self.kept.comments.iter().any(&is_it) {
            return;
        }
        for noted in Arc::make_mut(&mut self.kept).comments.iter_mut().filter(|noted| is_it(noted)) {
            change(noted);
            self.changed += 1;
        }
    }
}

/// Returns the size of a comment in bytes.
fn weight(comment: &ReviewComment) -> usize {
    let line = |line: &AnchorLine| match line {
        AnchorLine::Whole(text) => text.len(),
        AnchorLine::Long { excerpt, sha256, .. } => excerpt.len() + sha256.len(),
    };
    let anchor = comment.anchor.as_ref().map_or(0, |anchor| {
        let around = anchor.before.iter().chain(&anchor.after);
        anchor.hunk.len() + anchor.lines.iter().chain(around).map(line).sum::<usize>()
    });
    let texts = comment.text.len() + comment.suggestion.as_ref().map_or(0, String::len);
    COMMENT_BYTES + texts + comment.file.as_ref().map_or(0, String::len) + anchor
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Micros = Micros(7);

    fn comment(id: &str, text: &str) -> ReviewChange {
        let comment = ReviewComment { comment_id: id.to_owned(), text: text.to_owned(), ..ReviewComment::default() };
        ReviewChange::Written { comment: Box::new(comment) }
    }

    fn stage(review: &Review, id: &str) -> (CommentStage, bool) {
        let noted = review.comment(id).unwrap();
        (noted.stage, noted.delivered)
    }

    #[test]
    fn comments_of_a_message_that_never_arrives_are_drafts_again() {
        let mut review = Review::default();
        review.change(&comment("a", "one"), TIME);
        review.change(&comment("b", "two"), TIME);
        review.sent(&["a".to_owned()], "m1");
        assert_eq!(
            (stage(&review, "a"), stage(&review, "b")),
            ((CommentStage::Sent, false), (CommentStage::Draft, false))
        );
        review.returned("m1");
        assert_eq!(stage(&review, "a"), (CommentStage::Draft, false));
        review.sent(&["a".to_owned(), "b".to_owned()], "m2");
        review.delivered("m2");
        review.change(&ReviewChange::Resolved { comment_id: "a".to_owned(), resolved: true }, TIME);
        review.returned("m2");
        assert_eq!(
            (stage(&review, "a"), stage(&review, "b")),
            ((CommentStage::Resolved, true), (CommentStage::Draft, false))
        );
    }

    #[test]
    fn reviews_are_bounded_whatever_a_journal_says() {
        let mut review = Review::default();
        for n in 0..COMMENTS_MAX + 10 {
            review.change(&comment(&n.to_string(), "x"), TIME);
            let (file, hash) = (n.to_string(), "0".repeat(40));
            for place in 0..5 {
                let file = format!("{file}-{place}");
                review.change(&ReviewChange::Viewed { file, hash: hash.clone(), viewed: true }, TIME);
            }
        }
        assert_eq!((review.comments().len(), review.viewed().len()), (COMMENTS_MAX, VIEWED_MAX));
        let mut review = Review::default();
        for n in 0..10 {
            review.change(&comment(&n.to_string(), &"x".repeat(COMMENTS_BYTES_MAX / 4)), TIME);
        }
        assert_eq!(review.comments().len(), 3);
        assert!(review.bytes() <= COMMENTS_BYTES_MAX);
    }

    #[test]
    fn saved_reviews_are_read_back_the_same() {
        let mut review = Review::default();
        review.change(&comment("a", "one"), TIME);
        review.change(&ReviewChange::Viewed { file: "f".to_owned(), hash: "00".to_owned(), viewed: true }, TIME);
        assert!(review.take_event().is_some() && review.take_event().is_none());
        let saved = serde_json::to_string(&review).unwrap();
        assert_eq!(serde_json::from_str::<Review>(&saved).unwrap(), review);
        review.change(&ReviewChange::Viewed { file: "f".to_owned(), hash: "00".to_owned(), viewed: false }, TIME);
        assert!(review.viewed().is_empty());
    }
}
