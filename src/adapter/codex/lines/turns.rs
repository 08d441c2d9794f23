//! Turns: their beginning and end, their plan, and their tokens.

use serde_json::Value;

use super::{CodexFold, notices};
use crate::adapter::kit::{field, text, time, turn};
use crate::event::{Body, TurnEnd, Usage};

/// Longest reason that the readable text of a failed turn repeats, in bytes.
const REASON_MAX: usize = 2_000;

impl CodexFold<'_, '_> {
    pub(super) fn turn_started(&mut self, params: &Value) {
        if self.is_own(params) {
            let id = params.get("turn").and_then(|turn| field::text(turn, "id")).unwrap_or_default();
            self.start_turn(id);
        }
    }

    pub(super) fn turn_completed(&mut self, mut params: Value) {
        if !self.is_own(&params) {
            return;
        }
        let mut ended = field::take(&mut params, "turn");
        let id = field::take_text(&mut ended, "id").unwrap_or_default();
        self.start_turn(&id);
        self.cut_short(true);
        self.unanswered("The turn ended before this had a result");
        self.state.interrupt = false;
        while let Some(at) = self.state.sent.iter().position(|message| message.turn.as_deref() == Some(&id)) {
            self.lost(at);
        }
        self.state.last_turn = id;
        let Some(turn) = self.state.turn.take() else { return };

        let error = ended.get("error").filter(|error| error.is_object());
        let reason = error.and_then(notices::reason).unwrap_or_default();
        let (stop_reason, is_error) = match field::text(&ended, "status") {
            Some("interrupted") => ("interrupted", false),
            Some("failed") => ("error", true),
            _ if error.is_some() => ("error", true),
            _ => ("end_turn", false),
        };
        let duration_ms = time::duration_ms(&ended, "durationMs");
        let content = content(stop_reason, duration_ms, &reason);
        let result = answer(&ended).or_else(|| is_error.then_some(reason));
        self.out.emit(
            content,
            Body::TurnCompleted(TurnEnd {
                turn_id: turn.id().into(),
                stop_reason: stop_reason.into(),
                duration_ms,
                usage: (turn.usage != Usage::default()).then_some(turn.usage),
                is_error,
                result: result.map(Into::into),
                ..TurnEnd::default()
            }),
        );
    }

    /// The agent's to-do list, whole.
    pub(super) fn plan(&mut self, params: &Value) {
        if !self.is_own(params) {
            return;
        }
        let steps = field::list(params, "plan");
        let step = |step: &Value| {
            let text = text::cut(field::text_or_empty(step, "step").to_owned(), text::STRING_MAX);
            let status = match field::text(step, "status") {
                Some("completed") => "completed",
                Some("inProgress" | "in_progress") => "in_progress",
                _ => "pending",
            };
            (text, status)
        };
        let steps: Vec<(String, &str)> = steps.iter().take(text::LIST_MAX).map(step).collect();
        self.out.checklist(steps.iter().map(|(text, status)| (text.as_str(), *status)));
    }

    /// Token counts: `total` of the session, `last` of the last request to the model. A turn's own are the difference,
    /// since it makes many requests, and the same counts may be reported twice.
    pub(super) fn tokens(&mut self, params: &Value) {
        if !self.is_own(params) {
            return;
        }
        let counts = params.get("tokenUsage").unwrap_or(&Value::Null);
        let total = usage(counts.get("total").unwrap_or(&Value::Null));
        let last = counts.get("last").unwrap_or(&Value::Null);
        let new = match &self.state.tokens {
            Some(before) => total.less(before),
            None => usage(last),
        };
        let reported = self.state.tokens.replace(total) == Some(total);
        let Some(turn) = &mut self.state.turn else { return };
        turn.usage.add(&new);
        let usage = turn.usage;
        let context_tokens = field::number(last, "totalTokens");
        // Repeated counts are ignored; those after a compaction have a new size of the context only.
        if reported && new == Usage::default() && field::number(last, "inputTokens") != Some(0) {
            return;
        }
        let content = format!("{} tokens in the context", context_tokens.unwrap_or(0));
        let context_window = field::number(counts, "modelContextWindow");
        self.out.emit(content, Body::Usage { usage, context_tokens, context_window });
    }
}

/// The CLI's token counts. Its input includes what came from the cache and what went into it.
fn usage(counts: &Value) -> Usage {
    field::usage(counts, ["inputTokens", "outputTokens", "cachedInputTokens", "cacheWriteInputTokens"], true)
}

/// The final answer: the last message that the turn's summary holds.
fn answer(ended: &Value) -> Option<String> {
    let mut items = ended.get("items")?.as_array()?.iter().rev();
    let message = items.find(|item| field::text(item, "type") == Some("agentMessage"))?;
    field::text(message, "text").map(str::to_owned)
}

fn content(stop_reason: &str, duration_ms: Option<u64>, reason: &str) -> String {
    match stop_reason {
        "interrupted" => "Turn interrupted".to_owned(),
        "error" if reason.is_empty() => "Turn failed".to_owned(),
        "error" => turn::failed(reason, REASON_MAX),
        _ => turn::completed(duration_ms),
    }
}
