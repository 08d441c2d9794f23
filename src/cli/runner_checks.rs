//! The check of each configured runner: whether it can be used now.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::runner::{CommandInput, Mounts, Runner, Runners};
use crate::subprocess::{self, Bounds};
use crate::worker_env::runner_env;

/// Bounds of one check: a host that does not answer, or an engine that is busy.
const CHECK: Bounds = Bounds { time: Duration::from_secs(10), bytes: 4 * 1024 };

/// The result of one check.
pub(super) struct RunnerCheck {
    /// The runner as `RUNNER` names it.
    pub(super) entry: String,
    /// The program's words, if it can't be used.
    pub(super) failure: Option<String>,
}

/// Runs the check of each runner that has one.
pub(super) fn all(runners: &Runners) -> Vec<RunnerCheck> {
    runners.all().filter_map(one).collect()
}

fn one(runner: &Runner) -> Option<RunnerCheck> {
    let (facts, mounts) = (BTreeMap::new(), Mounts::default());
    let argv = runner.check(CommandInput { id: "doctor", project: "/", also: None, facts: &facts, mounts: &mounts });
    let (program, args) = argv.split_first()?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(runner_env(runner.needs(), std::env::vars_os()));
    let failure = match subprocess::ask_both(&mut command, CHECK, &AtomicBool::new(false)) {
        Ok(answer) if answer.code == Some(0) => None,
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.output).trim().to_owned();
            Some(match answer.code {
                Some(code) => format!("{program} exited with code {code}: {text}"),
                None => format!("{program} did not answer within {} s", CHECK.time.as_secs()),
            })
        }
        Err(error) => Some(format!("{program}: {error}")),
    };
    Some(RunnerCheck { entry: runner.entry.clone(), failure })
}
