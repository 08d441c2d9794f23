//! The CLI's options in the common shape: its models with their effort levels, as its answer to `model/list` names them,
//! and its permission modes.

use serde_json::Value;

use super::modes;
use super::state::CodexState;
use crate::adapter::agent_options::{AgentOption, MODE, MODEL, OptionChoice};
use crate::adapter::kit::{field, text};
use crate::json;

/// The options that the answer to `model/list` gives. Its values and those for the next turn are of `state`.
pub(super) fn of(payload: &[u8], state: &CodexState) -> Vec<AgentOption> {
    let line: Value = json::value(payload).unwrap_or_default();
    let listed = line.get("result").and_then(|result| result.get("data")).and_then(Value::as_array);
    let shown = |model: &&Value| !field::is_true(model, "hidden");
    let models = listed.into_iter().flatten().filter(shown).filter_map(model).take(text::LIST_MAX).collect();
    let modes = modes::names().into_iter().map(|mode| OptionChoice {
        value: mode.to_owned(),
        name: mode.to_owned(),
        ..OptionChoice::default()
    });
    let (facts, wanted) = (&state.facts, &state.wanted);
    let (model, mode) = (&facts.model, &facts.permission_mode);
    let next = |now: &str, wanted: &Option<String>| wanted.as_deref().filter(|next| *next != now).map(Value::from);
    vec![
        AgentOption { next: next(model, &wanted.model), ..AgentOption::select(MODEL, "Model", MODEL, model, models) },
        AgentOption {
            next: next(mode, &wanted.permission_mode),
            ..AgentOption::select("permission_mode", "Permission mode", MODE, mode, modes.collect())
        },
    ]
}

fn model(listed: &Value) -> Option<OptionChoice> {
    let value = field::text(listed, "model").or_else(|| field::text(listed, "id"))?;
    let levels = listed.get("supportedReasoningEfforts").and_then(Value::as_array);
    let level = |level: &Value| field::text(level, "reasoningEffort").map(str::to_owned);
    Some(OptionChoice {
        value: value.to_owned(),
        name: field::text(listed, "displayName").unwrap_or(value).to_owned(),
        description: field::text(listed, "description").map(str::to_owned),
        group: None,
        effort_levels: levels.into_iter().flatten().filter_map(level).collect(),
    })
}
