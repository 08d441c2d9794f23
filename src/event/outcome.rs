//! The event of a setting that a CLI has accepted or refused.

use super::setting::CliSetting;
use super::{Body, Event, Text};

impl CliSetting {
    /// Makes the event of a value that the CLI has accepted, or refused.
    pub fn answered<'a>(self, value: impl Into<Text<'a>>, accepted: bool) -> Event<'a> {
        let value = value.into();
        let name = match self {
            Self::Model => "Model",
            Self::PermissionMode => "Permission mode",
        };
        let (state, effect) = if accepted { ("applied", "in force") } else { ("refused", "refused, and not used") };
        Event::new(format!("{name} {value}: {effect}"), Body::Setting { setting: self, value, state })
    }
}
