// The command palette: workers, actions and settings by a few letters of their names.

import { fill, h, emit } from "../lib/dom.js";
import { openDialog } from "./dialogs.js";
import { addressOf, navigate } from "../lib/router.js";
import { listed, projectOf } from "../state/listed.js";
import { shownStatus } from "../state/state.js";
import { baseName, plain } from "../lib/text.js";
import { statusBadge } from "./row.js";

// Entries that are shown at once.
const SHOWN_MAX = 50;

/**
 * Rates how well letters fit a text: higher is better, and 0 is not at all. Letters must come in order; those that
 * begin a word or follow each other count more.
 */
export function fit(text, letters) {
  const hay = text.toLowerCase();
  let score = 1;
  let at = -1;
  for (const letter of letters.toLowerCase()) {
    if (letter === " ") continue;
    const next = hay.indexOf(letter, at + 1);
    if (next < 0) return 0;
    if (next === at + 1) score += 3;
    else if (next === 0 || /[\s/_.-]/.test(hay[next - 1])) score += 2;
    score -= (next - at - 1) * 0.02;
    at = next;
  }
  return Math.max(score, 0.01);
}

/** The entries that fit, best first; without letters all of them, in their order. */
export function found(entries, letters) {
  const wanted = letters.trim();
  if (!wanted) return entries.slice(0, SHOWN_MAX);
  return entries
    .map((entry) => ({ entry, score: fit(`${entry.label} ${entry.more ?? ""}`, wanted) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, SHOWN_MAX)
    .map(({ entry }) => entry);
}

/** Opens the palette; with `beside` for a worker that is to be opened beside the open one. */
export function openPalette(app, beside = false) {
  const { state } = app;
  const label = beside ? "Worker to open beside this one" : "Worker or command";
  const field = h("input", {
    type: "text",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "palette-list",
    "aria-autocomplete": "list",
    "aria-label": label,
    placeholder: label,
    autocomplete: "off",
    spellcheck: "false",
    autofocus: true,
    dir: "auto",
  });
  const list = h("ul", { id: "palette-list", class: "palette-list", role: "listbox", "aria-label": "Found" });
  const none = h("p", { class: "muted palette-none", role: "status" });
  const title = beside ? "Open beside" : "Go to or do";
  const dialog = openDialog(title, h("div", { class: "palette" }, field, list, none), { wide: true });
  dialog.classList.add("palette-dialog");
  const entries = beside ? workersOf(state, openBeside) : [...actionsOf(app), ...workersOf(state)];
  let shown = [];
  let at = 0;

  function draw() {
    const text = field.value.trim();
    shown = found(entries, text);
    if (text && !beside)
      shown.push({
        group: "Search",
        label: `Search all conversations for “${text}”`,
        act: () => emit(app.root, "search", { text }),
      });
    at = 0;
    fill(list, shown.map(option));
    none.textContent = shown.length ? "" : "Nothing has that name.";
    mark();
  }

  function option(entry, index) {
    return h(
      "li",
      { id: `palette-${index}`, role: "option", on: { click: () => choose(index), mousemove: () => move(index) } },
      entry.status && statusBadge(entry.status, false),
      h("span", { class: "palette-label", dir: "auto" }, entry.label),
      entry.more && h("span", { class: "muted palette-more" }, entry.more),
      entry.key && h("kbd", null, entry.key),
    );
  }

  function move(index) {
    if (index === at) return;
    at = index;
    mark();
  }

  function mark() {
    [...list.children].forEach((el, index) => el.setAttribute("aria-selected", String(index === at)));
    if (shown.length) field.setAttribute("aria-activedescendant", `palette-${at}`);
    else field.removeAttribute("aria-activedescendant");
    list.children[at]?.scrollIntoView({ block: "nearest" });
  }

  function choose(index) {
    const entry = shown[index];
    if (!entry) return;
    // The focus goes back when the dialog is gone; the entry may move it elsewhere after that.
    dialog.addEventListener("close", () => setTimeout(entry.act), { once: true });
    dialog.close();
  }

  field.addEventListener("input", draw);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step && shown.length) move(Math.min(shown.length - 1, Math.max(0, at + step)));
    else if (event.key === "Enter") choose(at);
    else return;
    event.preventDefault();
  });
  draw();
}

