// The list of workers: windowed when it is long, in groups when there is much to group, with many rows selected at
// once. Emits `open` {worker}, `create`, `bulk`.

import { arrange, fill, h, icon, iconButton, memory, style, emit } from "../lib/dom.js";
import { arranged, hiddenCounts, listed } from "../state/listed.js";
import { isUnread, shownStatus } from "../state/state.js";
import { baseName, plain, plural } from "../lib/text.js";
import { Extent } from "../lib/window.js";
import { drawRow, makeRow, statusBadge, STATUS_WORDS } from "./row.js";

export { statusBadge, STATUS_WORDS };

// Longer lists keep only the rows in view in the page.
const WINDOWED_MIN = 120;
// Pixels above and below the view whose rows are in the page too.
const MARGIN = 400;
// Heights in pixels, until they have been measured.
const HEIGHTS = { row: 68, group: 30 };
// Placeholder for the selection of many rows until somebody selects.
/** @type {any} */
const NONE = { isActive: () => false, has: () => false, show() {} };

export function mountWorkers(root, state) {
  const search = h("input", {
    type: "search",
    placeholder: "Filter workers",
    "aria-label": "Filter workers",
    autocomplete: "off",
    spellcheck: "false",
  });
  const hidden = h("optgroup", { label: "Hidden" }, option("archived", "archived"), option("snoozed", "snoozed"));
  const chosen = h(
    "select",
    { "aria-label": "Show status" },
    option("", "All"),
    Object.entries(STATUS_WORDS).map(([value, word]) => option(value, word)),
    hidden,
  );
  chosen.value = memory.get("status-filter", "") || "";
  const view = iconButton("rows", "Arrange the list", () => emit(view, "arrangeList", { button: view }), {
    "aria-haspopup": "menu",
  });
  const list = h("ul", { class: "workers", "aria-label": "Workers" });
  const empty = h("div", { class: "workers-empty" });
  const more = h("button", { type: "button", class: "quiet workers-hidden", on: { click: showHidden } });
  const inbox = h(
    "a",
    { class: "inbox-link", href: "#/inbox" },
    icon("inbox"),
    h("span", null, "Waiting for you"),
    h("span", { class: "badge" }),
    h("span", { class: "visually-hidden" }),
  );
  const head = h(
    "div",
    { class: "workers-head" },
    search,
    chosen,
    view,
    iconButton("add", "New worker (n)", () => emit(root, "create"), { class: "icon-button new" }),
  );
  root.append(head, inbox, list, empty, more);
  let selection = NONE;
  let loading = null;
  const rows = new Map();
  const extent = new Extent();
  const closed = new Set(memory.get("closed-groups", []));
  let grouping = memory.get("grouping", "");
  let items = [];
  let drawn = "";
  let shownSelected = null;
  let scrolling = false;
  root.classList.toggle("compact", memory.get("list-rows") === "compact");

  search.addEventListener("input", () => update(true));
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      const first = items.findIndex((item) => item.kind === "row");
      if (first < 0) return;
      show(first);
      if (event.key === "Enter") rows.get(items[first].key)?.link.click();
      else focusAt(first);
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
  list.addEventListener("keydown", keydown);
  list.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const id = target.closest(".row")?.querySelector("a").dataset.id;
    if (!id || !(selection.isActive() || event.shiftKey || event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    withSelection(() => {
      selection.toggle(id, event.shiftKey);
      rows.get(id)?.link.focus({ preventScroll: true });
    });
  });
  list.addEventListener("scroll", () => {
    if (scrolling || items.length < WINDOWED_MIN) return;
    scrolling = true;
    requestAnimationFrame(() => {
      scrolling = false;
      place();
    });
  });
  new ResizeObserver(() => items.length >= WINDOWED_MIN && place()).observe(list);

  function option(value, word) {
    return h("option", { value }, word);
  }

  /** Does something with the selection, which is loaded for that. */
  function withSelection(act) {
    if (selection !== NONE) return act(selection);
    loading ??= Promise.all([import("./selection.js"), style("palette")]).then(([{ mountSelection }]) => {
      selection = mountSelection(root, () => update(true));
      update(true);
    });
    return loading.then(() => act(selection));
  }

  function keydown(event) {
    const at = items.findIndex((item) => item.key === document.activeElement?.closest("li")?.dataset.key);
    const id = items[at]?.kind === "row" ? items[at].key : null;
    if (event.altKey || at < 0) return;
    const page = Math.max(1, Math.floor(list.clientHeight / HEIGHTS.row) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page };
    const step = steps[event.key] ?? { Home: -items.length, End: items.length }[event.key];
    if (event.ctrlKey || event.metaKey) {
      if (event.key !== "a") return;
      withSelection(() => {
        selection.set(true);
        selection.all();
      });
    } else if (step) {
      const next = at + step;
      if (next < 0 && Math.abs(step) === 1) search.focus();
      else focusAt(Math.min(items.length - 1, Math.max(0, next)));
      const now = items[Math.min(items.length - 1, Math.max(0, next))];
      if (event.shiftKey)
        withSelection(() => {
          if (id && !selection.has(id)) selection.toggle(id);
          if (now?.kind === "row") selection.toggle(now.key, true);
        });
    } else if (event.key === "x" && id) withSelection(() => selection.toggle(id));
    else if (event.key === " " && id && selection.isActive()) selection.toggle(id);
    else if (event.key === "Escape" && selection.isActive()) selection.set(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function focusAt(at) {
    show(at);
    const el = list.querySelector(`li[data-key="${CSS.escape(items[at]?.key ?? "")}"]`);
    /** @type {HTMLElement | null | undefined} */ (el?.querySelector("a, button"))?.focus({ preventScroll: true });
  }

  /** Scrolls as little as it takes to have the item in view. */
  function show(at) {
    if (items.length < WINDOWED_MIN) {
      list.children[at]?.scrollIntoView({ block: "nearest" });
      return;
    }
    const [top, bottom] = [extent.top(at), extent.top(at + 1)];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    place();
  }

  function group(item) {
    const name = h("span", { class: "group-name", dir: "auto" });
    const count = h("span", { class: "group-count" });
    const waiting = h("span", { class: "badge" });
    const button = h("button", { type: "button" }, icon("down"), name, count, waiting);
    button.addEventListener("click", () => {
      if (!closed.delete(item.group)) closed.add(item.group);
      memory.set("closed-groups", [...closed].slice(-200));
      update(true);
    });
    return { el: h("li", { class: "group" }, button), button, name, count, waiting };
  }

  function drawGroup(made, { group: key, count, waiting, open }) {
    made.button.setAttribute("aria-expanded", String(open));
    made.button.title = key === "pinned" ? "" : plain(key);
    made.name.textContent = key === "pinned" ? "Pinned" : baseName(plain(key));
    made.count.textContent = String(count);
    made.waiting.textContent = waiting ? String(waiting) : "";
  }

  function element(item, at, grouped) {
    let made = rows.get(item.key);
    if (!made) rows.set(item.key, (made = item.kind === "group" ? group(item) : makeRow(item.worker)));
    made.el.dataset.key = item.key;
    made.el.setAttribute("aria-setsize", String(items.length));
    made.el.setAttribute("aria-posinset", String(at + 1));
    if (item.kind === "group") drawGroup(made, item);
    else {
      const selected = state.selected === item.key;
      drawRow(made, item.worker, {
        shown: shownStatus(item.worker, item.status),
        unread: !selected && isUnread(state, item.worker),
        selected,
        grouped: grouped && !item.worker.pinned,
        picking: selection.isActive(),
        picked: selection.has(item.key),
        of: item.of,
      });
    }
    return made.el;
  }

  /** Puts the rows in view into the page, and the row that has the focus. */
  function place() {
    const grouped = items[0]?.kind === "group";
    const windowed = items.length >= WINDOWED_MIN;
    list.classList.toggle("windowed", windowed);
    let wanted = items.map((_, at) => at);
    if (windowed) {
      for (const item of items) item.height = HEIGHTS[item.kind];
      extent.measure(items);
      const [from, to] = extent.range(list.scrollTop, list.clientHeight || innerHeight, MARGIN);
      const held = /** @type {HTMLElement | null} */ (document.activeElement?.closest(".workers li"))?.dataset.key;
      wanted = wanted.filter((at) => (at >= from && at < to) || items[at].key === held);
    }
    const focused = document.activeElement;
    arrange(
      list,
      wanted.map((at) => element(items[at], at, grouped)),
    );
    for (const at of wanted)
      rows.get(items[at].key).el.style.setProperty("top", windowed ? `${extent.top(at)}px` : "");
    list.style.setProperty("--list-height", windowed ? `${extent.total}px` : "auto");
    const kept = new Set(wanted.map((at) => items[at].key));
    for (const key of rows.keys()) if (!kept.has(key)) rows.delete(key);
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true });
    if (windowed) measure();
  }

  // All rows are equally high: the first of each kind says how high.
  function measure() {
    let changed = false;
    for (const kind of ["row", "group"]) {
      const height = list.querySelector(`:scope > .${kind}`)?.offsetHeight;
      if (height && height !== HEIGHTS[kind]) {
        HEIGHTS[kind] = height;
        changed = true;
      }
    }
    if (changed) place();
  }

  /** Draws what has changed. Times grow old without events: `force` draws them again. */
  function update(force = false) {
    const sign = `${state.rev.workers}.${state.rev.prompts}.${state.selected}`;
    if (sign === drawn && !force) return;
    drawn = sign;
    const now = Date.now();
    const entries = listed(state, search.value, chosen.value, now);
    items = arranged(entries, grouping, closed, state.selected);
    selection.show(items.filter((item) => item.kind === "row").map((item) => item.key));
    place();
    if (state.selected !== shownSelected) {
      const at = items.findIndex((item) => item.key === state.selected);
      if (at >= 0 || !state.selected) shownSelected = state.selected;
      if (at >= 0) show(at);
    }
    const count = state.prompts.size;
    inbox.hidden = count === 0;
    inbox.querySelector(".badge").textContent = String(count);
    inbox.lastElementChild.textContent = count === 1 ? " request" : " requests";
    drawEnd(entries.length, now);
  }

  function drawEnd(shown, now) {
    const counts = hiddenCounts(state, now);
    hidden.children[0].textContent = `archived (${counts.archived})`;
    hidden.children[1].textContent = `snoozed (${counts.snoozed})`;
    const away = counts.archived + counts.snoozed;
    more.hidden = !away || Boolean(chosen.value);
    more.textContent = `${plural(away, "worker")} hidden`;
    const isFiltered = Boolean(search.value || chosen.value);
    if (!state.loaded) fill(empty, h("div", { class: "ghosts", "aria-label": "Loading…" }, GHOSTS.map(ghost)));
    else if (shown) fill(empty);
    else if (state.workers.size && isFiltered)
      fill(
        empty,
        h("p", null, "No worker matches."),
        h("button", { type: "button", on: { click: clearFilter } }, "Show all workers"),
      );
    else fill(empty, state.workers.size ? "Everything is archived or snoozed." : "No workers yet.");
    empty.hidden = Boolean(state.loaded && shown);
  }

  function clearFilter() {
    search.value = "";
    chosen.value = "";
    memory.set("status-filter", null);
    update(true);
    search.focus();
  }

  function showHidden() {
    const counts = hiddenCounts(state, Date.now());
    chosen.value = counts.archived ? "archived" : "snoozed";
    update(true);
    focusAt(
      Math.max(
        0,
        items.findIndex((item) => item.kind === "row"),
      ),
    );
  }

  /** The worker `step` places after the selected one in the list as it is shown. */
  function neighbour(step) {
    const ids = items.filter((item) => item.kind === "row").map((item) => item.key);
    const at = ids.indexOf(state.selected);
    return ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + step))] ?? null;
  }

  return {
    update,
    neighbour,
    select: () => withSelection(() => selection.set(true)),
    endSelection: () => selection.isActive() && selection.set(false),
    focusFilter: () => search.focus(),
    focusList() {
      const at = items.findIndex((item) => item.key === state.selected);
      focusAt(
        at >= 0
          ? at
          : Math.max(
              0,
              items.findIndex((item) => item.kind === "row"),
            ),
      );
    },
    /** Returns the arrangement of the list; with a value, sets it. */
    arrangement(change) {
      if (change?.grouping !== undefined) memory.set("grouping", (grouping = change.grouping));
      if (change?.rows !== undefined) {
        memory.set("list-rows", change.rows);
        root.classList.toggle("compact", change.rows === "compact");
      }
      if (change) update(true);
      return { grouping: items[0]?.kind === "group" ? "project" : "none", rows: memory.get("list-rows", "full") };
    },
  };
}

const GHOSTS = [1, 2, 3, 4, 5];
const ghost = () => h("div", { class: "ghost" }, h("span"), h("span"));
