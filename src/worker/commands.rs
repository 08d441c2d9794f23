//! What people can ask of a worker.
//!
//! Each command returns when its effect is in the journal and folded, or says why it was not done. Who may start a
//! worker is decided by the [`Registry`](super::registry::Registry), which knows the limit.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::drive::{delivered, perform, queued};
use super::error::WorkerError;
use super::link::{Batch, Link};
use super::reader::{self, Begin, short};
use super::state::{Answered, Asked, Queued, Settled};
use super::status::Status;
use super::worker::Worker;
use crate::adapter::{Action, Command, Message, PermissionAnswer};
use crate::journal::Control;
use crate::shim::protocol;
use crate::thread::Thread;

/// How long a start waits for the shim of the last run to end.
const LAST_END_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A message as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// The text.
    pub content: String,
    /// Images and files: `{"media_type","data"}` with base64.
    pub attachments: Vec<Value>,
    /// The client's own id: the same again is the same message.
    pub client_message_id: Option<String>,
    /// Whether it joins the running turn.
    pub steer: bool,
}

impl Worker {
    /// Starts the CLI: a new shim, the session resumed where there is one. Returns when the journal says that it is
    /// starting.
    pub(super) fn launch(self: &Arc<Self>) -> Result<(), WorkerError> {
        if !self.wait_for_end(Instant::now() + LAST_END_TIMEOUT) {
            return Err(WorkerError::Conflict("the worker is running already".to_owned()));
        }
        let plan = self.launcher.plan(&**self.adapter(), self.id(), &self.state())?;
        let launching = Control::Launching { session_id: Some(plan.session_id.clone()), resume: plan.resume };
        let mut core = self.core();
        if core.deleted {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", self.id())));
        }
        if core.link.is_some() {
            return Err(WorkerError::Conflict("the worker is running already".to_owned()));
        }
        self.append_with(&mut core, &[&launching.to_json()])?;
        self.begin_link(&mut core, Begin::Launch(Box::new(plan)))
    }

    /// Has the journal say that the worker follows a session that runs elsewhere.
    pub(super) fn begin_to_follow(&self, session_id: &str, path: &Path) -> Result<(), WorkerError> {
        let path = path.to_str().ok_or_else(|| {
            WorkerError::Invalid(format!("the session's transcript has a name that is no text: {}", path.display()))
        })?;
        self.append(&Batch::of(&Control::Following { session_id: session_id.to_owned(), path: path.to_owned() }))
    }

    /// Attaches to the shim that an earlier server left, or records that it is gone.
    pub(super) fn reattach(self: &Arc<Self>) -> Result<(), WorkerError> {
        self.begin_link(&mut self.core(), Begin::Attach)
    }

    /// The link to a shim that lives and to which the connection was lost.
    pub(super) fn reattached(self: &Arc<Self>) -> Result<Arc<Link>, WorkerError> {
        let mut core = self.core();
        if core.link.is_none() {
            self.begin_link(&mut core, Begin::Attach)?;
        }
        core.link.clone().ok_or_else(|| WorkerError::Unavailable("the worker's shim cannot be reached".to_owned()))
    }

    fn begin_link(self: &Arc<Self>, core: &mut super::worker::Core, begin: Begin) -> Result<(), WorkerError> {
        let (link, commands) = Link::new();
        let link = Arc::new(link);
        let launching = matches!(begin, Begin::Launch(_));
        core.link = Some(Arc::clone(&link));
        let worker = Arc::clone(self);
        let started = Thread::spawn(format!("w-{}", short(self.id())), move || {
            reader::run(&worker, begin, &link, &commands);
        });
        match started {
            // It ends with its shim, which outlives the server; a server that ends leaves it behind.
            Ok(thread) => thread.detach(),
            Err(error) => {
                core.link = None;
                let error = format!("no thread for the worker: {error}");
                // A shim that was left by an earlier server lives on, and the journal is its own.
                if launching {
                    self.append_with(core, &[&Control::SpawnFailed { error: error.clone() }.to_json()])?;
                }
                return Err(WorkerError::Unavailable(error));
            }
        }
        Ok(())
    }

