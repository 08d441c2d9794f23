//! The options of a worker's CLI: read from the record in which it last listed them, and set.

use serde_json::Value;

use crate::adapter::Command;
use crate::adapter::agent_options::{AgentOption, MODE, MODEL};
use crate::journal::Control;
use crate::worker::error::WorkerError;
use crate::worker::run::mailbox::CommandBatch;
use crate::worker::run::worker::Worker;

impl Worker {
    /// Returns the options that its CLI listed last; `None` before it has listed any.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub(crate) fn options(&self) -> Result<Option<Vec<AgentOption>>, WorkerError> {
        let Some(seq) = self.core().ingest.fold().session().options_record() else { return Ok(None) };
        let payload = self.archive.payload_at(seq)?;
        let options = self.core().ingest.fold().session().options(&payload);
        Ok(Some(options))
    }

    /// Sets an option of its CLI, by its id or as `model` or `permission_mode`: at once while the CLI runs, else with
    /// its next start. A value that the CLI refuses changes nothing.
    ///
    /// # Errors
    /// Fails when the CLI has not listed its options yet, has no such option, or does not offer the value.
    pub(crate) fn choose(&self, name: &str, value: &Value) -> Result<(), WorkerError> {
        let options = self.options()?.ok_or_else(|| {
            WorkerError::Conflict("the CLI has not said yet what can be chosen: start the worker first".to_owned())
        })?;
        let Some(option) = options.iter().find(|option| option.is_called(name)) else {
            let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
            return Err(WorkerError::NotFound(format!("no option {name}; one of {}", known.join(", "))));
        };
        option.check(value).map_err(|why| WorkerError::Invalid(why).in_field("value"))?;
        match option.category.as_deref() {
            Some(MODEL) => return self.configure(value.as_str(), None),
            Some(MODE) => return self.configure(None, value.as_str()),
            _ if !option.settable => {
                return Err(WorkerError::Conflict(format!("{} can only be read", option.id)));
            }
            _ => {}
        }
        let chosen = Control::OptionChosen { option: option.id.clone(), value: value.clone() };
        if self.mailbox().is_none() {
            return self.append(&CommandBatch::of(&chosen));
        }
        let action = self.encode(&Command::SetOption { option: &option.id, value })?;
        self.act(CommandBatch::of(&chosen), &action)
    }
}
