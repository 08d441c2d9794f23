// Markdown, code and long outputs as elements; diffs have a file of their own.

import { coloured } from "../lib/colours.js";
import { formula } from "./formula.js";
import { copyButton, fill, h, icon } from "../lib/dom.js";
import { bytes, fold, plain, plural, safeUrl } from "../lib/text.js";

// Characters that "show more" adds to a long output at a time.
const MORE_CHARS = 200_000;

// Makes an element of a picture at an address that is none of the web, while a view draws; or null.
/** @type {((address: string, alt: string) => HTMLElement | null) | null} */
let pictureAt = null;

/**
 * A view of Markdown that may grow. `picture(address, alt)` makes those of the project. `show(text, blocks, read)`
 * draws the server's blocks, of which only those that are others than before are touched, and as it is the text after
 * the first `read` characters, which are in the blocks.
 */
export function markdownView(picture = null) {
  const el = h("div", { class: "markdown", dir: "auto" });
  const unread = document.createTextNode("");
  // The place of the unread text if the last block has none for it.
  const rest = h("p", { dir: "auto" });
  /** @type {{ node: any, level: number, el: any, patch: (node: any) => boolean }[]} */
  const drawn = [];

  function show(text, blocks, read = text.length) {
    const outer = pictureAt;
    pictureAt = picture;
    if (blocks || !text) draw(blocks ?? []);
    pictureAt = outer;
    showUnread(plain(text.slice(blocks ? read : 0)));
  }

  function draw(blocks) {
    unread.remove();
    rest.remove();
    // Headings go down one step at a time.
    let above = 1;
    blocks.forEach((node, at) => {
      const level = node.t === "heading" ? Math.min(node.level + 1, above + 1, 6) : 0;
      above = level || above;
      drawAt(at, node, level);
    });
    for (const { el } of drawn.splice(blocks.length)) el.remove();
  }

  function drawAt(at, node, level) {
    const old = drawn[at];
    if (old?.level === level && (isSame(old.node, node) || (old.node.t === node.t && old.patch(node)))) {
      old.node = node;
      return;
    }
    const view = { node, level, ...blockView(node, level) };
    if (old) old.el.replaceWith(view.el);
    else el.append(view.el);
    drawn[at] = view;
  }

  function showUnread(text) {
    unread.data = text;
    const last = drawn.at(-1)?.el;
    const place = last?.matches("p") ? last : (last?.querySelector(":scope > pre code") ?? rest);
    if (!text || place !== rest) rest.remove();
    else if (el.lastChild !== rest) el.append(rest);
    if (!text) unread.remove();
    else if (place.lastChild !== unread) place.append(unread);
  }

  return { el, show };
}

const isSame = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** The element of a block at the top, and `patch(node)`, which makes it that of a block of its kind if it can. */
function blockView(node, level) {
  if (node.t === "code") {
    const view = codeView(plain(node.text), node.language, "Copy code");
    return { el: view.el, patch: (next) => next.language === node.language && view.update(plain(next.text)) };
  }
  if (node.t === "list") return listView(node);
  const el = level ? h(`h${level}`, { class: `level-${node.level}`, dir: "auto" }, spans(node.c)) : block(node);
  const patch = (next) => node.t === "paragraph" && Boolean(fill(el, spans(next.c)));
  return { el, patch };
}

// A list grows by items: those that are as they were stay.
function listView(first) {
  const el = block(first);
  let shown = first;
  const patch = (next) => {
    if (["ordered", "start", "loose"].some((name) => next[name] !== shown[name])) return false;
    const same = next.items.findIndex((it, at) => !isSame(it, shown.items[at]));
    const keep = same < 0 ? next.items.length : same;
    while (el.children.length > keep) el.lastElementChild.remove();
    el.append(...next.items.slice(keep).map((it) => listItem(it, next.loose)));
    shown = next;
    return true;
  };
  return { el, patch };
}

function block(node) {
  switch (node.t) {
    case "heading":
      // A heading within quotes and lists is not part of the outline.
      return h("p", { class: `level-${node.level}`, dir: "auto" }, h("strong", null, spans(node.c)));
    case "code":
      return codeBlock(plain(node.text), node.language);
    case "rule":
      return h("hr");
    case "quote":
      return h("blockquote", null, node.blocks.map(block));
    case "list":
      return h(
        node.ordered ? "ol" : "ul",
        { start: node.ordered && node.start !== 1 ? node.start : null, dir: "auto" },
        node.items.map((it) => listItem(it, node.loose)),
      );
    case "table":
      return tableOf(node);
    default:
      return h("p", { dir: "auto" }, spans(node.c));
  }
}

function listItem({ blocks, done }, loose) {
  const parts = blocks.map((node) =>
    node.t === "paragraph" && !loose ? h("span", { dir: "auto" }, spans(node.c)) : block(node),
  );
  if (done === null) return h("li", null, parts);
  return h(
    "li",
    { class: "task" },
    h(
      "span",
      { class: "task-mark", role: "img", "aria-label": done ? "done" : "to do" },
      icon(done ? "done" : "todo"),
    ),
    parts,
  );
}

