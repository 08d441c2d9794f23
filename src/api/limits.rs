//! The limits of a worker's processes in requests: `memory`, `cpu` and `pids`.

use super::input::JsonBody;
use crate::cgroup::{self, WorkerLimits};

/// Takes the limits of a request. A null removes one of `present`, and an omitted one stays as it is there.
pub(super) fn limits(body: &mut JsonBody, present: WorkerLimits) -> WorkerLimits {
    let mut limits = present;
    for field in WorkerLimits::FIELDS {
        let Some(value) = body.value(field) else { continue };
        if limits.set(field, &value).is_err() {
            body.mistake(field, &format!("Input should be {}", cgroup::allowed(field).replace('`', "")), "value_error");
        }
    }
    limits
}
