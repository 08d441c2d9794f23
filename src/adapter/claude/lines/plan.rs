//! The agent's to-do list: `TodoWrite` gives it whole, the Task tools entry by entry. It is emitted when the call that
//! changes it has succeeded.

use serde_json::Value;

use super::ClaudeFold;
use crate::adapter::claude::state::{Call, PLAN_MAX, Task};
use crate::adapter::kit::{field, push_bounded};

impl ClaudeFold<'_, '_> {
    /// Remembers a call of a planning tool until its result comes.
    pub(super) fn plan_called(&mut self, id: &str, tool: &str, input: &Value) {
        if !matches!(tool, "TodoWrite" | "TaskCreate" | "TaskUpdate" | "TaskGet" | "TaskList") {
            return;
        }
        let todos = field::list(input, "todos");
        let entries = todos.iter().take(PLAN_MAX).map(|todo| task(todo, "content")).collect();
        let subject = field::text(input, "subject").map(str::to_owned);
        self.state.plan_called(Call { id: id.to_owned(), tool: tool.to_owned(), entries, subject });
    }

    /// Puts a planning tool's result into the list. Says whether the list has changed.
    pub(super) fn plan_answered(&mut self, id: &str, output: &Value, is_error: bool) -> bool {
        let Some(at) = self.state.calls.iter().position(|call| call.id == id) else { return false };
        let call = self.state.calls.remove(at);
        if is_error {
            return false;
        }
        let before = self.state.tasks.clone();
        match call.tool.as_str() {
            "TodoWrite" => self.state.tasks = call.entries,
            "TaskList" => {
                let listed = field::list(output, "tasks");
                self.state.tasks = listed.iter().take(PLAN_MAX).map(|entry| task(entry, "subject")).collect();
            }
            "TaskUpdate" => self.update_task(output, call.subject),
            _ => {
                if let Some(entry) = output.get("task").filter(|entry| entry.is_object()) {
                    self.put_task(task(entry, "subject"));
                }
            }
        }
        self.state.tasks != before
    }

    fn put_task(&mut self, new: Task) {
        match self.state.tasks.iter_mut().find(|old| old.id == new.id) {
            Some(old) => *old = new,
            None => push_bounded(&mut self.state.tasks, new, PLAN_MAX),
        }
    }

    fn update_task(&mut self, output: &Value, subject: Option<String>) {
        let id = field::text_or_empty(output, "taskId");
        let status = output.get("statusChange").and_then(|change| field::text(change, "to"));
        if status == Some("deleted") {
            self.state.tasks.retain(|old| old.id != id);
        } else if let Some(old) = self.state.tasks.iter_mut().find(|old| old.id == id) {
            old.status = status.map_or_else(|| std::mem::take(&mut old.status), str::to_owned);
            old.text = subject.unwrap_or_else(|| std::mem::take(&mut old.text));
        }
    }

    /// Emits the list.
    pub(super) fn report_plan(&mut self) {
        let entries = self.state.tasks.iter().map(|task| (task.text.as_str(), task.status.as_str()));
        self.out.checklist(entries);
    }
}

/// One entry as the tools give it; `text` is the key of its words.
fn task(entry: &Value, text: &str) -> Task {
    Task {
        id: field::text_or_empty(entry, "id").to_owned(),
        text: field::text_or_empty(entry, text).to_owned(),
        status: field::text(entry, "status").unwrap_or("pending").to_owned(),
    }
}
