//! The amounts that a worker has used of budgets, and its state with those that are used up.
//!
//! A budget that is used up asks with a prompt of the server's own. The CLI knows nothing of it: nothing that a CLI prints
//! answers, replaces or removes it, and it stays open when the CLI's process ends. While it is open, no message of the queue
//! is delivered.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::prompts::{OpenPrompt, PromptSubject};
use super::spending::{DaySpent, Spent, bounded, tokens};
use super::{State, push_bounded};
use crate::budgets::{BUDGETS_MAX, Budget, Spender, Sums};
use crate::clock::Micros;
use crate::event::{Body, BudgetDetails, Event, PermissionOption, PromptDetails, TurnEnd, Usage};
use crate::journal::{BudgetPrompt, BudgetStep, By, Record};
use crate::worker::state::status::Status;

/// The tool's name in a prompt about a budget.
pub(crate) const BUDGET_TOOL: &str = "Budget";
/// The option that lets one more turn run.
pub(in crate::worker) const ONCE_MORE: &str = "once_more";
/// The option that leaves the queue held.
pub(in crate::worker) const STOP: &str = "stop";
/// The consequence of an interrupted turn, for people.
const CUT: &str = "A turn that was interrupted for a budget does not continue by itself: when the budget has room, send a \
    message to continue it.";
/// Keys of warnings and prompts that are stored, so that each is given once: more than there are budgets, or two that push
/// each other's key out would warn forever.
const KEYS_MAX: usize = 2 * BUDGETS_MAX;
/// Running tools that are stored; further ones are not waited for.
const TOOLS_MAX: usize = 64;

/// The state of a worker regarding budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BudgetState {
    /// Keys of budgets that it was warned of.
    pub warned: VecDeque<String>,
    /// Keys of budgets that it has asked about.
    pub asked: VecDeque<String>,
    /// Keys of budgets for which a person has chosen to stop.
    pub stopped: VecDeque<String>,
    /// Ids of budgets that don't count for one more turn.
    pub passes: Vec<String>,
    /// True if the last turn was interrupted for a budget, and no other one has begun.
    pub is_cut: bool,
    /// Tools of the agent itself that run.
    pub tools: Vec<String>,
    /// Tokens of the running turn so far.
    pub turn_usage: Usage,
    /// True if the last turn that used tokens reported no cost.
    pub is_unpriced: bool,
    /// Turns of days that are no longer listed one by one.
    pub earlier: Spent,
}

impl BudgetState {
    /// Applies an event of the adapter; returns whether readers of the state must see it. A turn that was interrupted is
    /// not the one more that a person has granted.
    pub(super) fn note(&mut self, event: &Event<'_>, is_interrupted: bool) -> bool {
        match &event.body {
            Body::ToolCall { tool_call_id, parent_tool_call_id: None, .. } => {
                if self.tools.len() < TOOLS_MAX && !self.tools.iter().any(|tool| tool == tool_call_id) {
                    self.tools.push(tool_call_id.to_string());
                }
                false
            }
            Body::ToolResult { tool_call_id, parent_tool_call_id: None, .. } => {
                self.tools.retain(|tool| tool != tool_call_id);
                false
            }
            Body::Usage { usage, .. } if *usage != Usage::default() && *usage != self.turn_usage => {
                self.turn_usage = *usage;
                true
            }
            Body::TurnStarted { .. } => {
                self.is_cut = false;
                self.turn_ends();
                false
            }
            Body::TurnCompleted(end) => {
                self.turn_ends();
                if !is_interrupted {
                    self.passes.clear();
                }
                if end.cost_usd.is_some() || tokens(&end.usage.unwrap_or_default()) > 0 {
                    self.is_unpriced = end.cost_usd.is_none();
                }
                false
            }
            _ => false,
        }
    }

    fn turn_ends(&mut self) {
        self.tools.clear();
        self.turn_usage = Usage::default();
    }

