//! Settings that a CLI accepts or refuses while it runs.

use serde::Serialize;

/// A setting of a running CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CliSetting {
    /// Its model.
    Model,
    /// Its permission mode.
    PermissionMode,
}
