//! The journal's records of budgets: warnings, prompts and their decisions.

use serde::{Deserialize, Serialize};

use super::By;
use crate::budgets::BudgetLimits;

/// A step of a budget that concerns the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum BudgetStep {
    /// Most of a budget is used.
    Warned {
        /// The key of budget, period and limits.
        key: String,
        /// For people.
        text: String,
    },
    /// A budget is used up: a person is asked how to continue, and the queue waits.
    Asked(BudgetPrompt),
    /// That prompt has its decision.
    Answered {
        /// The prompt's id.
        request_id: String,
        /// The option's id, or `cancelled` when nothing is left to ask.
        decision: String,
        /// The author of the decision.
        by: By,
    },
    /// A step that this build does not know.
    #[serde(other)]
    Unknown,
}

/// A prompt about a budget that is used up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetPrompt {
    /// Its id, a UUID.
    pub request_id: String,
    /// The budget's id.
    pub budget_id: String,
    /// The budget's name.
    pub name: String,
    /// The key of budget, period and limits.
    pub key: String,
    /// The revision of the budget's limits.
    pub revision: u64,
    /// The workers that the budget is for, for people.
    pub scope: String,
    /// The used amounts, for people.
    pub used: String,
    /// The answers that raise the budget.
    pub raises: Vec<BudgetRaise>,
}

/// An answer that raises a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetRaise {
    /// The option's id.
    pub id: String,
    /// The option's text.
    pub label: String,
    /// The limits that it sets.
    pub limits: BudgetLimits,
}
