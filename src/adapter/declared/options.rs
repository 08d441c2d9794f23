//! What a declared adapter can do and what can be chosen, as its file shows it. Pure.

use serde_json::{Value, json};

use super::decode::Invalid;
use super::file::{Family, File, choices};
use super::rules::Gives;
use super::template::{Name, Values};
use crate::adapter::Refusal;
use crate::adapter::acp::CAPABILITIES;
use crate::journal::WorkerOptions;

/// Options that a worker can have, each with the label that people read.
const OPTIONS: [(Name, &str); 3] =
    [(Name::Model, "Model"), (Name::PermissionMode, "Permission mode"), (Name::SystemPrompt, "System prompt")];

/// The options whose placeholders the file uses, as `[{"name","label","choices"?}]`.
pub(super) fn config_options(file: &File, chosen: Option<&Value>) -> Result<Vec<Value>, Invalid> {
    let mut chosen = chosen.map(choices).transpose()?.unwrap_or_default();
    let used = OPTIONS.iter().filter(|(name, _)| takes(file, *name));
    let options = used
        .map(|(name, label)| {
            let mut option = json!({"name": name.as_str(), "label": label});
            if let (Some(choices), Some(map)) = (chosen.remove(name.as_str()), option.as_object_mut()) {
                map.insert("choices".to_owned(), json!(choices));
            }
            option
        })
        .collect();
    match chosen.keys().next() {
        None => Ok(options),
        Some(name) => {
            let reason =
                format!("no command and no environment variable uses {{{name}}}; put it there, or remove this");
            Err(Invalid::new(format!("choices.{name}"), reason))
        }
    }
}

/// Whether a worker can have this option: it has a place in a command or in the environment, or the protocol sets it.
fn takes(file: &File, name: Name) -> bool {
    let by_protocol = matches!(file.family, Family::Acp(_)) && matches!(name, Name::Model | Name::PermissionMode);
    by_protocol || file.starts_with(name)
}

/// What it can do, as [`crate::adapter::Cli::capabilities`] names it.
pub(super) fn capabilities(file: &File) -> Vec<String> {
    let deltas = match &file.family {
        // The rest is up to the agent, which says so when it is started.
        Family::Acp(dialect) => {
            let more = ["resume", "steer"].into_iter().take(if dialect.steer { 2 } else { 1 });
            return CAPABILITIES.into_iter().chain(more).map(str::to_owned).collect();
        }
        Family::Text { .. } => !file.volatile.is_empty(),
        Family::Jsonl { rules, .. } => {
            rules.iter().any(|rule| matches!(rule.gives, Gives::Part { .. } | Gives::Delta { .. }))
        }
    };
    let can = [
        ("turns", file.per_message || file.tells_turns()),
        ("deltas", deltas),
        ("interrupt", file.interrupt.is_some()),
        ("resume", file.resume_command.is_some()),
    ];
    can.into_iter().filter(|(_, can)| *can).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses options that the file has no place for, so that nobody believes they were followed.
pub(super) fn check(file: &File, options: &WorkerOptions) -> Result<(), Refusal> {
    let given = [&options.model, &options.permission_mode, &options.system_prompt];
    for ((name, _), value) in OPTIONS.iter().zip(given) {
        if value.as_ref().is_some_and(|value| !value.is_empty()) && !takes(file, *name) {
            let (kind, name) = (&file.cli.kind, name.as_str());
            let reason = format!("{kind} takes no {name}: its file has no {{{name}}} in a command");
            return Err(Refusal::Invalid(reason));
        }
    }
    let resumes = file.resume_command.is_some() || matches!(file.family, Family::Acp(_));
    if options.resume_session.is_some() && !resumes {
        let reason = format!("{} cannot resume a session: its file has no resume_command", file.cli.kind);
        return Err(Refusal::Invalid(reason));
    }
    Ok(())
}

/// The values of a worker's options.
pub(super) fn values<'a>(options: &'a WorkerOptions, project_path: &'a str, session_id: &'a str) -> Values<'a> {
    Values {
        project_path,
        model: options.model.as_deref().unwrap_or_default(),
        permission_mode: options.permission_mode.as_deref().unwrap_or_default(),
        session_id,
        system_prompt: options.system_prompt.as_deref().unwrap_or_default(),
        message: None,
        message_id: "",
        args: &options.args,
    }
}
