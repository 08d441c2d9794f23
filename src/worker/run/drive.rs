//! Steps that a worker takes without a command: the next step of its CLI's protocol, and the next message of its queue.
//!
//! The next step follows from the fold alone. It is given to the shim and comes back as records, and only then is it
//! done. So after a kill of the server it is either still due or done, and never half done.

use std::path::PathBuf;

use serde_json::Value;

use crate::adapter::{Action, Command, Message};
use crate::journal::Control;
use crate::shim::protocol::{self, run_body};
use crate::worker::error::WorkerError;
use crate::worker::run::files;
use crate::worker::run::mailbox::{CommandBatch, Mailbox};
use crate::worker::run::worker::{Core, Worker};
use crate::worker::state::status::{ProcessState, Status};
use crate::worker::state::{QueuedMessage, State, SteeredMessage};

/// Gives the shim the next step, if one is due and no other is under way.
///
/// A request of the CLI for a file is left to [`serve_file`], for which no lock may be held: its offset is returned.
pub(in crate::worker) fn drive(worker: &Worker, core: &mut Core) -> Option<u64> {
    let mailbox = core.mailbox.clone()?;
    if !core.is_ready() || core.in_flight.is_some() || core.failed_at == Some(core.ingest.end()) {
        return None;
    }
    let fold = core.ingest.fold();
    let state = fold.state();
    // A worker with one process per message has none before the first: its shim waits for it.
    let waits = matches!(state.process, ProcessState::Launching) && state.status == Status::Idle;
    if !waits && !matches!(state.process, ProcessState::Running { .. } | ProcessState::BetweenTurns { .. }) {
        return None;
    }
    let sent = if let Some(action) = fold.session().due() {
        if let Action::Serve(seq) = action {
            return Some(seq);
        }
        perform(worker, &mailbox, CommandBatch::default(), &action)
    } else if let Some(held) = held_by_limit(worker, state) {
        held.and_then(|batch| mailbox.append_later(&batch))
    } else if let Some(returned) = returned(worker, state) {
        returned.and_then(|batch| mailbox.append_later(&batch))
    } else if state.takes_messages(fold.session().activity())
        && core.queue_holds == 0
        && state.held.is_none()
        && let Some(message) = state.queue.front()
        && worker.launcher.budgets.admits(worker.id(), state, &message.message_id)
    {
        deliver(worker, core, &mailbox, message)
    } else {
        return None;
    };
    note(worker, core, sent);
    None
}

/// Returns the records that put messages back which failed at a usage limit, when it is time to send them again.
pub(in crate::worker) fn held_by_limit(worker: &Worker, state: &State) -> Option<Result<CommandBatch, WorkerError>> {
    let limited = state.limited.as_ref()?;
    let max = worker.launcher.settings.resend_attempts;
    // The last one first: each is put before all others.
    let again = limited.messages.iter().rev().filter(|sent| sent.attempt < max);
    let controls: Result<Vec<Control>, WorkerError> =
        again.map(|sent| held(worker, state, sent, limited.until)).collect();
    let batch =
        |controls: Vec<Control>| controls.iter().fold(CommandBatch::default(), |batch, control| batch.and(control));
    match controls {
        Ok(controls) if controls.is_empty() => None,
        controls => Some(controls.map(batch)),
    }
}

/// Returns the records that put messages back which were sent to a CLI without a session, if there are any.
pub(in crate::worker) fn returned(worker: &Worker, state: &State) -> Option<Result<CommandBatch, WorkerError>> {
    if state.returned.is_empty() {
        return None;
    }
    // The last one first: each is put before all others.
    let controls = state.returned.iter().rev().map(|sent| {
        let Control::MessageDelivered { content, attachments, .. } =
            Control::from_json(&worker.archive.payload_at(sent.seq)?)
        else {
            return Err(WorkerError::Unavailable(format!("message {} cannot be sent again", sent.message_id)));
        };
        let message_id = sent.message_id.clone();
        Ok(Control::MessageReturned { message_id, content, attachments: attachments.len() })
    });
    Some(
        controls
            .collect::<Result<Vec<_>, _>>()
            .map(|controls| controls.iter().fold(CommandBatch::default(), CommandBatch::and)),
    )
}

fn held(worker: &Worker, state: &State, sent: &SteeredMessage, until: u64) -> Result<Control, WorkerError> {
    let gone = || WorkerError::Unavailable(format!("message {} cannot be sent again", sent.message_id));
    let settled = state.message(&sent.message_id).ok_or_else(gone)?;
    let Control::MessageDelivered { content, attachments, .. } =
        Control::from_json(&worker.archive.payload_at(sent.seq)?)
    else {
        return Err(gone());
    };
    let (message_id, attempt) = (settled.message_id, sent.attempt + 1);
    Ok(Control::MessageHeld { message_id, content, attachments: attachments.len(), until, attempt })
}

/// Records what was given to the shim, or that this failed, so that it is not given twice.
fn note(worker: &Worker, core: &mut Core, sent: Result<u64, WorkerError>) {
    match sent {
        Ok(id) => core.in_flight = Some(id),
        Err(error) => {
            log::warn!("worker {}: {error}", worker.id());
            core.failed_at = Some(core.ingest.end());
        }
    }
}

