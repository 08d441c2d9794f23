//! One row of the table of settings.

use super::group::SettingGroup;
use super::value::Value;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in `.env` and in the environment.
    pub name: &'static str,
    /// Its group.
    pub group: SettingGroup,
    /// Its name for people.
    pub label: &'static str,
    /// Its default, as it would be written in `.env`. Empty if it has none; `doc` explains what that means.
    pub default: &'static str,
    /// Its meaning, in sentences.
    pub doc: &'static str,
    /// The environment variable that is asked after its own name.
    pub fallback: Option<&'static str>,
    /// The kind of its value.
    pub(super) value: Value,
}

impl Setting {
    /// Describes the allowed values, as the end of a sentence that begins "must be".
    pub fn allowed(&self) -> String {
        self.value.allowed()
    }

    /// Returns whether its value must be masked wherever it is shown.
    pub const fn is_secret(&self) -> bool {
        self.value.is_secret()
    }

    /// The unit that follows a shown value: `s`, or nothing.
    pub fn suffix(&self) -> &'static str {
        self.value.suffix()
    }

    /// The environment variables that can set it, in the order in which they are asked.
    pub fn environment_names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.fallback].into_iter().flatten()
    }

    pub(super) const fn new(
        group: SettingGroup,
        name: &'static str,
        label: &'static str,
        default: &'static str,
        value: Value,
    ) -> Self {
        Self { name, group, label, default, doc: "", fallback: None, value }
    }

    pub(super) const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    pub(super) const fn or_else(self, name: &'static str) -> Self {
        Self { fallback: Some(name), ..self }
    }
}
