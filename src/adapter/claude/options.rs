//! The CLI's options in the common shape: its models with their effort levels, as its answer to `initialize` names them,
//! and its permission modes.

use serde_json::Value;

use super::PERMISSION_MODES;
use super::state::ClaudeState;
use crate::adapter::agent_options::{AgentOption, MODE, MODEL, OptionChoice};
use crate::adapter::kit::{field, text};
use crate::json;

/// The options that the answer to `initialize` lists.
pub(super) fn of(payload: &[u8], state: &ClaudeState) -> Vec<AgentOption> {
    let line: Value = json::value(payload).unwrap_or_default();
    let answer = line.get("response").and_then(|response| response.get("response")).unwrap_or(&Value::Null);
    let models = field::list(answer, "models");
    let facts = &state.facts;
    // The CLI takes a short name and reports the full one.
    let resolves = |listed: &&Value| field::text(listed, "resolvedModel") == Some(&*facts.model);
    let named = models
        .iter()
        .find(|it| field::text(it, "value") == Some(&*facts.model))
        .or_else(|| models.iter().find(resolves));
    let value = named.and_then(|listed| field::text(listed, "value")).unwrap_or(&facts.model);
    let modes = PERMISSION_MODES.iter().map(|&mode| OptionChoice {
        value: mode.to_owned(),
        name: mode.to_owned(),
        ..OptionChoice::default()
    });
    let models = models.iter().take(text::LIST_MAX).filter_map(choice).collect();
    vec![
        AgentOption::select(MODEL, "Model", MODEL, value, models),
        AgentOption::select("permission_mode", "Permission mode", MODE, &facts.permission_mode, modes.collect()),
    ]
}

fn choice(model: &Value) -> Option<OptionChoice> {
    let value = field::text(model, "value")?;
    let levels = field::list(model, "supportedEffortLevels");
    Some(OptionChoice {
        value: value.to_owned(),
        name: field::text(model, "displayName").unwrap_or(value).to_owned(),
        description: field::text(model, "description").map(str::to_owned),
        group: None,
        effort_levels: levels.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}
