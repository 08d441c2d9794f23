//! The options of a running CLI: what can be chosen in it, and what is chosen now. One shape for all CLIs.

use serde::Serialize;
use serde_json::Value;

/// The category of the option that chooses the model.
pub(crate) const MODEL: &str = "model";
/// The category of the option that chooses the permission mode.
pub(crate) const MODE: &str = "mode";

/// One option.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentOption {
    /// The name by which it is set.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `model`, `mode`, `thought_level`, `model_config`, or the agent's own word.
    pub category: Option<String>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: OptionKind,
    /// The value in force, as far as it is known.
    pub value: Value,
    /// The value that the next start asks for, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Value>,
    /// The values that it offers; empty for an option that is on or off.
    pub choices: Vec<OptionChoice>,
    /// True if it can be set while the CLI runs.
    pub settable: bool,
}

/// The kind of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// One of several values.
    Select,
    /// A switch.
    Boolean,
}

/// One value of an option.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OptionChoice {
    /// The value.
    pub value: String,
    /// Its name, for people.
    pub name: String,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The name of the group that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The levels of effort that the model offers, where they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effort_levels: Vec<String>,
}

impl AgentOption {
    /// Returns an option with one of several values, which can be set while the CLI runs. An empty value is not known.
    pub(crate) fn select(id: &str, name: &str, category: &str, value: &str, choices: Vec<OptionChoice>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            description: None,
            category: Some(category.to_owned()),
            kind: OptionKind::Select,
            value: if value.is_empty() { Value::Null } else { value.into() },
            next: None,
            choices,
            settable: true,
        }
    }

    /// Returns true if a client means this option by `name`: its id, or `model`, `mode` or `permission_mode` for its
    /// category.
    pub fn is_called(&self, name: &str) -> bool {
        let category = if name == "permission_mode" { MODE } else { name };
        self.id == name || (matches!(category, MODEL | MODE) && self.category.as_deref() == Some(category))
    }

    /// Checks a value for it. A model that is not offered may be one of a provider of the user's own: the CLI decides.
    ///
    /// # Errors
    /// Fails when it is not offered, with a text for people.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match self.kind {
            OptionKind::Boolean if value.is_boolean() => Ok(()),
            OptionKind::Boolean => Err(format!("{} is on or off: true or false, not {value}", self.id)),
            OptionKind::Select => {
                let known = value.as_str().is_some_and(|value| self.choices.iter().any(|choice| choice.value == value));
                let is_open = self.choices.is_empty() || self.category.as_deref() == Some(MODEL);
                if known || (is_open && value.as_str().is_some_and(|value| !value.is_empty())) {
                    return Ok(());
                }
                let choices: Vec<&str> = self.choices.iter().map(|choice| choice.value.as_str()).collect();
                Err(format!("{value} is not offered for {}; one of {}", self.id, choices.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn models_of_other_providers_are_left_to_the_cli() {
        let choices =
            || vec![OptionChoice { value: "listed".into(), name: "Listed".into(), ..OptionChoice::default() }];
        let of = |category| AgentOption::select(category, "Name", category, "listed", choices());
        assert_eq!(of(MODEL).check(&json!("ollama/own")), Ok(()));
        assert_eq!(of(MODEL).check(&json!("listed")), Ok(()));
        for wrong in [json!(""), json!(1), json!(null), json!(["listed"])] {
            assert!(of(MODEL).check(&wrong).is_err(), "{wrong}");
        }
        assert!(of(MODE).check(&json!("unlisted")).unwrap_err().contains("one of listed"));
    }
}
