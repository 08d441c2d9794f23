//! The options of a worker's CLI as the protocol has them: modes, models and configuration options.

use serde_json::{Value, json};

use crate::adapter::agent_options::{AgentOption, MODE, MODEL, OptionChoice, OptionKind};

/// The value that is in force, or that the worker has asked for.
fn current(option: &AgentOption) -> Option<&Value> {
    option.next.as_ref().or(Some(&option.value)).filter(|value| !value.is_null())
}

fn current_choice(option: &AgentOption) -> Option<&str> {
    current(option).and_then(Value::as_str).or_else(|| option.choices.first().map(|choice| choice.value.as_str()))
}

fn described(mut value: Value, description: Option<&str>) -> Value {
    if let Some(description) = description {
        value["description"] = description.into();
    }
    value
}

/// All options, those that are on or off only for a client that knows them.
pub(super) fn config(options: &[AgentOption], takes_booleans: bool) -> Vec<Value> {
    options.iter().filter(|option| option.settable).filter_map(|option| one(option, takes_booleans)).collect()
}

fn one(option: &AgentOption, takes_booleans: bool) -> Option<Value> {
    let mut shown = json!({"id": option.id, "name": option.name});
    if let Some(category) = &option.category {
        shown["category"] = category.as_str().into();
    }
    match option.kind {
        OptionKind::Boolean if !takes_booleans => return None,
        OptionKind::Boolean => {
            shown["type"] = "boolean".into();
            shown["currentValue"] = current(option).and_then(Value::as_bool).unwrap_or_default().into();
        }
        OptionKind::Select => {
            let choice = |choice: &OptionChoice| {
                described(json!({"value": choice.value, "name": choice.name}), choice.description.as_deref())
            };
            shown["type"] = "select".into();
            shown["currentValue"] = current_choice(option)?.into();
            shown["options"] = option.choices.iter().map(choice).collect();
        }
    }
    Some(described(shown, option.description.as_deref()))
}

fn called<'o>(options: &'o [AgentOption], category: &str) -> Option<&'o AgentOption> {
    options.iter().find(|option| option.is_called(category) && !option.choices.is_empty())
}

/// The fields of a response that opens a session.
pub(super) fn opened(options: &[AgentOption], takes_booleans: bool) -> Value {
    let mut fields = json!({});
    let config = config(options, takes_booleans);
    if !config.is_empty() {
        fields["configOptions"] = config.into();
    }
    let listed = |option: &AgentOption, id: &str| -> Value {
        let of = |choice: &OptionChoice| {
            described(json!({id: choice.value, "name": choice.name}), choice.description.as_deref())
        };
        option.choices.iter().map(of).collect()
    };
    if let Some(mode) = called(options, MODE) {
        fields["modes"] = json!({"currentModeId": current_choice(mode), "availableModes": listed(mode, "id")});
    }
    // Clients of the time before configuration options read the models here.
    if let Some(model) = called(options, MODEL) {
        fields["models"] =
            json!({"currentModelId": current_choice(model), "availableModels": listed(model, "modelId")});
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_show_the_requested_value_and_hide_unknown_kinds() {
        let choice = |value: &str| OptionChoice { value: value.into(), name: value.into(), ..OptionChoice::default() };
        let mut mode = AgentOption::select("mode", "Mode", MODE, "ask", vec![choice("ask"), choice("code")]);
        mode.next = Some(json!("code"));
        let mut fast = AgentOption::select("fast", "Fast", "model_config", "", Vec::new());
        (fast.kind, fast.value) = (OptionKind::Boolean, json!(true));
        let opened = opened(&[mode.clone(), fast.clone()], false);
        assert_eq!(opened["modes"]["currentModeId"], "code");
        assert_eq!(opened["modes"]["availableModes"][0], json!({"id": "ask", "name": "ask"}));
        assert_eq!(opened["configOptions"].as_array().map(Vec::len), Some(1));
        assert_eq!(config(&[mode, fast], true)[1]["currentValue"], true);
    }
}
