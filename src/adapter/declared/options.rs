//! The capabilities and options of a declared adapter, from its file. Pure.

use super::family::Family;
use super::file::{AdapterFile, OPTIONS, accepts_option};
use super::template::TemplateValues;
use crate::adapter::Refusal;
use crate::journal::WorkerOptions;

/// Refuses options that the file has no place for, so that nobody believes they were followed.
pub(super) fn check(file: &AdapterFile, options: &WorkerOptions) -> Result<(), Refusal> {
    let given = [&options.model, &options.permission_mode, &options.effort, &options.system_prompt];
    for ((name, _), value) in OPTIONS.iter().zip(given) {
        if value.as_ref().is_some_and(|value| !value.is_empty()) && !accepts_option(file, *name) {
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
pub(super) fn values<'a>(
    file: &'a AdapterFile,
    options: &'a WorkerOptions,
    project_path: &'a str,
    session_id: &'a str,
) -> TemplateValues<'a> {
    TemplateValues {
        project_path,
        model: options.model.as_deref().unwrap_or_default(),
        permission_mode: options.permission_mode.as_deref().or(file.permission_mode.as_deref()).unwrap_or_default(),
        effort: options.effort.as_deref().unwrap_or_default(),
        session_id,
        system_prompt: options.system_prompt.as_deref().unwrap_or_default(),
        message: None,
        message_id: "",
        args: &options.args,
    }
}
