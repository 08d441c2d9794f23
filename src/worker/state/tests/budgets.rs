//! Stories of a worker under a budget.

use serde_json::{Value, json};

use super::story::{Story, ask, init, result};
use crate::budgets::{Budget, BudgetLimits, Period};
use crate::clock::Micros;
use crate::worker::state::spending::DAYS_MAX;
use crate::worker::state::status::Status;

/// A worker that is idle.
fn idle() -> Story {
    let mut story = Story::claude();
    story.start("s", false).ready().out(init("s")).out(result());
    story.take("status");
    story
}

fn asked(id: &str) -> Value {
    let raise = json!({"id": "raise", "label": "Raise to 2 turns", "limits": {"turns": 2}});
    json!({"type": "budget", "step": "asked", "request_id": id, "budget_id": "b", "name": "daily", "key": "b/1/0",
           "used": "1 of 1 turns", "raises": [raise]})
}

fn answered(id: &str, decision: &str) -> Value {
    json!({"type": "budget", "step": "answered", "request_id": id, "decision": decision, "by": "user"})
}

#[test]
fn prompt_about_a_budget_is_out_of_the_clis_reach() {
    let mut story = idle();
    story.ctl(asked("budget-1"));
    assert_eq!(story.state().status, Status::Waiting);
    let event = story.take("permission_request").remove(0);
    assert_eq!((&event["tool_name"], &event["budget"]["budget_id"]), (&json!("Budget"), &json!("b")));
    let kinds: Vec<&Value> = event["options"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["allow_once", "allow_always", "reject_once"]);

    // Its id is asked for, withdrawn, and pushed out by many others; then the CLI ends.
    story.out(ask("budget-1"));
    story.out(json!({"type": "control_cancel_request", "request_id": "budget-1"}));
    for number in 0..100 {
        story.out(ask(&format!("other-{number}")));
    }
    story.ctl(json!({"type": "exited", "signal": "SIGKILL"}));
    let open: Vec<&str> = story.state().prompts.iter().map(|prompt| prompt.request_id.as_str()).collect();
    assert_eq!(open, ["budget-1"]);
    assert!(story.state().budget_prompt().is_some());
    story.ctl(answered("budget-1", "stop"));
    assert!(story.state().prompts.is_empty());
    assert_eq!(story.state().budget.stopped, ["b/1/0"]);
}

#[test]
fn pass_lasts_for_one_turn_that_is_not_interrupted() {
    let mut story = idle();
    story.ctl(asked("budget-1")).ctl(answered("budget-1", "once_more"));
    assert_eq!(story.state().budget.passes, ["b"]);
    let resolved = story.take("permission_resolved").remove(0);
    assert_eq!((&resolved["decision"], &resolved["by"]), (&json!("once_more"), &json!("user")));
    story.out(init("s")).ctl(json!({"type": "interrupt_requested", "by": "budget"})).out(result());
    assert_eq!(story.state().budget.passes, ["b"], "that turn was interrupted");
    story.out(init("s")).out(result());
    assert!(story.state().budget.passes.is_empty());
    story.ctl(answered("budget-1", "once_more"));
    assert!(story.state().budget.passes.is_empty(), "it is answered already");
}

#[test]
fn used_amounts_are_those_of_the_period() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    let usage = json!({"input_tokens": 7, "output_tokens": 2, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 900});
    let mut end = result();
    (end["usage"], end["total_cost_usd"]) = (usage, json!(0.5));
    story.out(init("s")).out(end);
    let limits = BudgetLimits { turns: Some(1), ..BudgetLimits::default() };
    let daily = Budget { limits, ..Budget::default() };
    let now = Micros(story.state().last_activity);
    let used = story.state().used(&daily, now);
    assert_eq!((used.cost_nano_usd, used.tokens, used.unpriced_tokens, used.turns), (500_000_000, 10, 0, 1));
    let tomorrow = Micros(now.0 + crate::budgets::DAY_MICROS);
    assert_eq!(story.state().used(&daily, tomorrow).turns, 0);
    let total = Budget { period: Period::Total, ..daily };
    assert_eq!(story.state().used(&total, tomorrow), used);

    // A running turn counts with its time; one without a cost, with its tokens.
    story.out(init("s"));
    let later = Micros(story.state().last_activity + 3_000_000);
    let running = story.state().used(&total, later);
    assert_eq!((running.turns, running.running_micros - used.running_micros >= 3_000_000), (2, true));
    let mut end = result();
    end["usage"] = json!({"input_tokens": 30, "output_tokens": 3});
    story.out(end);
    let used = story.state().used(&total, later);
    assert_eq!((used.tokens, used.unpriced_tokens, used.turns), (43, 33, 2));
    assert!(story.state().budget.is_unpriced);
}

#[test]
fn daily_amounts_survive_any_number_of_model_names() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    let turns = 2 * DAYS_MAX as u64 + 10;
    for number in 0..turns {
        let (mut begin, mut end) = (init("s"), result());
        begin["model"] = json!(format!("m{number}"));
        end["model_usage_since_last_result"] = json!({"m": {"costUSD": 0.5}});
        story.out(begin).out(end);
    }
    let daily = Budget { limits: BudgetLimits { turns: Some(1), ..BudgetLimits::default() }, ..Budget::default() };
    let used = story.state().used(&daily, Micros(story.state().last_activity));
    assert_eq!((used.turns, used.cost_nano_usd), (turns, turns * 500_000_000));
}

#[test]
fn turn_that_ends_with_its_process_counts_its_tokens() {
    let mut story = Story::claude();
    story.start("s", false).ready().out(init("s"));
    let usage = json!({"input_tokens": 40, "output_tokens": 2, "cache_read_input_tokens": 900});
    let message = json!({"id": "m1", "role": "assistant", "content": [{"type": "text", "text": "x"}], "usage": usage});
    story.out(json!({"type": "assistant", "message": message}));
    let daily = Budget { limits: BudgetLimits { turns: Some(1), ..BudgetLimits::default() }, ..Budget::default() };
    let used = |story: &Story| story.state().used(&daily, Micros(story.state().last_activity));
    assert_eq!(used(&story).tokens, 42, "while it runs");
    story.ctl(json!({"type": "exited", "signal": "SIGKILL"}));
    let after = used(&story);
    assert_eq!((after.tokens, after.unpriced_tokens, after.turns), (42, 42, 1), "when its process is gone");
}

#[test]
fn absurd_cost_of_a_turn_leaves_room_for_a_raise() {
    let mut story = Story::claude();
    story.start("s", false).ready();
    for cost in [json!(1e300), json!(-5.0), json!(f64::MAX)] {
        let mut end = result();
        end["model_usage_since_last_result"] = json!({"m": {"costUSD": cost}});
        end["usage"] = json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX});
        story.out(init("s")).out(end);
    }
    let limits = BudgetLimits { cost_nano_usd: Some(1), tokens: Some(1), ..BudgetLimits::default() };
    let daily = Budget { limits, ..Budget::default() };
    let used = story.state().used(&daily, Micros(story.state().last_activity));
    let raised = used.usage(limits, 1).raised(50);
    assert!(!used.usage(raised, 1).is_over(), "{used:?}");
}
