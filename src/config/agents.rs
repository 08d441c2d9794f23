//! The settings of workers that agents make.

use super::Config;
use super::group::SettingGroup::Worker;
use super::setting::Setting;
use super::value::{Value, count};

const fn number(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "", put }
}

pub(super) const AGENT_CHILDREN_MAX: Setting = Setting::new(
    Worker,
    "AGENT_CHILDREN_MAX",
    "Workers of an Agent",
    "8",
    number(1, 100, |c, it| c.children_max = count(it)),
)
.doc("Number of workers that the agent of one worker may make, with `mcp` in the worker's request or preset.");

pub(super) const AGENT_DEPTH_MAX: Setting =
    Setting::new(Worker, "AGENT_DEPTH_MAX", "Depth of Agents", "2", number(0, 8, |c, it| c.depth_max = count(it)))
        .doc("Number of workers that may be above a worker that an agent has made. 0: agents make no workers.");
