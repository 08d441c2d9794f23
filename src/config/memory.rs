//! The settings of memory: the reserve of the machine, and the usual limits of workers.

use super::group::SettingGroup::Worker;
use super::setting::Setting;
use super::value::Value;

pub(super) const MEMORY_RESERVE: Setting = Setting::new(
    Worker,
    "MEMORY_RESERVE",
    "Memory Reserve",
    "auto",
    Value::Reserve(|c, it| c.memory_reserve = it),
)
.doc(
    "Memory that is kept available on the machine, or in the control group that limits the server. While less is \
     available, idle workers are hibernated, idle longest first, as `IDLE_STOP_SECS` does, and messages for hibernated \
     workers wait. `auto`: a tenth of the memory, at least 256MiB and at most 1GiB. `off`: none. At least one worker \
     works at a time, so a reserve that is too large slows workers down and stops none.",
);

pub(super) const WORKER_MEMORY: Setting = Setting::new(
    Worker,
    "WORKER_MEMORY",
    "Worker Memory",
    "",
    Value::Limit { field: "memory", put: |c, it| c.worker_limits = it.or(c.worker_limits) },
)
.doc(
    "Most memory of one worker's processes together, unless the worker has its own `memory`. A process of a worker that \
     needs more is killed by the kernel. Enforced where the server has a delegated control group (`rs-worker doctor`). \
     Unset: no limit.",
);

pub(super) const WORKER_CPU: Setting = Setting::new(
    Worker,
    "WORKER_CPU",
    "Worker Processors",
    "",
    Value::Limit { field: "cpu", put: |c, it| c.worker_limits = it.or(c.worker_limits) },
)
.doc("Most processors that one worker's processes use together, such as 1.5, unless the worker has its own `cpu`. Unset: no limit.");

pub(super) const WORKER_PIDS: Setting = Setting::new(
    Worker,
    "WORKER_PIDS",
    "Worker Processes",
    "",
    Value::Limit { field: "pids", put: |c, it| c.worker_limits = it.or(c.worker_limits) },
)
.doc("Most processes and threads of one worker, unless the worker has its own `pids`. Unset: no limit.");
