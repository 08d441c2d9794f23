//! The settings that the next start requests from a CLI: a change counts once the CLI cannot refuse it any more.

use serde::{Deserialize, Serialize};

use super::State;
use crate::event::CliSetting;
use crate::journal::StartSettings;

/// A setting as it was before a change that the CLI may still refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    value: Option<String>,
}

/// The settings as they were before changes that the CLI has not confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UnconfirmedSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Before>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_mode: Option<Before>,
}

impl State {
    /// Returns the settings that the next start requests.
    pub fn next_start(&self) -> StartSettings {
        StartSettings { model: self.options.model.clone(), permission_mode: self.options.permission_mode.clone() }
    }

    /// Applies a request for a setting. A running CLI that answers such requests has not done so yet: without its
    /// consent, the request has no effect, now or at a later start.
    pub(super) fn wish(&mut self, setting: CliSetting, value: Option<&String>, answers: bool) {
        let Some(value) = value else { return };
        if answers && self.process.may_live() {
            return;
        }
        let (wanted, before) = self.setting(setting);
        let old = wanted.replace(value.clone());
        before.get_or_insert(Before { value: old });
    }

    /// Applies the CLI's answer to a request: a refused setting is replaced by the earlier one.
    pub(super) fn setting_answered(&mut self, setting: CliSetting, value: &str, accepted: bool) {
        let (wanted, before) = self.setting(setting);
        if accepted {
            *before = None;
            *wanted = Some(value.to_owned());
            match setting {
                CliSetting::Model => self.model = Some(value.to_owned()),
                CliSetting::PermissionMode => self.permission_mode = Some(value.to_owned()),
            }
        } else if wanted.as_deref() == Some(value) {
            *wanted = before.take().and_then(|before| before.value).filter(|old| old != value);
        }
    }

    fn setting(&mut self, setting: CliSetting) -> (&mut Option<String>, &mut Option<Before>) {
        let (options, unconfirmed) = (&mut self.options, &mut self.unconfirmed);
        match setting {
            CliSetting::Model => (&mut options.model, &mut unconfirmed.model),
            CliSetting::PermissionMode => (&mut options.permission_mode, &mut unconfirmed.permission_mode),
        }
    }
}
