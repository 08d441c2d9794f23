//! The images of events, from the records that have them.

use std::io;

use crate::event::{Body, Image, image};
use crate::journal::{Entry, Kind, Reader, Record, records};
use crate::worker::history::archive::Archive;

/// Number of records after a message's record among which its lines to the CLI are.
const LINES_MAX: usize = 16;

impl Archive {
    /// Returns the image `index`, counted from 0, of the event `seq`: a tool's result, or a message to the CLI, queued or
    /// sent.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub fn image(&self, seq: u64, index: usize) -> io::Result<Option<Image>> {
        let mut walk = self.walk(seq)?;
        let end = walk.reader.next(walk.reader.align(seq)?)?.map_or_else(|| walk.reader.size(), Ok)?;
        let (mut found, mut is_message) = (None, false);
        while walk.next < end {
            let before = walk.next;
            walk.step(end, &mut |walked| {
                if walked.seq != seq {
                    return;
                }
                match &walked.output.event.body {
                    Body::ToolResult { images, .. } => found = images.get(index).cloned(),
                    Body::User { message_id: Some(_), attachments, .. } => is_message = !attachments.is_empty(),
                    // A message of a followed session is in the CLI's own line, and a queued one in its record.
                    Body::User { .. } | Body::MessageState { state: "queued", .. } => {
                        found = images_in(walked.record.payload).into_iter().nth(index)
                    }
                    _ => {}
                }
            })?;
            if walk.next == before {
                break;
            }
        }
        if is_message { sent_image(&walk.reader, end, index) } else { Ok(found) }
    }
}

/// Returns the image `index` of a message whose record ends at `from`: its lines to the CLI follow.
fn sent_image(reader: &Reader, from: u64, index: usize) -> io::Result<Option<Image>> {
    let (mut at, mut buffer, mut images) = (from, Vec::new(), Vec::new());
    for _ in 0..LINES_MAX {
        let reached = reader.read(at, 1, &mut buffer)?;
        let Some(entry) = records(&buffer, at).next() else { break };
        match entry {
            Entry::Record(Record { kind: Kind::In, payload, .. }) => {
                images.extend(images_in(payload));
            }
            // They are written together.
            _ if !images.is_empty() => break,
            _ => {}
        }
        if images.len() > index || reached == at {
            break;
        }
        at = entry.end();
    }
    Ok(images.into_iter().nth(index))
}

/// Returns the images in a CLI's line.
fn images_in(line: &[u8]) -> Vec<Image> {
    serde_json::from_slice(line).map(|mut line| image::take(&mut line)).unwrap_or_default()
}
