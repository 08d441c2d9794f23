//! `result` lines: the end of a turn.

use serde_json::Value;

use super::{ClaudeFold, assistant};
use crate::adapter::kit::{field, session, time, turn};
use crate::event::{Body, TurnEnd};

/// Longest reason that the readable text of a failed turn repeats, in bytes.
const REASON_MAX: usize = 500;
/// Billionths in a dollar.
const NANO: f64 = 1e9;
/// The beginning of the CLI's error about a missing session that it was to resume.
pub(super) const NO_SESSION: &str = "No conversation found";
/// The beginning of its error about one that it can't read.
const NOT_RESUMED: &str = "Failed to resume session";
/// The beginning of the CLI's notes for its own developers among `errors`.
const DIAGNOSTIC: &str = "[ede_diagnostic]";

impl ClaudeFold<'_, '_> {
    pub(super) fn result(&mut self, mut line: Value) {
        self.state.handshake.ready = true;
        let is_error = field::is_true(&line, "is_error");
        let errors = errors(&line);
        if is_error && self.state.turn.is_none() && says_no_session(&errors) {
            let session = field::text_or_empty(&line, "session_id").to_owned();
            self.session_gone(&session, &errors);
        }
        let own = line.get("origin").is_none_or(Value::is_null);
        if self.state.turn.is_none() {
            if self.state.sent.is_empty() && is_error {
                // The process failed before any turn: an unknown session, for one.
                if self.state.session_gone {
                    return;
                }
                return self.out.error("start_failed", errors);
            }
            self.start_turn();
        }
        let Some(turn) = self.state.turn.take() else { return };
        // A slash command that the CLI runs itself is not shown again: it was the first that waited when the turn began.
        if own && !turn.replayed && self.state.sent.first().is_some_and(|first| first.seq < turn.seq) {
            self.consumed(0);
        }

        let message_ids = std::mem::take(&mut self.state.taken);
        self.state.preserved.clear();
        let window = line.get("modelUsage").and_then(|models| self.context_window(models));
        let is_news = window.is_some() && window != self.state.context_window;
        self.state.context_window = window.or(self.state.context_window);
        let stop_reason = stop_reason(&line, is_error);
        if stop_reason == "interrupted" {
            self.state.prompts.retain(|prompt| prompt.seq < turn.seq);
        }
        let result = field::take_text(&mut line, "result");
        let reason = result.as_deref().filter(|result| !result.is_empty()).unwrap_or(&errors);
        let duration_ms = time::duration_ms(&line, "duration_ms");
        let content = content(&stop_reason, is_error, duration_ms, reason);
        let total = line.get("total_cost_usd").and_then(Value::as_f64).map(|total| self.turn_cost(total));
        let cost_usd = line.get("model_usage_since_last_result").and_then(models_cost).or(total);
        self.out.emit(
            content,
            Body::TurnCompleted(TurnEnd {
                turn_id: turn.id().into(),
                message_ids: Some(message_ids),
                stop_reason: stop_reason.into(),
                duration_ms,
                usage: line.get("usage").filter(|usage| usage.is_object()).map(assistant::usage),
                cost_usd,
                is_error,
                result: result.map(Into::into),
            }),
        );
        // The CLI names the size of the context with the end of a turn only.
        if is_news && turn.context_tokens > 0 {
            let context_tokens = Some(turn.context_tokens);
            let content = assistant::context(turn.context_tokens);
            self.out.emit(content, Body::Usage { usage: turn.usage, context_tokens, context_window: window });
        }
    }

    /// This turn's share of the total that a result names, in US dollars.
    fn turn_cost(&mut self, total: f64) -> f64 {
        let total = (total * NANO).round() as u64;
        let before = std::mem::replace(&mut self.state.cost_nano_usd, total);
        total.checked_sub(before).unwrap_or(total) as f64 / NANO
    }

    fn context_window(&self, models: &Value) -> Option<u64> {
        let models = models.as_object()?;
        let model = models.get(&self.state.facts.model).or_else(|| models.values().next())?;
        field::number(model, "contextWindow")
    }
}

/// The cost of what each model has done since the result before, in US dollars. Newer versions report it; the total of a
/// session that they resume begins with what it had cost before.
fn models_cost(models: &Value) -> Option<f64> {
    let costs = models.as_object()?.values().map(|model| model.get("costUSD").and_then(Value::as_f64));
    // The sum of none is -0.
    let cost = costs.sum::<Option<f64>>()? + 0.0;
    Some((cost * NANO).round() / NANO)
}

/// Returns true for an error by which the CLI refuses to resume a session, now and later.
pub(super) fn says_no_session(error: &str) -> bool {
    let begins = [NO_SESSION, NOT_RESUMED].iter().any(|beginning| error.starts_with(beginning));
    begins && !session::is_temporary(error)
}

/// The reasons for people, in one text.
fn errors(line: &Value) -> String {
    let list = field::list(line, "errors");
    let texts = list.iter().filter_map(Value::as_str).filter(|text| !text.starts_with(DIAGNOSTIC));
    texts.collect::<Vec<_>>().join("\n")
}

/// `subtype` alone says too little: an API error is a `success` with `is_error`, an interrupt an
/// `error_during_execution`.
fn stop_reason(line: &Value, is_error: bool) -> String {
    let terminal = field::text_or_empty(line, "terminal_reason");
    if terminal.starts_with("aborted") {
        return "interrupted".to_owned();
    }
    match field::text(line, "subtype") {
        Some("error_during_execution") => "error".to_owned(),
        Some(subtype) if subtype.starts_with("error_") => subtype["error_".len()..].to_owned(),
        _ if is_error => "error".to_owned(),
        _ => field::text(line, "stop_reason").unwrap_or("end_turn").to_owned(),
    }
}

fn content(stop_reason: &str, is_error: bool, duration_ms: Option<u64>, reason: &str) -> String {
    match stop_reason {
        "interrupted" => "Turn interrupted".to_owned(),
        _ if is_error && reason.is_empty() => format!("Turn failed: {stop_reason}"),
        _ if is_error => turn::failed(reason, REASON_MAX),
        _ => turn::completed(duration_ms),
    }
}
