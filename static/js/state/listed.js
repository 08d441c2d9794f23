// Which workers the list shows, and in which order. Reads the state only.

import { isUnread, openPrompts } from "./state.js";

const RANK = { waiting: 0, failed: 1, stalled: 1, busy: 2, starting: 2, stopping: 2, idle: 3, stopped: 4 };

/** The workers that match the filter: what waits for somebody first, then the most recently active. */
export function listed(state, filter = "", status = "") {
  const needles = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const waiting = new Set(openPrompts(state).map((prompt) => prompt.worker_id));
  return [...state.workers.values()]
    .filter((worker) => !status || statusOf(worker, waiting) === status)
    .filter((worker) => {
      const text = `${worker.name} ${worker.project_path} ${worker.ai_cli_type} ${worker.status}`.toLowerCase();
      return needles.every((needle) => text.includes(needle));
    })
    .map((worker) => ({ worker, status: statusOf(worker, waiting) }))
    .sort(
      (x, y) =>
        rank(state, x) - rank(state, y) ||
        compare(y.worker.last_activity, x.worker.last_activity) ||
        compare(x.worker.id, y.worker.id),
    );
}

// Idle with unread output comes before idle.
const rank = (state, { worker, status }) =>
  (RANK[status] ?? 3) * 2 - (status === "idle" && isUnread(state, worker) ? 1 : 0);

const statusOf = (worker, waiting) => (waiting.has(worker.id) ? "waiting" : worker.status);

const compare = (a, b) => (a === b ? 0 : (a ?? "") < (b ?? "") ? -1 : 1);
