// The list of workers. Tells `open` {worker}, `create`, `filter`.

import { arrange, h, icon, iconButton, memory, tell } from "../lib/dom.js";
import { listed } from "../state/listed.js";
import { isUnread, shownStatus } from "../state/state.js";
import { ago, baseName, plain } from "../lib/text.js";

export const STATUS_WORDS = {
  starting: "starting",
  idle: "idle",
  busy: "working",
  waiting: "waiting for you",
  stalled: "stalled",
  stopping: "stopping",
  stopped: "stopped",
  failed: "failed",
};

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

export function mountWorkers(root, state) {
  const search = h("input", {
    type: "search",
    placeholder: "Filter workers",
    "aria-label": "Filter workers",
    autocomplete: "off",
    spellcheck: "false",
  });
  const chosen = h(
    "select",
    { "aria-label": "Show status" },
    h("option", { value: "" }, "All"),
    Object.entries(STATUS_WORDS).map(([value, word]) => h("option", { value }, word)),
  );
  chosen.value = memory.get("status-filter", "") || "";
  const list = h("ul", { class: "workers", "aria-label": "Workers" });
  const empty = h("div", { class: "workers-empty" });
  const inbox = h(
    "a",
    { class: "inbox-link", href: "#/inbox" },
    icon("inbox"),
    h("span", null, "Waiting for you"),
    h("span", { class: "badge" }),
  );
  root.append(
    h(
      "div",
      { class: "workers-head" },
      search,
      chosen,
      iconButton("add", "New worker (n)", () => tell(root, "create"), { class: "icon-button new" }),
    ),
    inbox,
    list,
    empty,
  );
  const rows = new Map();
  let drawn = "";

  search.addEventListener("input", () => update(true));
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const first = list.querySelector("a");
      if (event.key === "Enter") first?.click();
      else first?.focus();
    } else if (event.key === "Escape" && search.value) {
      event.stopPropagation();
      search.value = "";
      update(true);
    }
  });
  chosen.addEventListener("change", () => {
    memory.set("status-filter", chosen.value);
    update(true);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    const links = [...list.querySelectorAll("a")];
    const next = links[links.indexOf(document.activeElement) + step];
    event.preventDefault();
    event.stopPropagation();
    if (next) next.focus();
    else if (step < 0) search.focus();
  });

  function row(worker) {
    const name = h("span", { class: "name", dir: "auto" });
    const time = h("time", { class: "when" });
    const status = h("span", { class: "row-status" });
    const where = h("span", { class: "where" });
    const unread = h("span", { class: "unread" }, h("span", { class: "visually-hidden" }, "unread output"));
    const link = h(
      "a",
      { href: `#/w/${encodeURIComponent(worker.id)}` },
      h("span", { class: "row-top" }, unread, name, time),
      h("span", { class: "row-bottom" }, status, where),
    );
    return { el: h("li", null, link), link, name, time, status, where, unread, sign: "" };
  }

  function draw(view, { worker, status }) {
    const selected = state.selected === worker.id;
    const unread = !selected && isUnread(state, worker);
    const when = ago(worker.last_activity, Date.now());
    const shown = shownStatus(worker, status);
    const sign = [worker.name, shown, worker.ai_cli_type, worker.project_path, when, unread, selected].join("\n");
    if (view.sign === sign) return;
    view.sign = sign;
    view.name.textContent = plain(worker.name);
    view.time.textContent = when;
    view.time.dateTime = worker.last_activity ?? "";
    view.status.replaceChildren(statusBadge(shown));
    view.where.textContent = `${worker.ai_cli_type} · ${baseName(plain(worker.project_path))}`;
    view.where.title = plain(worker.project_path);
    view.unread.hidden = !unread;
    view.el.classList.toggle("is-unread", unread);
    if (selected) view.link.setAttribute("aria-current", "page");
    else view.link.removeAttribute("aria-current");
  }

  /** Draws what has changed. Times grow old by themselves: `force` draws them again. */
  function update(force = false) {
    const sign = `${state.rev.workers}.${state.rev.prompts}.${state.selected}`;
    if (sign === drawn && !force) return;
    drawn = sign;
    const entries = listed(state, search.value, chosen.value);
    for (const entry of entries) {
      if (!rows.has(entry.worker.id)) rows.set(entry.worker.id, row(entry.worker));
      draw(rows.get(entry.worker.id), entry);
    }
    for (const id of [...rows.keys()]) if (!state.workers.has(id)) rows.delete(id);
    const focused = document.activeElement;
    arrange(
      list,
      entries.map(({ worker }) => rows.get(worker.id).el),
    );
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true });
    const count = state.prompts.size;
    inbox.hidden = count === 0;
    inbox.querySelector(".badge").textContent = String(count);
    empty.textContent = !state.loaded
      ? "Loading…"
      : entries.length
        ? ""
        : state.workers.size
          ? "No worker matches."
          : "No workers yet.";
    empty.hidden = empty.textContent === "";
  }

  /** The worker `step` places after the selected one in the list as it is shown. */
  function neighbour(step) {
    const ids = listed(state, search.value, chosen.value).map(({ worker }) => worker.id);
    const at = ids.indexOf(state.selected);
    return ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + step))] ?? null;
  }

  return {
    update,
    neighbour,
    focusFilter: () => search.focus(),
    focusList: () => (list.querySelector("[aria-current]") ?? list.querySelector("a"))?.focus(),
  };
}
