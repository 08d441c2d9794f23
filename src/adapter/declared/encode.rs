//! Commands of the server to a declared CLI: lines for its stdin, a signal, or the process of the next message.

use super::file::{AdapterFile, InputTemplate, Interrupt, Newlines};
use super::options;
use super::template::{Name, TemplateValues};
use super::turns::Turns;
use crate::adapter::{Action, Command, Message, Refusal};

/// Longest argument of a command line that Linux takes, in bytes without the final NUL (`MAX_ARG_STRLEN`).
pub(crate) const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;

impl Turns {
    /// See [`crate::adapter::Session::encode`].
    pub(super) fn encode(&self, file: &AdapterFile, command: &Command<'_>) -> Result<Action, Refusal> {
        let kind = &file.cli.kind;
        let restart = |name: Name| -> Result<Action, Refusal> {
            if !file.starts_with(name) {
                return Err(Refusal::Unsupported(format!("{kind} takes no {}", name.as_str())));
            }
            if !file.per_message {
                let reason = format!("{kind} takes its {} at its start only; restart the worker", name.as_str());
                return Err(Refusal::Unsupported(reason));
            }
            // The `ctl` record about it is all that is needed: the next message's process is started with it.
            Ok(Action::Write(Vec::new()))
        };
        match command {
            Command::Message(message) => self.message(file, message),
            Command::Steer(_) => Err(Refusal::Unsupported(format!("{kind} takes no message within a turn"))),
            Command::Interrupt => match &file.interrupt {
                Some(Interrupt::Sigint) => Ok(Action::Signal(nix::sys::signal::Signal::SIGINT as i32)),
                Some(Interrupt::Line(line)) => Ok(Action::Write(vec![line.clone().into_bytes()])),
                None => Err(Refusal::Unsupported(format!("{kind} cannot be interrupted; stop the worker instead"))),
            },
            Command::Permission { request_id, .. }
            | Command::Answer { request_id, .. }
            | Command::Decline { request_id, .. } => {
                Err(Refusal::NotOpen(format!("{kind} has not asked {request_id}")))
            }
            Command::SetOption { option, .. } => {
                Err(Refusal::Unsupported(format!("{kind} has no option {option} that can be set")))
            }
            Command::SetModel(_) => restart(Name::Model),
            Command::SetPermissionMode(_) => restart(Name::PermissionMode),
        }
    }

    fn message(&self, file: &AdapterFile, message: &Message<'_>) -> Result<Action, Refusal> {
        if !message.attachments.is_empty() {
            let reason = format!("{} takes text only; send the message without attachments", file.cli.kind);
            return Err(Refusal::Unsupported(reason));
        }
        let session_id = self.session_id.as_deref().unwrap_or_default();
        let values = TemplateValues {
            message: Some(message.content),
            message_id: message.id,
            ..options::values(file, &self.options, &self.project_path, session_id)
        };
        let lines = file.input.as_ref().map(|input| lines(input, &values)).unwrap_or_default();
        if !file.per_message {
            return Ok(Action::Write(lines));
        }
        let resume = file.resume_command.as_ref().filter(|_| self.session_exists);
        let command = resume.unwrap_or(&file.command);
        let args = command.arguments(&values);
        if args.iter().any(|arg| arg.len() > ARGUMENT_BYTES_MAX || arg.contains('\0')) {
            return Err(Refusal::Invalid(format!(
                "{} takes a message on its command line: at most {ARGUMENT_BYTES_MAX} bytes and no NUL; put the text \
                 into a file of the project and name it",
                file.cli.kind
            )));
        }
        Ok(Action::Run { program: command.program.clone().into(), args, stdin: lines })
    }
}

/// The stdin lines of a message.
fn lines(input: &InputTemplate, values: &TemplateValues<'_>) -> Vec<Vec<u8>> {
    match input {
        // A template with an unset text at its very top gives nothing; `{message}` is always set, so it gives a line.
        InputTemplate::Json(template) => {
            template.fill(values).map(|value| value.to_string().into_bytes()).into_iter().collect()
        }
        InputTemplate::Line { newlines, end_line } => {
            let text = values.message.unwrap_or_default().replace("\r\n", "\n");
            let mut lines: Vec<Vec<u8>> = match newlines {
                Newlines::Lines => text.split('\n').map(|line| line.as_bytes().to_vec()).collect(),
                Newlines::Escape => vec![text.replace('\\', "\\\\").replace('\n', "\\n").into_bytes()],
                Newlines::Space => vec![text.replace('\n', " ").into_bytes()],
            };
            lines.extend(end_line.as_ref().map(|line| line.clone().into_bytes()));
            lines
        }
    }
}