function tableOf({ head, align, rows }) {
  const cell = (tag) => (inside, at) => h(tag, { class: `align-${align[at]}`, dir: "auto" }, spans(inside));
  return h(
    "div",
    { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "Table" },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, head.map(cell("th")))),
      h(
        "tbody",
        null,
        rows.map((row) => h("tr", null, row.map(cell("td")))),
      ),
    ),
  );
}

const wordsOf = (nodes) => nodes.map((node) => node.v ?? wordsOf(node.c ?? [])).join("");

const TAGS = { em: "em", strong: "strong", strike: "s" };

function spans(nodes) {
  return nodes.map((node) => {
    switch (node.t) {
      case "text":
        return plain(node.v);
      case "code":
        return h("code", null, plain(node.v));
      case "math":
        return formula(node);
      case "break":
        return h("br");
      case "link":
        // The server says only such addresses; it is looked at again where it counts.
        return h(
          "a",
          { href: safeUrl(node.href), rel: "noopener noreferrer nofollow", target: "_blank", title: node.href },
          node.image ? [icon("image"), " "] : null,
          spans(node.c),
        );
      case "span":
        return (
          (node.image && pictureAt?.(node.title, plain(wordsOf(node.c)))) ||
          h("span", { class: "dead-link", title: node.title }, spans(node.c))
        );
      default:
        return h(TAGS[node.t], null, spans(node.c));
    }
  });
}

/** Code with its language, colours and a copy button. */
export const codeBlock = (text, language, label = "Copy code") => codeView(text, language, label).el;

function codeView(text, language, label) {
  let shown = text;
  const code = h("code", null, coloured(text, language));
  const el = h(
    "div",
    { class: "code-block", dir: "ltr" },
    h(
      "div",
      { class: "code-head" },
      h("span", null, plain(language) || "text"),
      copyButton(() => shown, label),
    ),
    h("pre", { tabindex: "0", role: "group", "aria-label": `Code${language ? `, ${plain(language)}` : ""}` }, code),
  );
  const update = (next) => {
    shown = next;
    fill(code, coloured(next, language));
    return true;
  };
  return { el, update };
}

/**
 * Output that folds: its beginning (or end), and a button for the rest. With `whole` it is the beginning of
 * `whole.bytes` bytes, which `whole.load()` promises: that is said at its head.
 * @param {any} raw
 * @param {any} [options]
 */
export function longText(raw, { whole = null, ...options } = {}) {
  const el = foldedText(raw, options);
  if (!whole) return el;
  const size = new TextEncoder().encode(raw).length;
  const problem = h("span", { class: "field-error", role: "alert" });
  const load = h("button", { type: "button", class: "fold" }, "Load all");
  const head = h(
    "div",
    { class: "cut-head" },
    h("span", null, `The first ${bytes(size)} of ${bytes(whole.bytes)}`),
    load,
    problem,
  );
  load.addEventListener("click", async () => {
    load.disabled = true;
    problem.textContent = "";
    try {
      const all = foldedText(await whole.load(), options);
      el.replaceWith(all);
      all.querySelector("pre").focus({ preventScroll: true });
      /** @type {HTMLElement | null} */
      const more = all.querySelector(".fold");
      more?.click();
    } catch (error) {
      problem.textContent = error.message;
      load.textContent = "Try again";
      load.disabled = false;
    }
  });
  el.prepend(head);
  return el;
}

function foldedText(raw, { lines = 14, tail = false, language = "", label = "Output" }) {
  const text = plain(raw);
  const part = fold(text, { lines, tail, chars: 6000 });
  const pre = h("pre", { class: "output", dir: "ltr", tabindex: "0", role: "group", "aria-label": label });
  pre.append(...coloured(part.text, language));
  const el = h("div", { class: "long-text" }, pre);
  if (!part.cut) return el;
  // A line may take many rows.
  pre.style.setProperty("--lines", String(lines));
  pre.classList.add("folded");
  let shown = 0;
  const more = h("button", { type: "button", class: "fold" });
  const word = () => {
    const size = `${part.lines > 1 ? `${plural(part.lines, "line")}, ` : ""}${bytes(text.length)}`;
    more.textContent =
      shown === 0
        ? `Show all ${size}`
        : shown < text.length
          ? `Show more (${bytes(shown)} of ${bytes(text.length)})`
          : "Show less";
  };
  more.addEventListener("click", () => {
    if (shown >= text.length) {
      shown = 0;
      pre.classList.remove("open");
      pre.classList.add("folded");
      pre.replaceChildren(...coloured(part.text, language));
    } else {
      const next = Math.min(text.length, shown + MORE_CHARS);
      if (shown === 0) pre.replaceChildren();
      pre.append(...coloured(text.slice(shown, next), text.length < MORE_CHARS ? language : ""));
      pre.classList.add("open");
      pre.classList.remove("folded");
      shown = next;
    }
    word();
  });
  word();
  if (tail) el.prepend(more);
  else el.append(more);
  return el;
}
