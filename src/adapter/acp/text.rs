//! Texts of the protocol: hashes of what is too long to keep, and errors in words.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::adapter::{common, field};

/// A hash that stays the same between builds and machines (FNV-1a), of a value as JSON.
pub(super) fn hash(value: &impl Serialize) -> u64 {
    struct Fnv(u64);
    impl io::Write for Fnv {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for &byte in bytes {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Writing into the hash cannot fail.
    let _ = serde_json::to_writer(&mut hash, value);
    hash.0
}

/// What a JSON-RPC error says, for people: its message, the details that some agents put beside it, and the inner
/// message where an agent passes a provider's answer on as it came.
pub(super) fn error_text(error: &Value) -> String {
    let message = field::text(error, "message").unwrap_or("no reason given");
    let inner = serde_json::from_str::<Value>(message).ok();
    let inner = inner.as_ref().map(|inner| inner.get("error").unwrap_or(inner));
    let message = inner.and_then(|inner| field::text(inner, "message")).unwrap_or(message);
    let data = error.get("data").unwrap_or(&Value::Null);
    let details = field::text(data, "details").or_else(|| data.as_str()).unwrap_or_default();
    let text = match details.lines().next().unwrap_or_default() {
        "" => message.to_owned(),
        details if message == "Internal error" => details.to_owned(),
        details => format!("{message}: {details}"),
    };
    common::cut(text, super::lines::REASON_MAX)
}

/// Whether an error says that the agent is not logged in, or that its key is not good.
pub(super) fn is_authentication(error: &Value) -> bool {
    // -32000 is the protocol's own code for it; others are HTTP's, which some agents use as they are.
    if matches!(error.get("code").and_then(Value::as_i64), Some(-32000 | 401 | 403)) {
        return true;
    }
    let text = error_text(error).to_lowercase();
    ["401", "unauthorized", "authentication", "api key", "not logged in"].iter().any(|word| text.contains(word))
}