// The page around all frames has the row of workers.
const openBeside = (worker) => emit(window.top.document.getElementById("app"), "beside", { worker });

function workersOf(state, go = (id) => navigate(addressOf(id))) {
  return listed(state).map(({ worker, status }) => ({
    label: plain(worker.name),
    more: `${baseName(plain(projectOf(worker)))} · ${worker.ai_cli_type}`,
    status: shownStatus(worker, status),
    act: () => go(worker.id),
  }));
}

function actionsOf(app) {
  const { root, state, api } = app;
  const worker = state.workers.get(state.selected);
  const say = (name, detail) => () => emit(root, name, detail);
  const failed = (error) => emit(root, "toast", { text: error.message });
  const bulk = (action) => () =>
    emit(root, "bulk", { action, ids: [worker.id], button: root.querySelector(".worker-head") });
  const name = worker ? plain(worker.name) : "";
  const opens = (load, open) => () => app.opening("The dialog", async () => (await load())[open](app, worker));
  const running = worker && !["stopped", "failed"].includes(worker.status);
  const own = worker
    ? [
        running && { label: `Stop ${name}`, act: bulk("stop") },
        !running && { label: `Start ${name}`, act: bulk("start") },
        { label: `Restart ${name}`, act: () => api.act(worker.id, "restart").catch(failed) },
        { label: `${worker.pinned ? "Unpin" : "Pin"} ${name}`, act: bulk("pin") },
        { label: `${worker.archived ? "Restore" : "Archive"} ${name}`, act: bulk("archive") },
        { label: "Open another worker beside this one…", act: say("palette", { beside: true }) },
        { label: `Changes, usage and process of ${name}`, key: "p", act: say("panel") },
        { label: `Land the work of ${name}…`, act: opens(() => import("./land.js"), "openLand") },
        {
          label: `Hand over ${name} to another CLI or model…`,
          act: opens(() => import("./handover.js"), "openHandOver"),
        },
        { label: `Delete ${name}…`, act: bulk("delete") },
      ]
    : [];
  const { grouping, rows } = app.list.arrangement();
  const arrange = (change) => () => app.list.arrangement(change);
  return [
    { label: "New worker", key: "n", act: say("create") },
    { label: "Waiting for you (inbox)", key: "g", act: () => navigate("#/inbox") },
    { label: "Overview: what runs, what it costs", act: () => navigate("#/overview") },
    { label: "Search all conversations", key: "s", act: say("search") },
    { label: "Best of several: one prompt, several attempts…", act: opens(() => import("./best.js"), "openBest") },
    { label: "Groups of attempts…", act: opens(() => import("./compare.js"), "openGroups") },
    ...own,
    grouping === "project"
      ? { label: "List: one flat list", act: arrange({ grouping: "none" }) }
      : { label: "List: group by project", act: arrange({ grouping: "project" }) },
    rows === "compact"
      ? { label: "List: full rows", act: arrange({ rows: "full" }) }
      : { label: "List: compact rows", act: arrange({ rows: "compact" }) },
    { label: "List: select many workers", key: "x", act: app.list.select },
    { label: "Check the CLIs of this server", act: say("doctor") },
    { label: "Notifications on or off", act: say("notifications") },
    { label: "Light or dark", key: "t", act: say("theme") },
    { label: "Rules that answer requests", act: say("rules") },
    { label: "Budgets…", act: opens(() => import("./budgets.js"), "openBudgets") },
    { label: "Schedules of messages", act: say("rules", { schedules: true }) },
    { label: "Logins of browsers", act: say("logins") },
    { label: "Keys and help", key: "?", act: say("help") },
  ].filter(Boolean);
}
