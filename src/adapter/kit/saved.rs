//! The version of saved states. A state of another version is not read: the caller then folds from the beginning.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The key of the version in a saved state.
const VERSION_KEY: &str = "version";

/// Returns `state` as JSON with its version. An object keeps its fields beside the version.
pub(in crate::adapter) fn save(version: u32, state: &impl Serialize) -> Value {
    // Plain data with string keys always has a JSON form.
    let mut saved = serde_json::to_value(state).unwrap_or_default();
    if let Some(fields) = saved.as_object_mut() {
        fields.insert(VERSION_KEY.to_owned(), version.into());
    }
    saved
}

/// Reads a saved state; `None` when another version saved it, or it cannot be read.
pub(in crate::adapter) fn restore<S: DeserializeOwned>(version: u32, saved: &Value) -> Option<S> {
    let is_readable = saved.get(VERSION_KEY).and_then(Value::as_u64) == Some(version.into());
    if is_readable { S::deserialize(saved).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn state_of_another_version_is_not_read() {
        let state = BTreeMap::from([("a".to_owned(), 1_u32)]);
        let saved = save(3, &state);
        assert_eq!(saved, json!({"a": 1, "version": 3}));
        let read = restore::<BTreeMap<String, u32>>(3, &saved).unwrap();
        assert_eq!(read["a"], 1);
        for (version, saved) in [(4, saved), (3, json!({"a": 1})), (3, json!({"version": 3, "a": "x"})), (3, json!(3))]
        {
            assert_eq!(restore::<BTreeMap<String, u32>>(version, &saved), None, "{saved}");
        }
    }
}