    /// Accepts a message: it waits in the queue until the CLI is idle, or joins the running turn.
    pub(super) fn accept(&self, message: NewMessage) -> Result<Settled, WorkerError> {
        if message.content.trim().is_empty() && message.attachments.is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()));
        }
        let claim = message.client_message_id.as_ref().map(|id| self.claim(format!("message {id}")));
        let state = self.state();
        if let Some(settled) = message.client_message_id.as_deref().and_then(|id| state.message_of_client(id)) {
            return Ok(settled);
        }
        let queue_max = self.launcher.queue_max;
        if state.queue.len() >= queue_max {
            return Err(WorkerError::Limit(format!("{queue_max} messages wait already (see MAX_QUEUE)")));
        }
        let message_id = uuid::Uuid::new_v4().to_string();
        let steer = message.steer && matches!(state.status, Status::Busy | Status::Stalled | Status::Waiting);
        let accepted = Control::MessageQueued {
            message_id: message_id.clone(),
            client_message_id: message.client_message_id.clone(),
            content: message.content.clone(),
            attachments: message.attachments.clone(),
            steer,
        };
        let batch = Batch::of(&accepted);
        if steer {
            self.steer(batch, &message_id, &message)?;
        } else {
            self.queue(&batch, &message_id)?;
        }
        drop(claim);
        self.state()
            .message(&message_id)
            .ok_or_else(|| WorkerError::Unavailable("the message was accepted, but not seen again".to_owned()))
    }

    /// Has a message wait. When the shim ends meanwhile, the message waits for the next one.
    fn queue(&self, batch: &Batch, message_id: &str) -> Result<(), WorkerError> {
        match self.append(batch) {
            Err(WorkerError::Unavailable(_)) if self.wait_for_end(Instant::now()) => {
                // All that the shim has written is folded by now, so it is known whether the message is part of it.
                if self.state().message(message_id).is_some() { Ok(()) } else { self.append(batch) }
            }
            done => done,
        }
    }

    fn steer(&self, batch: Batch, message_id: &str, message: &NewMessage) -> Result<(), WorkerError> {
        let NewMessage { content, attachments, client_message_id, .. } = message;
        let command = Message { id: message_id, content, attachments };
        let action = self.encode(&Command::Steer(&command))?;
        let as_queued = Queued {
            message_id: message_id.to_owned(),
            client_message_id: client_message_id.clone(),
            content: content.clone(),
            attachments: attachments.len(),
            seq: 0,
            time: 0,
            attempt: 0,
        };
        self.act(batch.and(&delivered(&as_queued, attachments)), &action)
    }

    /// Changes the text of a message that waits.
    ///
    /// # Errors
    /// When it does not wait any more.
    pub fn edit_message(&self, message_id: &str, content: &str) -> Result<(), WorkerError> {
        if content.trim().is_empty() {
            return Err(WorkerError::Invalid("content must not be empty".to_owned()));
        }
        let _hold = self.hold_queue();
        self.must_wait(message_id)?;
        self.append(&Batch::of(&Control::MessageEdited {
            message_id: message_id.to_owned(),
            content: content.to_owned(),
        }))?;
        // It may have been on its way to the CLI.
        self.must_wait(message_id)
    }

    /// Takes back a message that waits.
    ///
    /// # Errors
    /// When it does not wait any more.
    pub fn remove_message(&self, message_id: &str) -> Result<(), WorkerError> {
        let _hold = self.hold_queue();
        self.must_wait(message_id)?;
        self.append(&Batch::of(&Control::MessageRemoved { message_id: message_id.to_owned(), reason: None }))?;
        // It may have been on its way to the CLI.
        match self.state().message(message_id) {
            Some(settled) if settled.state != "removed" => Err(no_longer_waits(&settled)),
            _ => Ok(()),
        }
    }

    fn must_wait(&self, message_id: &str) -> Result<(), WorkerError> {
        let state = self.state();
        if queued(&state, message_id).is_some() {
            return Ok(());
        }
        Err(match state.message(message_id) {
            Some(settled) => no_longer_waits(&settled),
            None => WorkerError::NotFound(format!("message not found: {message_id}")),
        })
    }

    /// Ends the running turn. Does nothing when there is none.
    ///
    /// # Errors
    /// When the CLI has no way to.
    pub fn interrupt(&self, by: &str) -> Result<(), WorkerError> {
        if !matches!(self.state().status, Status::Busy | Status::Stalled | Status::Waiting) {
            return Ok(());
        }
        let action = self.encode(&Command::Interrupt)?;
        self.act(Batch::of(&Control::InterruptRequested { by: by.to_owned() }), &action)
    }

    /// Answers a permission prompt, once.
    ///
    /// # Errors
    /// [`WorkerError::Answered`] with the earlier answer; [`WorkerError::NotFound`] for a prompt that never was.
    pub fn answer_permission(&self, request_id: &str, answer: &PermissionAnswer) -> Result<Answered, WorkerError> {
        let _claim = self.claim(format!("prompt {request_id}"));
        let decision = {
            let state = self.state();
            match open_prompt(&state, request_id)? {
                Asked::PermissionRequest { options, .. } => decision_of(options, &answer.option_id)?,
                Asked::Question { .. } => {
                    return Err(WorkerError::Invalid(format!("{request_id} is a question: send its answers")));
                }
            }
        };
        let answer = PermissionAnswer { option_id: decision.clone(), ..answer.clone() };
        let action = self.encode(&Command::Permission { request_id, answer: &answer })?;
        self.answered(request_id, decision, answer.message, None, &action)
    }

    /// Answers a question, once.
    ///
    /// # Errors
    /// As [`Worker::answer_permission`].
    pub fn answer_question(&self, request_id: &str, answers: &Value) -> Result<Answered, WorkerError> {
        let _claim = self.claim(format!("prompt {request_id}"));
        if !matches!(open_prompt(&self.state(), request_id)?, Asked::Question { .. }) {
            return Err(WorkerError::Invalid(format!("{request_id} is a permission prompt: send an option_id")));
        }
        let action = self.encode(&Command::Answer { request_id, answers })?;
        self.answered(request_id, "answered".to_owned(), None, Some(answers.clone()), &action)
    }

    fn answered(
        &self,
        request_id: &str,
        decision: String,
        message: Option<String>,
        answers: Option<Value>,
        action: &Action,
    ) -> Result<Answered, WorkerError> {
        let by = "user".to_owned();
        let request_id = request_id.to_owned();
        let record = Control::PermissionAnswered {
            request_id: request_id.clone(),
            decision: decision.clone(),
            message,
            answers,
            by: by.clone(),
        };
        self.act(Batch::of(&record), action)?;
        Ok(Answered { request_id, decision, by })
    }

    /// Gives the worker another name.
    ///
    /// # Errors
    /// When the name is empty or too long.
    pub fn rename(&self, name: &str) -> Result<(), WorkerError> {
        check_name(name)?;
        self.append(&Batch::of(&Control::Renamed { name: name.to_owned() }))
    }

    /// Changes model and permission mode, of the running CLI too.
    ///
    /// # Errors
    /// When the CLI has nothing like it.
    pub fn configure(&self, model: Option<&str>, permission_mode: Option<&str>) -> Result<(), WorkerError> {
        let running = self.link().is_some();
        for (model, mode) in [(model, None), (None, permission_mode)] {
            let command = match (model, mode) {
                (Some(model), _) => Command::SetModel(Some(model)),
                (_, Some(mode)) => Command::SetPermissionMode(mode),
                _ => continue,
            };
            let record =
                Control::Configured { model: model.map(str::to_owned), permission_mode: mode.map(str::to_owned) };
            if running {
                let action = self.encode(&command)?;
                self.act(Batch::of(&record), &action)?;
            } else {
                self.append(&Batch::of(&record))?;
            }
        }
        Ok(())
    }

    /// Appends that a turn is taken for stalled.
    pub(super) fn stall(&self, reason: String) -> Result<(), WorkerError> {
        self.append(&Batch::of(&Control::Stalled { reason }))
    }

    /// Appends what the server found out by itself.
    pub(super) fn append_control(&self, control: &Control) -> Result<(), WorkerError> {
        self.append(&Batch::of(control))
    }

    /// Whether something of the CLI goes on while it is idle.
    pub(super) fn has_background_work(&self) -> bool {
        self.core().ingest.fold().session().has_background_work()
    }

    fn encode(&self, command: &Command<'_>) -> Result<Action, WorkerError> {
        Ok(self.core().ingest.fold().session().encode(command)?)
    }

    /// Has the shim do something, with `batch` in the journal before it, and waits until it is folded.
    fn act(&self, batch: Batch, action: &Action) -> Result<(), WorkerError> {
        let link =
            self.link().ok_or_else(|| WorkerError::Conflict("the worker is not running: start it first".to_owned()))?;
        match action {
            Action::Write(lines) => link.append(&batch.input(lines)).map(drop),
            other => {
                perform(self, &link, batch, other)?;
                link.call(&protocol::Command::Sync).map(drop)
            }
        }
    }
}

