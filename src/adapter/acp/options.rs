//! An agent's options in the common shape, from the line in which it listed them. Agents list them as `configOptions`; older
//! ones have `models` and `modes` apart.

use serde_json::Value;

use super::state::AcpState;
use crate::adapter::agent_options::{AgentOption, MODE, MODEL, OptionChoice, OptionKind};
use crate::adapter::kit::{field, text};

/// The category of the option that chooses the effort.
pub(super) const EFFORT: &str = "thought_level";
/// Most options of an agent.
pub(super) const OPTIONS_MAX: usize = 64;
/// Longest text about an option that is repeated, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;

/// The facts of a line that lists options: an answer to us, or an update.
pub(super) fn facts_of(line: &Value) -> &Value {
    let update = line.get("params").and_then(|params| params.get("update"));
    line.get("result").or(update).unwrap_or(&Value::Null)
}

/// Returns true if these facts list any.
pub(super) fn lists(facts: &Value) -> bool {
    ["configOptions", "models", "modes"].iter().any(|key| facts.get(key).is_some_and(|it| !it.is_null()))
}

/// The options that the facts list, with the values of `state`.
pub(super) fn of(facts: &Value, state: &AcpState) -> Vec<AgentOption> {
    let listed = field::list(facts, "configOptions");
    let mut options: Vec<AgentOption> = listed.iter().take(OPTIONS_MAX).filter_map(option).collect();
    let has = |options: &[AgentOption], category: &str| options.iter().any(|it| it.is_called(category));
    if !has(&options, MODE) {
        options.extend(apart(facts, "modes", "availableModes", "id", (MODE, "Mode")));
    }
    if !has(&options, MODEL) {
        options.extend(apart(facts, "models", "availableModels", "modelId", (MODEL, "Model")));
    }
    for option in &mut options {
        let known = match option.category.as_deref() {
            Some(MODE) => Some(Value::from(state.facts.permission_mode.as_str())),
            Some(MODEL) => Some(Value::from(state.facts.model.as_str())),
            _ => state.values.get(&option.id).cloned(),
        };
        option.value = known.filter(|value| value.as_str() != Some("")).unwrap_or(option.value.take());
        let wanted = match option.category.as_deref() {
            Some(MODE) => state.wanted.permission_mode.as_deref().map(Value::from),
            Some(MODEL) => state.wanted.model.as_deref().map(Value::from),
            _ => state.chosen.get(&option.id).cloned(),
        };
        option.next = wanted.filter(|wanted| *wanted != option.value);
    }
    options
}

fn option(listed: &Value) -> Option<AgentOption> {
    let id = field::text(listed, "id").filter(|id| !id.is_empty())?;
    let kind = match field::text(listed, "type") {
        Some("boolean") => OptionKind::Boolean,
        None | Some("select") => OptionKind::Select,
        // Other kinds may come later: nobody here knows how to set them.
        Some(_) => return None,
    };
    let category = field::text(listed, "category").or_else(|| [MODE, MODEL].into_iter().find(|word| *word == id));
    let choices = field::list(listed, "options");
    let mut found = Vec::new();
    for item in choices.iter().take(text::LIST_MAX) {
        match item.get("options").and_then(Value::as_array) {
            Some(group) => found.extend(group.iter().filter_map(|it| choice(it, "value", text(item, "name")))),
            None => found.extend(choice(item, "value", None)),
        }
    }
    found.truncate(text::LIST_MAX);
    Some(AgentOption {
        id: id.to_owned(),
        name: text(listed, "name").unwrap_or_else(|| id.to_owned()),
        description: text(listed, "description"),
        category: category.map(str::to_owned),
        kind,
        value: listed.get("currentValue").cloned().unwrap_or_default(),
        next: None,
        choices: found,
        settable: true,
    })
}

/// The modes or the models of an agent that lists them apart.
fn apart(facts: &Value, key: &str, list: &str, id: &str, (category, name): (&str, &str)) -> Option<AgentOption> {
    let facts = facts.get(key).filter(|facts| facts.is_object())?;
    let choices = field::list(facts, list);
    Some(AgentOption {
        id: category.to_owned(),
        name: name.to_owned(),
        description: None,
        category: Some(category.to_owned()),
        kind: OptionKind::Select,
        value: Value::Null,
        next: None,
        choices: choices.iter().take(text::LIST_MAX).filter_map(|item| choice(item, id, None)).collect(),
        settable: true,
    })
}

fn choice(item: &Value, key: &str, group: Option<String>) -> Option<OptionChoice> {
    let value = field::text(item, key)?.to_owned();
    let name = text(item, "name").unwrap_or_else(|| value.clone());
    Some(OptionChoice { value, name, description: text(item, "description"), group, ..OptionChoice::default() })
}

fn text(value: &Value, key: &str) -> Option<String> {
    let text = field::text(value, key).filter(|text| !text.is_empty())?;
    Some(text::cut(text.to_owned(), TEXT_BYTES_MAX))
}
