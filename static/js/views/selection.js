// Many rows at once: which are picked, and the bar with what can be done with them. Emits `bulk` {action, ids}.

import { h, icon, emit } from "../lib/dom.js";
import { plural } from "../lib/text.js";

const ACTIONS = [
  ["start", "Start"],
  ["stop", "Stop"],
  ["pin", "Pin"],
  ["snooze", "Snooze…"],
  ["archive", "Archive"],
  ["delete", "Delete…"],
];

/** Mounts the bar at the end of `root`. `changed` is called when a row is picked or no longer is. */
export function mountSelection(root, changed) {
  const picked = new Set();
  let active = false;
  let anchor = null;
  const count = h("span", { class: "bulk-count", role: "status" });
  const bar = h(
    "div",
    { class: "bulk", role: "toolbar", "aria-label": "Selected workers", hidden: true },
    h(
      "div",
      { class: "bulk-head" },
      count,
      h("button", { type: "button", class: "quiet", on: { click: () => all() } }, "All"),
      h(
        "button",
        { type: "button", class: "icon-button", "aria-label": "End the selection", on: { click: () => set(false) } },
        icon("close"),
      ),
    ),
    h(
      "div",
      { class: "bulk-actions" },
      ACTIONS.map(([action, word]) =>
        h(
          "button",
          {
            type: "button",
            class: action === "delete" ? "danger" : "",
            data: { action },
            on: { click: (event) => emit(bar, "bulk", { action, ids: [...picked], button: event.currentTarget }) },
          },
          word,
        ),
      ),
    ),
  );
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    set(false);
  });
  root.append(bar);
  let known = [];

  function set(on) {
    active = on;
    if (!on) picked.clear();
    anchor = null;
    changed();
  }

  function all() {
    const every = known.every((id) => picked.has(id));
    for (const id of known)
      if (every) picked.delete(id);
      else picked.add(id);
    changed();
  }

  /** Picks a row or lets it go; with `range`, all from the row that was picked last up to it. */
  function toggle(id, range = false) {
    active = true;
    const from = known.indexOf(anchor);
    const to = known.indexOf(id);
    if (range && from >= 0 && to >= 0) {
      for (const one of known.slice(Math.min(from, to), Math.max(from, to) + 1)) picked.add(one);
    } else {
      if (!picked.delete(id)) picked.add(id);
      anchor = id;
    }
    changed();
  }

  return {
    set,
    all,
    toggle,
    isActive: () => active,
    has: (id) => picked.has(id),
    rev: () => `${active}.${[...picked].join()}`,
    /** The rows that the list shows now, in their order; hidden rows are not picked any more. */
    show(ids) {
      known = ids;
      const shown = new Set(ids);
      for (const id of picked) if (!shown.has(id)) picked.delete(id);
      bar.hidden = !active;
      count.textContent = `${plural(picked.size, "worker")} selected`;
      for (const button of bar.querySelectorAll("[data-action]")) button.disabled = picked.size === 0;
    },
  };
}
