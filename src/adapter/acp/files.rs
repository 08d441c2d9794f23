//! The protocol's file methods, for agents that use their client's files: read from their lines, and answered. What is
//! done to the files is not done here.

use std::path::PathBuf;

use serde_json::json;

use super::rpc;
use crate::adapter::kit::field;
use crate::adapter::{FileAccess, FileRequest};
use crate::json;

const READ: &str = "fs/read_text_file";
const WRITE: &str = "fs/write_text_file";
/// The protocol's code for a file that cannot be had.
const NOT_FOUND: i64 = -32002;

/// Returns true for a method that concerns a file.
pub(super) fn is_request(method: &str) -> bool {
    method == READ || method == WRITE
}

/// Reads the request for a file in a line.
pub(super) fn request(line: &[u8]) -> Option<FileRequest> {
    let mut line = json::value(line)?;
    let mut params = field::take(&mut line, "params");
    let path = PathBuf::from(field::take_text(&mut params, "path")?);
    let access = match field::text(&line, "method")? {
        READ => FileAccess::Read { line: field::number(&params, "line"), limit: field::number(&params, "limit") },
        WRITE => FileAccess::Write { content: field::take_text(&mut params, "content")? },
        _ => return None,
    };
    Some(FileRequest { path, access })
}

/// The answer to such a line.
pub(super) fn answer(line: &[u8], outcome: Result<Option<String>, String>) -> Option<Vec<u8>> {
    let mut line = json::value(line)?;
    let id = field::take(&mut line, "id");
    let message = match outcome {
        Ok(Some(text)) => rpc::response(&id, json!({ "content": text })),
        Ok(None) => rpc::response(&id, json!({})),
        Err(why) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": NOT_FOUND, "message": why}}),
    };
    Some(rpc::line(&message))
}
