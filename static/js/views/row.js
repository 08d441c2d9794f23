// One row of the list of workers, and how a status looks.

import { now } from "../lib/clock.js";
import { fill, h, icon } from "../lib/dom.js";
import { ago, baseName, dollars, plain } from "../lib/text.js";
import { branchOf, projectOf } from "../state/listed.js";

export const STATUS_WORDS = {
  preparing: "preparing",
  starting: "starting",
  idle: "idle",
  busy: "working",
  waiting: "waiting for you",
  stalled: "stalled",
  stopping: "stopping",
  stopped: "stopped",
  failed: "failed",
};
// Statuses that say more in the second line than the agent's last words do.
const LOUD = new Set(["waiting", "failed", "stalled", "starting", "stopping"]);
// Part of the context that is worth a colour.
const CONTEXT_FULL = 0.8;

/** A status by shape, colour and word. */
export function statusBadge(status, word = true) {
  const text = STATUS_WORDS[status] ?? status ?? "";
  return h(
    "span",
    { class: `status status-${status}` },
    h("span", { class: "shape", "aria-hidden": "true" }),
    h("span", { class: word ? "word" : "visually-hidden" }, text),
  );
}

/** `+12 −3` of a worker's project; null where nothing has changed or nothing is known. */
export function changedLines({ changed }) {
  if (!changed || !changed.files) return null;
  const label = `${changed.added} lines added, ${changed.removed} removed in ${changed.files} files`;
  return h(
    "span",
    { class: "changed", title: label },
    h("span", { class: "visually-hidden" }, label),
    h("span", { class: "plus", "aria-hidden": "true" }, `+${changed.added}`),
    h("span", { class: "minus", "aria-hidden": "true" }, `−${changed.removed}`),
  );
}

/** The part of the context that is in use, in percent; null where it is not known. */
export function contextPart(worker) {
  const { context_tokens: tokens, context_window: room } = worker;
  return tokens > 0 && room > 0 ? Math.min(100, Math.round((tokens / room) * 100)) : null;
}

/** Makes a row; `draw` fills it. */
export function makeRow(worker) {
  const parts = {
    status: h("span", { class: "row-status" }),
    name: h("span", { class: "name", dir: "auto" }),
    marks: h("span", { class: "marks" }),
    time: h("time", { class: "when" }),
    says: h("span", { class: "says", dir: "auto" }),
    where: h("span", { class: "where" }),
    figures: h("span", { class: "figures" }),
    unread: h("span", { class: "unread" }, h("span", { class: "visually-hidden" }, "unread output")),
  };
  const box = h("input", { type: "checkbox", class: "pick", tabindex: "-1", hidden: true });
  const link = h(
    "a",
    { href: `#/w/${encodeURIComponent(worker.id)}`, data: { id: worker.id } },
    h("span", { class: "row-top" }, parts.unread, parts.status, parts.name, parts.marks, parts.time),
    h("span", { class: "row-mid" }, parts.says),
    h("span", { class: "row-bottom" }, parts.where, parts.figures),
  );
  return { el: h("li", { class: "row" }, box, link), link, box, parts, sign: "" };
}

/** Draws a row anew where anything of it has changed. `how` is what the list knows besides the worker. */
export function drawRow(view, worker, how) {
  const { shown, unread, selected, grouped, picking, picked, of } = how;
  const when = ago(worker.last_activity, now());
  const says = saysOf(worker, shown);
  const sign = JSON.stringify([
    how,
    when,
    says,
    worker.name,
    worker.ai_cli_type,
    worker.project_path,
    worker.worktree,
    worker.changed,
    worker.context_tokens,
    worker.context_window,
    worker.cost_usd,
    worker.pinned,
    worker.archived,
    worker.snoozed_until,
  ]);
  if (view.sign === sign) return;
  view.sign = sign;
  const { parts } = view;
  const name = plain(worker.name);
  fill(parts.status, statusBadge(shown, false));
  parts.name.textContent = name;
  parts.name.title = name;
  fill(
    parts.marks,
    worker.pinned && mark("pin", "pinned"),
    worker.archived && mark("archive", "archived"),
    changedLines(worker),
  );
  parts.time.textContent = when;
  parts.time.dateTime = worker.last_activity ?? "";
  const loud = LOUD.has(shown) || !says;
  fill(
    parts.says,
    loud && h("span", { class: `word status-${shown}` }, STATUS_WORDS[shown] ?? shown),
    loud && says ? " · " : "",
    says,
  );
  const project = baseName(plain(projectOf(worker)));
  const branch = plain(branchOf(worker));
  parts.where.textContent = [of && `↳ ${plain(of)}`, worker.ai_cli_type, !grouped && project, branch]
    .filter(Boolean)
    .join(" · ");
  parts.where.title = plain(worker.project_path);
  fill(parts.figures, figures(worker));
  parts.unread.hidden = !unread;
  view.box.hidden = !picking;
  view.box.checked = picked;
  view.box.setAttribute("aria-label", `Select ${name}`);
  view.el.classList.toggle("is-unread", unread);
  view.el.classList.toggle("is-picked", picked);
  if (selected) view.link.setAttribute("aria-current", "page");
  else view.link.removeAttribute("aria-current");
}

function mark(name, word) {
  return h("span", { class: "mark", title: word }, icon(name), h("span", { class: "visually-hidden" }, word));
}

function saysOf(worker, shown) {
  const text = LOUD.has(shown) ? worker.reason : worker.last_text;
  return plain(text ?? worker.last_text ?? "").slice(0, 160);
}

function figures(worker) {
  const part = contextPart(worker);
  const full = part !== null && part >= CONTEXT_FULL * 100;
  return [
    part !== null &&
      h(
        "span",
        { class: full ? "context full" : "context", title: `${part} % of the context is in use` },
        `${part} %`,
        h("span", { class: "visually-hidden" }, " of the context"),
      ),
    worker.cost_usd > 0 && h("span", { title: "Cost so far" }, dollars(worker.cost_usd)),
  ];
}
