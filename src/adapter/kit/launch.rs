//! Checks of what a worker asks for at its start, and values with a default in the configuration.

use crate::adapter::{AGENT_TOKEN_ENV, AgentAccess, Launch, Refusal};
use crate::journal::WorkerOptions;

/// Refuses arguments that would change the protocol or the session behind the worker's back.
///
/// # Errors
/// Fails when `is_reserved` holds for the name of one.
pub(in crate::adapter) fn check_args(args: &[String], is_reserved: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let name = |arg: &String| arg.split('=').next().unwrap_or_default().to_owned();
    match args.iter().map(name).find(|name| is_reserved(name)) {
        Some(name) => Err(Refusal::Invalid(format!("the argument {name} is set by rs-worker; leave it out"))),
        None => Ok(()),
    }
}

/// The refusal of a permission mode that a CLI does not have.
pub(in crate::adapter) fn unknown_mode(mode: &str, known: &[&str]) -> Refusal {
    Refusal::Invalid(format!("unknown permission mode {mode:?}; one of {}", known.join(", ")))
}

/// Checks the effort of a start, which is one of the levels that a CLI has.
///
/// # Errors
/// Fails when the CLI has no such level.
pub(in crate::adapter) fn effort<'o>(options: &'o WorkerOptions, levels: &[&str]) -> Result<Option<&'o str>, Refusal> {
    match given(&options.effort) {
        Some(effort) if !levels.contains(&effort.as_str()) => {
            Err(Refusal::Invalid(format!("unknown effort {effort:?}; one of {}", levels.join(", "))))
        }
        effort => Ok(effort.map(String::as_str)),
    }
}

/// The model that a start names: the worker's own, else that of the configuration.
pub(in crate::adapter) fn model<'o>(options: &'o WorkerOptions, default: Option<&'o String>) -> Option<&'o str> {
    options.model.as_ref().or(default).map(String::as_str).filter(|model| !model.is_empty())
}

/// The value of a setting; `None` where it is absent or empty.
pub(in crate::adapter) fn given(setting: &Option<String>) -> Option<&String> {
    setting.as_ref().filter(|value| !value.is_empty())
}

/// Puts an agent's token into its environment.
pub(in crate::adapter) fn put_token(launch: &mut Launch, access: &AgentAccess<'_>) {
    launch.env.push((AGENT_TOKEN_ENV.to_owned(), access.secret.to_owned()));
}