    /// Keeps the totals of a day that is dropped from the list.
    pub(super) fn keep(&mut self, dropped: Option<DaySpent>) {
        if let Some(dropped) = dropped {
            self.earlier.add(&dropped.spent);
        }
    }
}

impl Spent {
    /// Returns these totals as budgets count them.
    pub(in crate::worker) fn sums(&self) -> Sums {
        Sums {
            cost_nano_usd: self.cost_nano_usd,
            tokens: tokens(&self.usage),
            unpriced_tokens: self.unpriced_tokens,
            turns: self.turns,
            running_micros: self.running_micros,
        }
    }
}

impl State {
    /// Adds a turn to the totals. Earlier turns of a followed session are not counted, since they are read at once and
    /// not on their days.
    fn note_spending(&mut self, end: &TurnEnd<'_>, time: Micros) {
        if self.follow.is_none() {
            let model = self.model.as_deref().or(self.options.model.as_deref());
            let ran = self.grouped.turn_began.map_or(0, |began| time.0.saturating_sub(began));
            let dropped = self.spending.add_turn(time, model, (end, &self.budget.turn_usage), ran);
            self.budget.keep(dropped);
        }
    }

    /// Applies an event of the adapter to what budgets count.
    pub(super) fn note_for_budgets(&mut self, event: &Event<'_>, time: Micros) {
        if let Body::TurnCompleted(end) = &event.body {
            self.note_spending(end, time);
        }
        if self.budget.note(event, self.interrupted) {
            self.revision += 1;
        }
    }

    /// Returns the properties by which budgets find the worker `id`.
    pub(crate) fn spender<'s>(&'s self, id: &'s str) -> Spender<'s> {
        let above = self.options.parent.iter().flat_map(|parent| parent.ids()).collect();
        Spender { worker: id, project: self.project(), preset: self.options.preset.as_deref(), above }
    }

    /// Returns what the worker has used since the first day of a budget, the running turn included.
    pub(crate) fn used(&self, budget: &Budget, now: Micros) -> Sums {
        let first = budget.first_day(now);
        let mut sums = if first == 0 { self.budget.earlier.sums() } else { Sums::default() };
        self.spending.days().iter().filter(|day| day.day >= first).for_each(|day| sums.add(&day.spent.sums()));
        if self.follow.is_none() && self.has_turn() {
            let tokens = tokens(&bounded(&self.budget.turn_usage));
            sums.add(&Sums {
                cost_nano_usd: 0,
                tokens,
                unpriced_tokens: if self.budget.is_unpriced { tokens } else { 0 },
                turns: 1,
                running_micros: self.grouped.turn_began.map_or(0, |began| now.0.saturating_sub(began)),
            });
        }
        sums
    }

    /// Returns whether it comes from another worker: as a fork, a child, or by a hand-over.
    pub(crate) const fn has_origin(&self) -> bool {
        self.forked_from.is_some() || self.options.parent.is_some() || self.options.handover.is_some()
    }

    /// Returns whether a turn runs, or a message for one was delivered.
    pub(in crate::worker) fn has_turn(&self) -> bool {
        self.turn_id.is_some() || (matches!(self.status, Status::Busy | Status::Stalled) && !self.in_turn.is_empty())
    }

    /// Returns whether the interruption of the running turn was requested.
    pub(in crate::worker) const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Returns the open prompt about a budget.
    pub(crate) fn budget_prompt(&self) -> Option<(&OpenPrompt, &BudgetDetails)> {
        self.prompts.iter().find_map(|prompt| Some((prompt, prompt.budget()?)))
    }

