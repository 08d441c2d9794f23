//! The facts by which a worker is compared with the others of its group.

use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::journal::CheckStep;

/// The error of a check whose server was killed or stopped.
const CHECK_CUT_OFF: &str = "it was cut off, since the server ended";

/// The state of a worker in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GroupState {
    /// True if all workers of its group were created.
    pub is_made: bool,
    /// True if it was chosen.
    pub is_kept: bool,
    /// The time of all turns that have ended, in microseconds.
    pub worked: u64,
    /// The beginning of the running turn, in microseconds since the Unix epoch.
    pub turn_began: Option<u64>,
    /// The newest check of its work.
    pub check: Option<Check>,
}

/// The stage of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckStage {
    /// Waits: one check runs at a time.
    Waiting,
    /// Running.
    Running,
    /// All commands have exited with 0.
    Passed,
    /// A command has failed, or the check was interrupted.
    Failed,
}

/// A check of a worker's work by the commands of its project file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// Its stage.
    pub state: CheckStage,
    /// The commands, for people.
    pub command: String,
    /// The exit code of the last command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The reason for its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The time of its beginning, in microseconds since the Unix epoch.
    pub began: u64,
    /// Its duration in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The last lines of its output.
    #[serde(default)]
    pub output: String,
    /// True if the agent has worked since the check began: the result belongs to earlier files.
    #[serde(default)]
    pub stale: bool,
}

impl Check {
    fn fail(&mut self, error: &str) {
        (self.state, self.error) = (CheckStage::Failed, Some(error.to_owned()));
    }
}

impl GroupState {
    pub(super) fn turn_begins(&mut self, time: Micros) {
        self.turn_began = Some(time.0);
        if let Some(check) = &mut self.check {
            check.stale = true;
        }
    }

    /// Applies a step of a check, and adds the event that reports it.
    pub(super) fn check_control(&mut self, step: &CheckStep, time: Micros, out: &mut Vec<Event<'_>>) {
        if let CheckStep::Begun { command } = step {
            out.push(Event::new(format!("The check runs: {command}"), Body::notice("check_begun")));
            self.check = Some(Check {
                state: CheckStage::Running,
                command: command.clone(),
                code: None,
                error: None,
                began: time.0,
                took_ms: None,
                output: String::new(),
                stale: self.turn_began.is_some(),
            });
            return;
        }
        let Some(check) = self.check.as_mut().filter(|check| check.state == CheckStage::Running) else { return };
        match step {
            CheckStep::Begun { .. } => {}
            CheckStep::Done { code, error, took_ms, output } => {
                (check.code, check.took_ms) = (*code, Some(*took_ms));
                check.output.clone_from(output);
                match error {
                    Some(error) => check.fail(error),
                    None => check.state = CheckStage::Passed,
                }
            }
            CheckStep::Lost {} => check.fail(CHECK_CUT_OFF),
        }
        let text = match &check.error {
            Some(why) => format!("The check failed: {why}"),
            None => "The check has passed".to_owned(),
        };
        out.push(Event::new(text, Body::notice("check_done")));
    }

    pub(super) fn turn_ends(&mut self, time: Micros) {
        if let Some(began) = self.turn_began.take() {
            self.worked = self.worked.saturating_add(time.0.saturating_sub(began));
        }
    }

    /// Returns the time that it has worked until now, in microseconds.
    pub(crate) fn worked_until(&self, now: Micros) -> u64 {
        let running = self.turn_began.map_or(0, |began| now.0.saturating_sub(began));
        self.worked.saturating_add(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_time_is_that_of_finished_and_running_turns() {
        let mut grouped = GroupState::default();
        grouped.turn_ends(Micros(5));
        assert_eq!(grouped.worked_until(Micros(7)), 0, "no turn has begun");
        grouped.turn_begins(Micros(10));
        assert_eq!(grouped.worked_until(Micros(25)), 15);
        grouped.turn_ends(Micros(30));
        assert_eq!(grouped.worked_until(Micros(100)), 20);
        grouped.turn_begins(Micros(40));
        assert_eq!(grouped.worked_until(Micros(45)), 25);
    }
}
