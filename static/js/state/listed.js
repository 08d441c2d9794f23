// Which workers the list shows, in which order and in which groups. Reads the state only.

import { isUnread, openPrompts } from "./state.js";

const RANK = { waiting: 0, failed: 1, stalled: 1, busy: 2, starting: 2, stopping: 2, idle: 3, stopped: 4 };
// Lists of fewer workers, or of one project, have no groups unless somebody asks for them.
const GROUPED_MIN = 8;

/** The folder of a worker's project: with a worktree, that of the repository. */
export const projectOf = (worker) => worker?.worktree?.project ?? worker?.project_path ?? "";

/** The branch that a worker works on; empty where none is known. */
export const branchOf = (worker) => worker?.worktree?.branch ?? worker?.changed?.branch ?? "";

/** Returns whether a worker is hidden until a time that has not come. */
export const isSnoozed = (worker, now) => Date.parse(worker.snoozed_until ?? "") > now;

/**
 * The workers that match the filter: pinned ones, then what waits for somebody, then the most recently active.
 * Archived and snoozed ones are left out unless `status` asks for them; what waits for somebody is always shown.
 */
export function listed(state, filter = "", status = "", now = Date.now()) {
  const needles = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const waiting = new Set(openPrompts(state).map((prompt) => prompt.worker_id));
  const entries = [...state.workers.values()]
    .map((worker) => ({ worker, status: waiting.has(worker.id) ? "waiting" : worker.status }))
    .filter((entry) => isWanted(entry, status, now) && matches(entry, needles))
    .sort(
      (x, y) =>
        Number(y.worker.pinned ?? false) - Number(x.worker.pinned ?? false) ||
        rank(state, x) - rank(state, y) ||
        compare(y.worker.last_activity, x.worker.last_activity) ||
        compare(x.worker.id, y.worker.id),
    );
  return nested(entries);
}

// Children come behind their parent, and it where the first of them would. `of` is its name.
function nested(entries) {
  const children = entries.filter((entry) => entry.worker.parent);
  if (!children.length) return entries;
  const known = new Map(entries.map((entry) => [entry.worker.id, entry]));
  const placed = new Set();
  const place = (entry) => {
    const { id, parent } = entry.worker;
    const up = known.get(parent?.id);
    if (placed.has(entry)) return;
    if (up && !placed.has(up)) return place(up);
    entry.of = up?.worker.name ?? parent?.name;
    placed.add(entry);
    for (const child of children) if (child.worker.parent.id === id) place(child);
  };
  entries.forEach(place);
  return [...placed];
}

/** The number of workers that the list leaves out because they are archived or snoozed. */
export function hiddenCounts(state, now) {
  const counts = { archived: 0, snoozed: 0 };
  for (const worker of state.workers.values()) {
    if (worker.archived) counts.archived += 1;
    else if (isSnoozed(worker, now)) counts.snoozed += 1;
  }
  return counts;
}

function isWanted({ worker, status: now }, wanted, time) {
  if (wanted === "archived") return Boolean(worker.archived);
  if (wanted === "snoozed") return !worker.archived && isSnoozed(worker, time);
  if (wanted && now !== wanted) return false;
  return now === "waiting" || !(worker.archived || isSnoozed(worker, time));
}

function matches({ worker, status }, needles) {
  if (!needles.length) return true;
  const parts = [worker.name, worker.project_path, worker.ai_cli_type, status, branchOf(worker), projectOf(worker)];
  const text = parts.join(" ").toLowerCase();
  return needles.every((needle) => text.includes(needle));
}

// Idle with unread output comes before idle.
const rank = (state, { worker, status }) =>
  (RANK[status] ?? 3) * 2 - (status === "idle" && isUnread(state, worker) ? 1 : 0);

const compare = (a, b) => (a === b ? 0 : (a ?? "") < (b ?? "") ? -1 : 1);

/**
 * The lines of the list: `{kind: "row", key, worker, status}` and, with groups, `{kind: "group", key, ...}` above
 * them. `grouping` is "project", "none", or "" for groups where there is much to group. Pinned workers are a group of
 * their own; the rows of groups in `closed` are left out, but for the worker `selected`.
 */
export function arranged(entries, grouping, closed = new Set(), selected = null) {
  const rows = entries.map((entry) => ({ kind: "row", key: entry.worker.id, ...entry }));
  const groups = new Map();
  for (const row of rows) {
    const key = row.worker.pinned ? "pinned" : projectOf(row.worker);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  const many = groups.size > 1 && rows.length >= GROUPED_MIN;
  if (grouping === "none" || (grouping !== "project" && !many)) return rows;
  return [...groups].flatMap(([key, members]) => {
    const open = !closed.has(key);
    const waiting = members.filter((row) => row.status === "waiting").length;
    const head = { kind: "group", key: `group ${key}`, group: key, count: members.length, waiting, open };
    return [head, ...members.filter((row) => open || row.key === selected)];
  });
}