fn no_longer_waits(settled: &Settled) -> WorkerError {
    WorkerError::Conflict(format!("message {} is {} already", settled.message_id, settled.state))
}

/// What the open prompt asks.
fn open_prompt<'s>(state: &'s super::state::State, request_id: &str) -> Result<&'s Asked, WorkerError> {
    if let Some(prompt) = state.prompts.iter().find(|prompt| prompt.request_id == request_id) {
        return Ok(&prompt.asked);
    }
    Err(match state.answered.iter().rev().find(|answered| answered.request_id == request_id) {
        Some(answered) => WorkerError::Answered(answered.clone()),
        None => WorkerError::NotFound(format!("prompt not found: {request_id}")),
    })
}

/// The id of the option that an answer means.
fn decision_of(options: &[crate::event::PermissionOption], wanted: &str) -> Result<String, WorkerError> {
    let kind = match wanted {
        "allow" => "allow_once",
        "deny" | "reject" => "reject_once",
        other => other,
    };
    options
        .iter()
        .find(|option| option.id == wanted)
        .or_else(|| options.iter().find(|option| option.kind == kind))
        .map(|option| option.id.clone())
        .ok_or_else(|| {
            let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
            WorkerError::Invalid(format!("no such option: {wanted} (the prompt offers {})", known.join(", ")))
        })
}

/// Checks a worker's name.
///
/// # Errors
/// When it is empty or too long.
pub fn check_name(name: &str) -> Result<(), WorkerError> {
    if name.trim().is_empty() {
        return Err(WorkerError::Invalid("name must not be empty".to_owned()));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(WorkerError::Invalid(format!("name must have at most {NAME_CHARS_MAX} characters")));
    }
    Ok(())
}
