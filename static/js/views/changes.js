// The changes of a project: a list of its files that stays in view, and their diffs in one column or in two.

import { copyButton, fill, h, memory, nameOf } from "../lib/dom.js";
import { parseUnified, tally } from "../lib/diff.js";
import { baseName, plain, plural } from "../lib/text.js";
import { badges, counts, countsOf, diffRows, fileName } from "./diffs.js";
import { inlinePicture } from "./pictures.js";

// Files are open from the beginning until this many lines are shown.
const OPEN_ROWS = 600;
// Pixels from which on two columns are chosen unless the reader says otherwise.
const SPLIT_AT = 820;
// Pixels below which there is no room for two.
const ONE_BELOW = 420;
const PICTURE = /\.(png|jpe?g|gif|webp|avif|svg)$/i;
const MARKS = { new: "A", deleted: "D", renamed: "R", copied: "C", modified: "M" };

/**
 * The view of changes; `show(answer)` draws what `GET diff` has answered, `fileUrl(path)` is a file's address.
 * `review` adds to it: `gutter` and `hunk` as `diffRows` has them, `file(file)` makes what a file's head has besides
 * its name, `isOpen(path)` says whether a file is open at first. It calls `begin()` before it draws, `drawn()` after.
 */
export function changesView(fileUrl, review) {
  const el = h("div", { class: "changes" });
  const opened = new Map();
  let drawn = null;
  let answer = null;
  let isWide = false;
  let isNarrow = false;
  let mode = memory.get("diff-view", "auto");
  let wrap = memory.get("diff-wrap", false);
  let filter = "";
  /** @type {any[]} */
  let sections = [];
  /** @type {any[]} */
  let files = [];

  const at = (path) => sections.find((section) => section.file.path === path);
  const placeOf = (path) => at(path)?.el;
  const isSplit = () => !isNarrow && (mode === "auto" ? isWide : mode === "split");
  new ResizeObserver(() => {
    if (!el.clientWidth) return;
    const before = isSplit();
    isWide = el.clientWidth >= SPLIT_AT;
    isNarrow = el.clientWidth < ONE_BELOW;
    if (isSplit() !== before && drawn !== null) redraw();
  }).observe(el);

  function show(next) {
    answer = next;
    const sign = JSON.stringify([answer?.scope, answer?.diff, answer?.not_shown, answer?.detail, answer?.commits]);
    if (sign === drawn) return;
    redraw();
    drawn = sign;
  }

  function redraw() {
    const scroller = el.closest(".panel-body");
    const top = scroller?.scrollTop ?? 0;
    const refocus = heldFocus();
    const isListOpen = el.querySelector(".file-list.open") !== null;
    sections = [];
    review.begin();
    files = parseUnified(answer?.diff ?? "");
    fill(el, content());
    if (scroller) scroller.scrollTop = top;
    narrow();
    if (isListOpen) {
      el.querySelector(".file-list")?.classList.add("open");
      el.querySelector(".files-toggle")?.setAttribute("aria-expanded", "true");
    }
    refocus();
  }

  // Returns what gives the focus back after a drawing: to the same control of the same file, or to the file's name.
  function heldFocus() {
    const active = /** @type {any} */ (document.activeElement);
    if (!active || !el.contains(active)) return () => {};
    const path = sections.find((section) => section.el.contains(active))?.file.path;
    const alike = () =>
      [...(path === undefined ? el : (placeOf(path) ?? el)).querySelectorAll(active.localName)].filter(
        (one) => nameOf(one) === nameOf(active),
      );
    const index = alike().indexOf(active);
    return () => {
      const found = alike();
      const next = found[index] ?? found[0] ?? placeOf(path)?.querySelector("summary");
      next?.focus({ preventScroll: true });
      if (next?.type === "search") next.setSelectionRange(active.selectionStart, active.selectionEnd);
    };
  }

  function content() {
    if (answer?.git === false) return h("p", { class: "muted" }, answer.detail ?? "The project is not under git.");
    const left = (answer?.not_shown ?? []).map(notShown);
    if (!files.length && !left.length) return h("p", { class: "muted" }, "No changes in the project.");
    let rows = 0;
    sections = files.map((file) => {
      rows += file.rows.length;
      return sectionOf(file, opened.get(file.path) ?? (rows <= OPEN_ROWS && review.isOpen(file.path)));
    });
    const list = files.length > 1 && fileList();
    return [
      toolbar(list),
      h(
        "div",
        { class: "changes-columns" },
        list,
        h(
          "div",
          { class: "changes-files" },
          sections.map((section) => section.el),
          left,
          answer.truncated && h("p", { class: "muted" }, "There are more changes than are shown here."),
        ),
      ),
    ];
  }

  function toolbar(list) {
    const all = tally(files.flatMap((file) => file.rows));
    const toggle =
      list &&
      h(
        "button",
        { type: "button", class: "quiet files-toggle", "aria-expanded": "false" },
        plural(files.length, "file"),
      );
    const toggleList = () => {
      const isOpen = list.classList.toggle("open");
      toggle.setAttribute("aria-expanded", String(isOpen));
      if (isOpen) list.querySelector("input").focus();
    };
    if (toggle) toggle.addEventListener("click", toggleList);
    const wrapper = h(
      "button",
      {
        type: "button",
        class: "quiet wrap-toggle",
        "aria-pressed": String(wrap),
        title: "Break long lines",
        hidden: isSplit(),
        on: {
          click: () => {
            wrap = !wrap;
            memory.set("diff-wrap", wrap);
            redraw();
            el.querySelector(".wrap-toggle").focus();
          },
        },
      },
      "Wrap",
    );
    return h(
      "div",
      { class: "changes-bar" },
      toggle || h("span", null, plural(files.length, "file")),
      list && h("span", { class: "files-count" }, plural(files.length, "file")),
      counts(all.added, all.removed),
      h("span", { class: "grow" }),
      wrapper,
      h(
        "div",
        { class: "segments", role: "group", "aria-label": "View of the changes" },
        segment("unified"),
        segment("split"),
      ),
      copyButton(() => answer.diff, "Copy the diff"),
    );
  }

  function segment(name) {
    const chosen = (name === "split") === isSplit();
    const choose = () => {
      mode = name;
      memory.set("diff-view", name);
      redraw();
      el.querySelector(`.segment-${name}`).focus();
    };
    const label = name === "split" ? "Side by side" : "Unified";
    return h(
      "button",
      { type: "button", class: `quiet segment-${name}`, "aria-pressed": String(chosen), on: { click: choose } },
      label,
    );
  }

  function fileList() {
    const field = h("input", {
      type: "search",
      placeholder: "Filter files",
      "aria-label": "Filter files",
      autocomplete: "off",
      spellcheck: "false",
    });
    field.value = filter;
    field.addEventListener("input", () => {
      filter = field.value;
      narrow();
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !field.value) return;
      event.preventDefault();
      event.stopPropagation();
      field.value = filter = "";
      narrow();
    });
    return h(
      "nav",
      { class: "file-list", "aria-label": "Changed files" },
      field,
      h(
        "ul",
        null,
        sections.map(({ entry }) => entry),
      ),
      h("p", { class: "muted none", hidden: true }, "No file fits."),
    );
  }

  function sectionOf(file, isOpen) {
    const details = h("details", { class: "file" }, h("summary", null, fileName(file), countsOf(file.rows)));
    const open = () => {
      if (details.childElementCount > 1) return;
      details.append(bodyOf(file));
      review.drawn();
    };
    details.addEventListener("toggle", () => {
      opened.set(file.path, details.open);
      if (details.open) open();
    });
    if (isOpen) {
      open();
      details.open = true;
    }
    const go = () => {
      details.open = true;
      el.querySelector(".file-list")?.classList.remove("open");
      el.querySelector(".files-toggle")?.setAttribute("aria-expanded", "false");
      details.querySelector("summary").focus({ preventScroll: true });
      details.scrollIntoView({ block: "start" });
    };
    const said = badges(file).join(", ");
    const entry = h(
      "li",
      null,
      h(
        "button",
        { type: "button", class: "quiet", title: plain(file.path), on: { click: go } },
        h("span", { class: `mark mark-${file.status}`, "aria-hidden": "true" }, MARKS[file.status] ?? "M"),
        h("span", { class: "path" }, baseName(plain(file.path)), folderOf(plain(file.path))),
        said && h("span", { class: "visually-hidden" }, said),
        countsOf(file.rows),
      ),
    );
    // A link within a summary would be one control in another.
    const place = h("div", { class: "file-place" }, details, review.file(file), openFile(file));
    return { el: place, details, entry, file, path: file.path.toLowerCase() };
  }

  function openFile(file) {
    const url = file.status !== "deleted" && fileUrl(file.path);
    if (!url) return null;
    const link = h(
      "a",
      {
        class: "icon-button open-file",
        href: url,
        target: "_blank",
        rel: "noopener",
        title: "Open or save the file",
      },
      "↗",
    );
    link.setAttribute("aria-label", `Open or save ${plain(file.path)}`);
    return link;
  }

  function bodyOf(file) {
    const url = file.binary && file.status !== "deleted" && PICTURE.test(file.path) && fileUrl(file.path);
    if (url) return h("div", { class: "file-picture" }, inlinePicture({ src: url, alt: plain(file.path) }));
    const { gutter, hunk, drawn } = review;
    const folded = file.rows.length > OPEN_ROWS;
    return diffRows(file, { folded, split: isSplit(), wrap, both: true, gutter, hunk, drawn });
  }

  // Only files whose path has all the words of the filter are shown, in the list and below.
  function narrow() {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const section of sections) {
      const fits = words.every((word) => section.path.includes(word));
      section.el.hidden = !fits;
      section.entry.hidden = !fits;
      if (fits) count += 1;
    }
    const none = el.querySelector(".file-list .none");
    if (none) none.hidden = count > 0;
  }

  return {
    el,
    show,
    files: () => files,
    /** The element of a file, which comments on it are part of. */
    placeOf,
    setOpen: (path, isOpen) => {
      opened.set(path, isOpen);
      const section = at(path);
      if (section) section.details.open = isOpen;
    },
  };
}

