//! The options and details of a permission prompt.

use serde::Serialize;

use crate::budgets::BudgetLimits;

/// One answer that a permission prompt offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct PermissionOption {
    /// The id that an answer names: `allow_once`, `allow_always`, `deny`, or the CLI's own.
    pub id: String,
    /// The button's text.
    pub label: String,
    /// `allow_once`, `allow_always`, `reject_once` or `reject_always`, as in the Agent Client Protocol.
    pub kind: String,
}

impl PermissionOption {
    /// Finds the option that an answer means: by its id, by its kind, or by a plain `allow`, `deny` or `reject`. A plain
    /// word takes the option for once where there is one, else the option for good.
    pub fn chosen<'o>(options: &'o [Self], wanted: &str) -> Option<&'o Self> {
        let kinds: &[&str] = match wanted {
            "allow" => &["allow_once", "allow_always"],
            "deny" | "reject" => &["reject_once", "reject_always"],
            kind => &[kind],
        };
        let by_kind = |kind: &&str| options.iter().find(|option| option.kind == *kind);
        options.iter().find(|option| option.id == wanted).or_else(|| kinds.iter().find_map(by_kind))
    }
}

/// Further details of a prompt from the CLI. Absent where it gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PromptDetails {
    /// The prompt's heading, in the CLI's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The tool's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The purpose of the call, in the agent's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The reason that the CLI asks, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_reason: Option<String>,
    /// The same as a word: `rule`, `safetyCheck`, `workingDir`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_reason_type: Option<String>,
    /// The sub-agent that asks. The agent itself may take messages meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// No key or default may allow it: clients preselect the refusal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default_to_no: bool,
    /// Allowed once or not at all: no option grants more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suppress_always_allow_rule: bool,
    /// Requires a person who has seen all of it: rules and buttons beside a summary may not answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub requires_user_interaction: bool,
    /// The budget that it is about, in a prompt of the server's own. No CLI and no rule answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Box<BudgetDetails>>,
}

/// The budget of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct BudgetDetails {
    /// The budget's id.
    pub budget_id: String,
    /// The key of budget, period and limits.
    pub key: String,
    /// The revision of its limits.
    pub revision: u64,
    /// The options that raise it, and the limits that they set.
    pub raises: Vec<(String, BudgetLimits)>,
}
