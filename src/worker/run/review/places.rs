//! The places of comments in the present project, and the states that follow from them.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use serde::Serialize;

use crate::journal::{ReviewComment, ReviewSide};
use crate::worker::place::git::GitError;
use crate::worker::place::look::anchor::{self, Effort};
use crate::worker::place::look::{ChangedFile, DiffScope, ProjectChanges};
use crate::worker::run::worker::Worker;
use crate::worker::state::{CommentStage, ReviewEntry};

/// Largest file in which comments follow their lines, in bytes. In a larger one they stay as long as it is unchanged.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Maximum number of files that are read for one response.
const FILES_MAX: usize = 100;
/// Maximum number of comparisons of lines for one response.
const COMPARISONS_MAX: usize = 20_000_000;

/// The state of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReviewState {
    /// Not sent.
    Draft,
    /// The agent has received it, or will.
    Sent,
    /// The agent received it, and its lines have changed since.
    Addressed,
    /// Its lines changed before the agent received it.
    Outdated,
    /// A person has resolved it.
    Resolved,
}

/// The present place of a comment's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LinePlace {
    /// The file, which may have been renamed.
    pub file: String,
    /// The side.
    pub side: ReviewSide,
    /// The first line; `None` for a whole file.
    pub start: Option<u64>,
    /// The last line.
    pub end: Option<u64>,
}

/// The budget of comparisons of lines for one response.
pub(super) fn effort() -> Effort {
    Effort(COMPARISONS_MAX)
}

