//! The settings of budgets.

use std::time::Duration;

use super::group::SettingGroup::Worker;
use super::setting::Setting;
use super::value::Value;

pub(super) const BUDGET_TOOL_WAIT_SECS: Setting = Setting::new(
    Worker,
    "BUDGET_TOOL_WAIT_SECS",
    "Budget Tool Wait",
    "120",
    Value::Number { min: 0, max: 86_400, unit: "seconds", put: |c, it| c.budgets.tool_wait = Duration::from_secs(it) },
)
.doc(
    "Seconds for which a running tool may continue when a budget is used up, before its turn is interrupted. 0: it is \
     interrupted at once.",
);

pub(super) const BUDGET_TOKEN_PRICE: Setting = Setting::new(
    Worker,
    "BUDGET_TOKEN_PRICE",
    "Budget Token Price",
    "5",
    Value::Number { min: 0, max: 10_000, unit: "", put: |c, it| c.budgets.token_price = it },
)
.doc(
    "US dollars per million tokens with which budgets of cost count agents that report no cost. 0: these agents count \
     nothing.",
);
