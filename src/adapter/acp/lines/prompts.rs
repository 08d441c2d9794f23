//! Permission prompts and questions.

use serde_json::{Value, json};

use super::AcpFold;
use super::calls::diffs;
use super::name::summary;
use crate::adapter::acp::state::{Call, Decline, PROMPTS_MAX, Prompt, remembered};
use crate::adapter::kit::{Form, field, session, text};
use crate::event::{Body, PermissionOption};

/// Most answers that a prompt offers.
const OPTIONS_MAX: usize = 16;

impl AcpFold<'_, '_> {
    /// Returns true while one more prompt may be open.
    pub(super) fn may_ask(&self) -> bool {
        self.state.prompts.len() < PROMPTS_MAX
    }

    pub(super) fn permission(&mut self, id: Value, mut params: Value) {
        self.mark_consumed();
        self.flush();
        let call = field::take(&mut params, "toolCall");
        let tool_call_id = field::text_or_empty(&call, "toolCallId").to_owned();
        // For some agents the prompt is the first sign of the call. What is known of it already is not reported again in
        // the prompt's shorter words.
        if self.state.call(&tool_call_id).is_none() {
            self.report_call(&tool_call_id, &call);
        }
        let options: Vec<PermissionOption> =
            field::list(&params, "options").iter().take(OPTIONS_MAX).map(option).collect();
        let diff = call.get("content").and_then(diffs);
        let mut input = call.get("rawInput").filter(|input| input.is_object()).cloned();
        let mut text = field::text_or_empty(&call, "title").to_owned();
        let mut tool_name = text.clone();
        if let Some(tool) = self.state.call(&tool_call_id) {
            // It is shown with the result, where the result says nothing of what was changed.
            tool.asked = diff.as_ref().and_then(remembered);
            input = input.or_else(|| tool.input.clone());
            tool_name.clone_from(&tool.name);
            let title = if text.is_empty() { tool.title.clone() } else { text };
            text = summary(&Call { title, ..tool.clone() }, input.as_ref());
        }
        let mut input = input.unwrap_or_else(|| json!({"title": field::text_or_empty(&call, "title")}));
        if let (Some(diff), Some(fields)) = (diff, input.as_object_mut()) {
            fields.insert("diff".to_owned(), diff);
        }
        let request_id =
            session::ask_id(self.record, |id| self.state.prompts.iter().any(|prompt| prompt.request_id == id));
        let body = Body::PermissionRequest {
            request_id: request_id.clone().into(),
            tool_call_id: Some(tool_call_id.clone().into()),
            tool_name: tool_name.into(),
            input,
            options: options.clone(),
            details: Box::default(),
        };
        self.state.prompts.push(Prompt { request_id, id, tool_call_id, options, form: None, answered: false });
        self.out.emit(text, body);
    }

    /// The agent asks its user for a form.
    pub(super) fn form(&mut self, id: Value, params: &Value) {
        self.mark_consumed();
        self.flush();
        let message =
            field::text(params, "message").filter(|text| !text.is_empty()).unwrap_or("The agent asks for a form");
        let form = match field::text(params, "mode") {
            None | Some("form") => {
                Form::read(params.get("requestedSchema").unwrap_or(&Value::Null), self.record.payload)
            }
            Some(mode) => Err(format!("it is of the kind {mode}, which was not offered")),
        };
        let form = match form {
            Ok(form) => form,
            Err(why) => {
                self.state.decline(Decline { id, method: "elicitation/create".to_owned() });
                let name = &self.dialect.name;
                let text = format!(
                    "{name} asked for a form that cannot be shown, and was declined: {why}. It said: {message}"
                );
                return self.out.error("form_declined", text::cut(text, text::STRING_MAX));
            }
        };
        let tool_call_id = field::text_or_empty(params, "toolCallId").to_owned();
        let request_id = format!("ask-{}", self.record.seq);
        let body = Body::Question {
            request_id: request_id.clone().into(),
            tool_call_id: Some(tool_call_id.clone().into()).filter(|_| !tool_call_id.is_empty()),
            questions: form.questions(),
            details: Box::default(),
        };
        let text = text::cut(message.to_owned(), text::STRING_MAX);
        let prompt = Prompt { request_id, id, tool_call_id, options: Vec::new(), form: Some(form), answered: false };
        self.state.prompts.push(prompt);
        self.out.emit(text, body);
    }

    /// The agent withdraws what it asked.
    pub(super) fn withdrawn(&mut self, id: &Value) {
        self.state.declines.retain(|declined| declined.id != *id);
        if let Some(at) = self.state.prompts.iter().position(|prompt| prompt.id == *id) {
            let prompt = self.state.prompts.remove(at);
            self.close(prompt);
        }
    }

    /// The turn is over: nobody waits for an answer any more.
    pub(super) fn end_prompts(&mut self) {
        for prompt in std::mem::take(&mut self.state.prompts) {
            self.close(prompt);
        }
    }

    fn close(&mut self, prompt: Prompt) {
        let is_question = prompt.form.is_some();
        self.out.withdrawn(prompt.request_id, is_question);
    }
}

fn option(option: &Value) -> PermissionOption {
    let text = |key| field::text_or_empty(option, key).to_owned();
    PermissionOption { id: text("optionId"), label: text("name"), kind: text("kind") }
}