function folderOf(path) {
  const cut = path.lastIndexOf("/");
  return cut > 0 && h("span", { class: "folder" }, path.slice(0, cut));
}

function notShown(file) {
  return h(
    "p",
    { class: "muted" },
    h("span", { class: "path" }, plain(file.path)),
    file.size ? ` ${(file.size / 1048576).toFixed(1)} MiB` : "",
    ` is not shown: ${file.reason}`,
  );
}

/** A handle at the edge of a panel that changes its width: by dragging, by the arrow keys, back by a double click. */
export function widthHandle(panel) {
  const STEP = 24;
  const limits = () => [320, Math.max(320, Math.min(1600, window.innerWidth - 520))];
  const handle = h("div", {
    class: "panel-handle",
    role: "separator",
    tabindex: "0",
    "aria-orientation": "vertical",
    "aria-label": "Width of the panel",
    title: "Drag, or arrow keys; double click: as it was",
  });
  let width = memory.get("panel-width", 0);

  function set(next, keep = true) {
    const [least, most] = limits();
    width = next ? Math.round(Math.min(most, Math.max(least, next))) : 0;
    if (width) panel.style.setProperty("--panel-width", `${width}px`);
    else panel.style.removeProperty("--panel-width");
    handle.setAttribute("aria-valuemin", String(least));
    handle.setAttribute("aria-valuemax", String(most));
    handle.setAttribute("aria-valuenow", String(Math.round(panel.getBoundingClientRect().width) || width || 440));
    if (keep) memory.set("panel-width", width || null);
  }

  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    const edge = panel.getBoundingClientRect().right;
    const drag = (move) => set(edge - move.clientX, false);
    handle.addEventListener("pointermove", drag);
    handle.addEventListener(
      "lostpointercapture",
      () => {
        handle.removeEventListener("pointermove", drag);
        set(width);
      },
      { once: true },
    );
  });
  handle.addEventListener("dblclick", () => set(0));
  handle.addEventListener("keydown", (event) => {
    const now = panel.getBoundingClientRect().width;
    const [least, most] = limits();
    const next = { ArrowLeft: now + STEP, ArrowRight: now - STEP, Home: most, End: least }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    set(next);
  });
  set(width, false);
  return { el: handle, update: () => set(width, false) };
}
