//! Answers of the CLI to our requests.

use serde_json::Value;

use super::ClaudeFold;
use crate::adapter::claude::options;
use crate::adapter::kit::field;
use crate::event::CliSetting;

impl ClaudeFold<'_, '_> {
    /// The CLI answers. Our own answers to its prompts are shown again by lines of the same kind: they are passed over.
    pub(super) fn control_response(&mut self, mut line: Value) {
        let mut response = field::take(&mut line, "response");
        let id = field::text_or_empty(&response, "request_id");
        let Some(at) = self.state.requests.iter().position(|request| request.id == id) else { return };
        let request = self.state.requests.remove(at);
        self.state.handshake.ready |= request.subtype == "initialize";
        let setting = match request.subtype.as_str() {
            "set_model" => Some(CliSetting::Model),
            "set_permission_mode" => Some(CliSetting::PermissionMode),
            _ => None,
        };
        let setting = setting.filter(|_| !request.value.is_empty());
        if field::text(&response, "subtype") == Some("error") {
            let why = field::text(&response, "error").unwrap_or("no reason given");
            let text = format!("Claude Code refused {}: {why}", request.subtype);
            self.out.error("request_refused", text);
            if let Some(setting) = setting {
                self.out.push(setting.answered(request.value, false));
            }
            return;
        }
        let mut answer = field::take(&mut response, "response");
        match request.subtype.as_str() {
            "initialize" => {
                self.commands(field::take(&mut answer, "commands"));
                if answer.get("models").is_some_and(Value::is_array) {
                    self.state.options_seq = Some(self.record.seq);
                    let options = options::of(self.record.payload, self.state);
                    self.out.options(&options, &mut self.state.options_hash);
                }
            }
            "set_permission_mode" => {
                if let Some(mode) = field::take_text(&mut answer, "mode") {
                    self.permission_mode(mode);
                }
            }
            // The CLI said that nothing runs, so what it has not shown by now may never come.
            "interrupt" if self.state.turn.is_none() => {
                self.state.sent.iter_mut().for_each(|message| message.doubtful = true);
            }
            _ => {}
        }
        if let Some(setting) = setting {
            self.out.push(setting.answered(request.value, true));
        }
    }
}