/// Executes the file request of the record at `seq` in the project, and gives the shim the answer. Only the reader
/// thread calls this and [`drive`], so nothing is done twice.
pub(in crate::worker) fn serve_file(worker: &Worker, seq: u64) {
    let line = worker.archive.payload_at(seq).unwrap_or_default();
    let (request, project) = {
        let core = worker.core();
        let fold = core.ingest.fold();
        (fold.session().file_request(&line), PathBuf::from(&fold.state().project_path))
    };
    let nothing = || Err("the request cannot be read".to_owned());
    let outcome = request.map_or_else(nothing, |request| files::serve(&project, &request));
    let mut core = worker.core();
    let answer = core.ingest.fold().session().file_answer(&line, outcome);
    let sent = match (answer, core.mailbox.clone()) {
        (Some(answer), Some(mailbox)) => mailbox.append_later(&CommandBatch::default().input(&[answer])),
        _ => Err(WorkerError::Unavailable("a request for a file cannot be answered".to_owned())),
    };
    note(worker, &mut core, sent);
}

fn deliver(worker: &Worker, core: &Core, mailbox: &Mailbox, queued: &QueuedMessage) -> Result<u64, WorkerError> {
    let attachments = attachments(worker, queued)?;
    let message = Message { id: &queued.message_id, content: &queued.content, attachments: &attachments };
    match core.ingest.fold().session().encode(&Command::Message(&message)) {
        Ok(action) => perform(worker, mailbox, CommandBatch::of(&delivered(queued, &attachments)), &action),
        Err(refusal) => {
            // A message that its CLI can never accept must not block the others.
            let removed =
                Control::MessageRemoved { message_id: queued.message_id.clone(), reason: Some(refusal.to_string()) };
            mailbox.append_later(&CommandBatch::of(&removed))
        }
    }
}

/// Reads the attachments of a queued message from its record.
pub(in crate::worker) fn attachments(worker: &Worker, queued: &QueuedMessage) -> Result<Vec<Value>, WorkerError> {
    if queued.attachments == 0 {
        return Ok(Vec::new());
    }
    let payload = worker.archive.payload_at(queued.seq)?;
    match Control::from_json(&payload) {
        Control::MessageQueued { attachments, .. } => Ok(attachments),
        _ => Ok(Vec::new()),
    }
}

/// Returns the record of the delivery of a message to the CLI.
pub(in crate::worker) fn delivered(queued: &QueuedMessage, attachments: &[Value]) -> Control {
    Control::MessageDelivered {
        message_id: queued.message_id.clone(),
        client_message_id: queued.client_message_id.clone(),
        content: queued.content.clone(),
        attachments: attachments.iter().map(without_data).collect(),
    }
}

fn without_data(attachment: &Value) -> Value {
    let mut attachment = attachment.clone();
    if let Some(fields) = attachment.as_object_mut()
        && let Some(data) = fields.remove("data")
    {
        fields.insert("base64_bytes".to_owned(), data.as_str().map_or(0, str::len).into());
    }
    attachment
}

/// Makes the shim execute `action`, with `batch` in the journal before it; returns the id of the last command.
pub(in crate::worker) fn perform(
    worker: &Worker,
    mailbox: &Mailbox,
    batch: CommandBatch,
    action: &Action,
) -> Result<u64, WorkerError> {
    match action {
        Action::Write(lines) => mailbox.append_later(&batch.input(lines)),
        Action::Signal(number) => mailbox
            .send_together(&[protocol::ShimCommand::Append(batch.body()), protocol::ShimCommand::Signal(*number)]),
        Action::Serve(_) => Err(WorkerError::Invalid("a file is served when the CLI asks for it only".to_owned())),
        Action::Run { program, args, stdin } => {
            let home = worker.adapter().home();
            let (program, args) =
                worker.launcher.wrap((worker.id(), worker.id()), &worker.state(), &home, (program, args))?;
            let run = run_body(program.as_os_str(), args.iter().map(AsRef::as_ref));
            let input = CommandBatch::default().input(stdin);
            let mut commands = vec![protocol::ShimCommand::Append(batch.body()), protocol::ShimCommand::Run(&run)];
            if !stdin.is_empty() {
                commands.push(protocol::ShimCommand::Append(input.body()));
            }
            commands.push(protocol::ShimCommand::Eof);
            mailbox.send_together(&commands)
        }
    }
}

/// Returns the queued message with this id.
pub(in crate::worker) fn queued<'s>(state: &'s State, message_id: &str) -> Option<&'s QueuedMessage> {
    state.queue.iter().find(|message| message.message_id == message_id)
}

/// Keeps the messages in the queue until it is dropped.
pub(in crate::worker) struct QueueHold<'w> {
    worker: &'w Worker,
}

impl Worker {
    /// Holds the queue for a change. Messages that were on their way to the CLI are in the journal before the change.
    pub(in crate::worker) fn hold_queue(&self) -> QueueHold<'_> {
        self.core().queue_holds += 1;
        QueueHold { worker: self }
    }

    /// Delivers the next message of the queue, if it may go by now.
    pub(in crate::worker) fn send_queued(&self) {
        drop(self.hold_queue());
    }

    /// Ends a hold that was begun without a [`QueueHold`] when it is dropped.
    pub(in crate::worker) fn held_queue(&self) -> QueueHold<'_> {
        QueueHold { worker: self }
    }
}

impl Drop for QueueHold<'_> {
    fn drop(&mut self) {
        let mut core = self.worker.core();
        core.queue_holds -= 1;
        drive(self.worker, &mut core);
    }
}
