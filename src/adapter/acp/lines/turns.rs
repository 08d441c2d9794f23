//! The end of a turn: its reason, its tokens and its cost.

use serde_json::Value;

use super::AcpFold;
use super::updates::NANO;
use crate::adapter::acp::UsageSpan;
use crate::adapter::acp::errors::{error_text, is_authentication};
use crate::adapter::kit::{field, turn};
use crate::event::{Body, TurnEnd, Usage};

/// The end of a turn.
pub(in crate::adapter::acp) struct AcpTurnEnd {
    stop_reason: String,
    is_error: bool,
    usage: Option<Usage>,
    /// The reason of a failure, for people.
    reason: String,
}

impl AcpTurnEnd {
    /// The process ended first.
    pub(in crate::adapter::acp) fn of_the_process() -> Self {
        let reason = "the process ended".to_owned();
        Self { stop_reason: "process_ended".to_owned(), is_error: true, usage: None, reason }
    }
}

impl AcpFold<'_, '_> {
    pub(super) fn prompt_answered(&mut self, result: &Value, error: Option<&Value>) {
        self.flush();
        if let Some(error) = error {
            let why = error_text(error);
            if is_authentication(error) {
                self.not_logged_in(&why);
            } else {
                let limited = error.get("code").and_then(Value::as_i64) == Some(429);
                self.out.error(if limited { "rate_limit" } else { "api_error" }, why.clone());
            }
            return self.end_turn(AcpTurnEnd {
                stop_reason: "error".to_owned(),
                is_error: true,
                usage: None,
                reason: why,
            });
        }
        let unanswered = self.state.turn.as_ref().is_some_and(|turn| turn.cancelled && !turn.answered);
        let stop_reason = match field::text(result, "stopReason") {
            Some("cancelled") => "interrupted",
            // Some agents report a normal end when they are interrupted while they retry a failed request.
            Some("end_turn") | None if unanswered => "interrupted",
            Some("max_turn_requests") => "max_turns",
            Some(other) => other,
            None => "end_turn",
        };
        let usage = self.turn_usage(result);
        let end = AcpTurnEnd { stop_reason: stop_reason.to_owned(), is_error: false, usage, reason: String::new() };
        self.end_turn(end);
    }

    /// Ends the turn, unless it has more prompts to answer.
    pub(super) fn end_turn(&mut self, end: AcpTurnEnd) {
        let ended = end.stop_reason == "process_ended";
        if !ended && self.state.turn.as_ref().is_none_or(|turn| !turn.sent.is_empty()) {
            return;
        }
        let Some(turn) = self.state.turn.take() else { return };
        self.flush();
        let interrupted = end.stop_reason == "interrupted";
        self.end_calls(if interrupted { "The turn was interrupted." } else { "The turn ended without its result." });
        if !ended {
            self.end_prompts();
        }
        let duration_ms = self.record.time.0.saturating_sub(turn.time) / 1_000;
        let content = match (interrupted, end.is_error) {
            (true, _) => "Turn interrupted".to_owned(),
            (_, true) => format!("Turn failed: {}", end.reason),
            _ => turn::completed(Some(duration_ms)),
        };
        let cost_usd = self.turn_cost();
        self.out.emit(
            content,
            Body::TurnCompleted(TurnEnd {
                turn_id: turn.id().into(),
                stop_reason: end.stop_reason.into(),
                duration_ms: Some(duration_ms),
                usage: end.usage,
                cost_usd,
                is_error: end.is_error,
                ..TurnEnd::default()
            }),
        );
    }

    /// The tokens of the turn: as its answer says, or as they were reported within it.
    fn turn_usage(&mut self, result: &Value) -> Option<Usage> {
        let Some(counted) = usage(result) else { return self.state.turn.as_ref()?.usage };
        if self.dialect.usage == UsageSpan::Turn {
            return Some(counted);
        }
        let before = self.state.usage_before.replace(counted)?;
        // A count that has fallen began anew, as with a new process.
        Some(counted.since(&before).unwrap_or(counted))
    }

    /// This turn's share of what the session has cost so far, in US dollars; `None` where the agent says nothing.
    fn turn_cost(&mut self) -> Option<f64> {
        let now = self.state.cost_now_nano_usd?;
        let before = self.state.cost_nano_usd.replace(now)?;
        // An amount that has fallen began anew, as with a new session: nothing that was spent is counted as free.
        Some(now.checked_sub(before).unwrap_or(now) as f64 / NANO)
    }
}

/// The token counts of a prompt's answer: as the protocol has them, or as Gemini CLI adds them.
fn usage(result: &Value) -> Option<Usage> {
    if let Some(counts) = result.get("usage").filter(|counts| counts.is_object()) {
        return Some(field::usage(
            counts,
            ["inputTokens", "outputTokens", "cachedReadTokens", "cachedWriteTokens"],
            false,
        ));
    }
    let counts = result.get("_meta")?.get("quota")?.get("token_count")?;
    let count = |key| field::number(counts, key).unwrap_or(0);
    Some(Usage { input_tokens: count("input_tokens"), output_tokens: count("output_tokens"), ..Usage::default() })
}
