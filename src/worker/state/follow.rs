//! The positions up to which the files of a followed session are in the journal.

use serde::{Deserialize, Serialize};

use crate::transcript::Position;

/// Maximum number of files of one session: its own, and one for each sub-agent.
pub(crate) const FILES_MAX: usize = 512;

/// A followed session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// Its transcript.
    pub path: String,
    /// Its files.
    files: Vec<FollowedFile>,
    /// The file whose lines come next in the journal.
    current: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct FollowedFile {
    file: String,
    position: Position,
}

impl Follow {
    pub(super) fn begin(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// Sets the file of the next lines to `file`, from `offset` on.
    pub(super) fn place(&mut self, file: &str, offset: u64, inode: u64) {
        let found = self.files.iter().position(|followed| followed.file == file);
        self.current = found.unwrap_or_else(|| {
            if self.files.len() < FILES_MAX {
                self.files.push(FollowedFile { file: file.to_owned(), position: Position::default() });
            }
            self.files.len() - 1
        });
        if let Some(followed) = self.files.get_mut(self.current) {
            // Skipped lines leave no checksum to compare.
            let goes_on = (followed.position.inode, followed.position.offset) == (inode, offset);
            let mark = if goes_on { followed.position.mark } else { crate::transcript::TailMark::default() };
            followed.position = Position { inode, offset, mark };
        }
    }

    /// Adds the length of a line; `whole` when a newline ended it.
    pub fn advance(&mut self, line: &[u8], whole: bool) {
        if let Some(followed) = self.files.get_mut(self.current) {
            followed.position.advance(line, whole);
        }
    }

    /// Returns the position up to which a file is in the journal.
    pub fn position(&self, file: &str) -> Position {
        self.files.iter().find(|followed| followed.file == file).map(|followed| followed.position).unwrap_or_default()
    }
}