/// Reads the text of a file of the project, if it is small enough to follow lines in it.
pub(super) fn text(worker: &Worker, path: &str) -> Option<String> {
    let found = worker.open_file(path).ok().filter(|found| found.size <= FILE_BYTES_MAX)?;
    let mut bytes = Vec::new();
    found.file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the state and the place of a new comment.
pub(super) fn fresh(comment: &ReviewComment) -> (ReviewState, Option<LinePlace>) {
    let Some(file) = comment.file.clone() else { return (ReviewState::Draft, None) };
    if comment.old_hash.is_none() && comment.new_hash.is_none() {
        return (ReviewState::Outdated, None);
    }
    let place = LinePlace { file, side: comment.side, start: comment.start, end: comment.end };
    (ReviewState::Draft, Some(place))
}

type SharedChanges = Arc<Result<Option<ProjectChanges>, GitError>>;

/// The parts of the present project that comments need.
pub(super) struct PresentProject {
    base: Option<SharedChanges>,
    head: Option<SharedChanges>,
    problem: Option<String>,
    texts: HashMap<String, Option<Arc<str>>>,
    effort: Effort,
}

impl PresentProject {
    /// Reads the scopes that these comments need.
    pub(super) fn of(worker: &Worker, comments: &[ReviewEntry], gone: &dyn Fn() -> bool) -> Self {
        let mut problem = None;
        let mut look = |scope: DiffScope| match worker.look_at_changes(&scope, gone) {
            Ok(looked) => {
                if let Err(error) = looked.as_ref() {
                    problem = Some(error.to_string());
                }
                Some(looked)
            }
            Err(error) => {
                problem = Some(error.to_string());
                None
            }
        };
        let open =
            || comments.iter().filter(|noted| noted.stage != CommentStage::Resolved && noted.comment.file.is_some());
        let base = open().next().is_some().then(|| look(DiffScope::Base)).flatten();
        let is_of_head =
            |noted: &ReviewEntry| is_since_commit(&noted.comment.scope) && noted.comment.side == ReviewSide::Old;
        let head = open().any(is_of_head).then(|| look(DiffScope::Head)).flatten();
        Self { base, head, problem, texts: HashMap::new(), effort: effort() }
    }

    /// The reason why places are not known.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// Returns the state of a comment and the place of its text.
    pub(super) fn find(&mut self, worker: &Worker, noted: &ReviewEntry) -> (ReviewState, Option<LinePlace>) {
        let place = self.place(worker, noted);
        let is_gone = place.is_none() && noted.comment.file.is_some() && self.problem.is_none();
        let is_new = || {
            // A comment on a whole file is addressed by any change of it.
            let now = self.now(noted).and_then(|file| file.new_hash.clone());
            noted.comment.start.is_none() && noted.comment.file.is_some() && now != noted.comment.new_hash
        };
        let state = match noted.stage {
            CommentStage::Resolved => ReviewState::Resolved,
            CommentStage::Sent if noted.delivered && (is_gone || (self.problem.is_none() && is_new())) => {
                ReviewState::Addressed
            }
            CommentStage::Draft | CommentStage::Sent if is_gone => ReviewState::Outdated,
            CommentStage::Draft => ReviewState::Draft,
            CommentStage::Sent => ReviewState::Sent,
        };
        (state, place)
    }

    /// Finds the comment's file in the present changes.
    fn now(&self, noted: &ReviewEntry) -> Option<&ChangedFile> {
        let changes = changes(self.base.as_ref())?;
        let file = noted.comment.file.as_deref()?;
        changes
            .files
            .iter()
            .find(|entry| entry.path == file)
            .or_else(|| changes.files.iter().find(|entry| entry.old_path.as_deref() == Some(file)))
    }

    fn place(&mut self, worker: &Worker, noted: &ReviewEntry) -> Option<LinePlace> {
        let comment = &noted.comment;
        let file = comment.file.as_deref()?;
        if noted.stage == CommentStage::Resolved {
            return None;
        }
        let at = |file: &str, start, end| Some(LinePlace { file: file.to_owned(), side: comment.side, start, end });
        let (Some(start), Some(end)) = (comment.start, comment.end) else {
            let now = self.now(noted).map(|entry| entry.path.clone());
            let is_fixed = !is_since_commit(&comment.scope) && comment.scope != DiffScope::Base.as_str();
            return at(&now.or_else(|| is_fixed.then(|| file.to_owned()))?, None, None);
        };
        let lines = comment.anchor.as_ref()?;
        if comment.side == ReviewSide::Old {
            return if self.is_on_old_side(noted, (start, end)) { at(file, comment.start, comment.end) } else { None };
        }
        let now = self.now(noted);
        let name = now.map_or(file, |entry| entry.path.as_str()).to_owned();
        if comment.new_hash.is_some() && now.is_some_and(|entry| entry.new_hash == comment.new_hash) {
            return at(&name, comment.start, comment.end);
        }
        if self.texts.len() >= FILES_MAX && !self.texts.contains_key(&name) {
            return None;
        }
        let known = self.texts.entry(name.clone()).or_insert_with(|| text(worker, &name).map(Into::into)).clone()?;
        let found = anchor::locate(lines, &anchor::lines_of(&known), &mut self.effort)?;
        let start = u64::try_from(found).ok()? + 1;
        at(&name, Some(start), Some(start + (end - comment.start?)))
    }

    /// Returns whether the diff still shows lines of the old side at the same place.
    fn is_on_old_side(&self, noted: &ReviewEntry, lines: (u64, u64)) -> bool {
        let comment = &noted.comment;
        let looked = match comment.scope.as_str() {
            scope if is_since_commit(scope) => self.head.as_ref(),
            scope if scope == DiffScope::Base.as_str() => self.base.as_ref(),
            // The old side is a commit, which does not change.
            _ => return comment.old_hash.is_some(),
        };
        let Some(changes) = changes(looked) else { return false };
        let Some(file) = comment.file.as_deref() else { return false };
        let entry = changes.files.iter().find(|entry| entry.is_named(file, ReviewSide::Old));
        let Some(entry) = entry.filter(|entry| entry.old_hash.is_some() && entry.old_hash == comment.old_hash) else {
            return false;
        };
        let hunks = entry.part.map(|part| anchor::hunks(&changes.diff, part)).unwrap_or_default();
        comment.anchor.as_ref().is_some_and(|it| !it.removed || anchor::removes(&hunks, lines))
    }
}

fn changes(looked: Option<&SharedChanges>) -> Option<&ProjectChanges> {
    looked?.as_ref().as_ref().ok()?.as_ref()
}

/// Returns whether a scope compares with the last commit, which changes over time.
fn is_since_commit(scope: &str) -> bool {
    [DiffScope::Head, DiffScope::Uncommitted].iter().any(|it| it.as_str() == scope)
}