    /// Applies a step of a budget.
    pub(super) fn budget_control(&mut self, step: &BudgetStep, record: &Record<'_>, out: &mut Vec<Event<'_>>) {
        match step {
            BudgetStep::Warned { key, text } => {
                push_bounded(&mut self.budget.warned, key.clone(), KEYS_MAX);
                out.push(Event::new(text.clone(), Body::notice("budget_warning")));
            }
            BudgetStep::Asked(prompt) => self.ask_about_budget(prompt, record, out),
            BudgetStep::Answered { request_id, decision, by } => self.answer_budget(request_id, decision, *by, out),
            BudgetStep::Unknown => {}
        }
    }

    fn ask_about_budget(&mut self, asked: &BudgetPrompt, record: &Record<'_>, out: &mut Vec<Event<'_>>) {
        push_bounded(&mut self.budget.asked, asked.key.clone(), KEYS_MAX);
        let details = Box::new(PromptDetails {
            title: Some(format!("The budget {:?} is used up", asked.name)),
            display_name: Some(BUDGET_TOOL.to_owned()),
            decision_reason: Some(
                "Messages wait until you decide, the budget is raised, or its next period begins.".to_owned(),
            ),
            suppress_always_allow_rule: true,
            budget: Some(Box::new(BudgetDetails {
                budget_id: asked.budget_id.clone(),
                key: asked.key.clone(),
                revision: asked.revision,
                raises: asked.raises.iter().map(|raise| (raise.id.clone(), raise.limits)).collect(),
            })),
            ..PromptDetails::default()
        });
        let option = |id: &str, label: &str, kind: &str| PermissionOption {
            id: id.to_owned(),
            label: label.to_owned(),
            kind: kind.to_owned(),
        };
        let mut options = vec![option(ONCE_MORE, "One more turn", "allow_once")];
        options.extend(asked.raises.iter().map(|raise| option(&raise.id, &raise.label, "allow_always")));
        options.push(option(STOP, "Stop", "reject_once"));
        let input = json!({"budget": asked.name, "for": asked.scope, "used": asked.used});
        let content = format!("The budget {:?} is used up: {}", asked.name, asked.used);
        let body = Body::PermissionRequest {
            request_id: asked.request_id.clone().into(),
            tool_call_id: None,
            tool_name: BUDGET_TOOL.into(),
            input: input.clone(),
            options: options.clone(),
            details: details.clone(),
        };
        let seq = record.seq + out.len() as u64;
        let event = Event::new(content, body);
        let asked_for = PromptSubject::PermissionRequest { tool_name: BUDGET_TOOL.to_owned(), input, options, details };
        self.ask(&event, &asked.request_id, None, asked_for, seq, record.time);
        out.push(event);
    }

    fn answer_budget(&mut self, request_id: &str, decision: &str, by: By, out: &mut Vec<Event<'_>>) {
        let open = self.prompts.iter().find(|prompt| prompt.request_id == request_id).and_then(OpenPrompt::budget);
        let Some(BudgetDetails { budget_id, key, .. }) = open.cloned() else { return };
        match decision {
            ONCE_MORE => self.budget.passes.push(budget_id),
            STOP => push_bounded(&mut self.budget.stopped, key, KEYS_MAX),
            _ => {}
        }
        self.answer(request_id, decision, None, (by, None), out);
        if decision != STOP && self.budget.is_cut {
            let waiting = match self.queue.len() {
                0 => "No message waits.".to_owned(),
                1 => "The message that waits is delivered.".to_owned(),
                count => format!("The {count} messages that wait are delivered."),
            };
            out.push(Event::new(format!("{waiting} {CUT}"), Body::notice("budget_interrupt")));
        }
    }

    /// Applies the request to interrupt the running turn.
    pub(super) fn interrupt_requested(&mut self, by: By, out: &mut Vec<Event<'_>>) {
        self.interrupted = self.turn_id.is_some();
        if self.interrupted && by == By::Budget {
            self.budget.is_cut = true;
            let text = format!("The turn is interrupted, since a budget is used up. {CUT}");
            out.push(Event::new(text, Body::notice("budget_interrupt")));
        }
    }
}
