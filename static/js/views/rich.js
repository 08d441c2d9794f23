// Markdown, code, diffs and long outputs as elements.

import { copyButton, fill, h } from "../lib/dom.js";
import { tally } from "../lib/diff.js";
import { tokens } from "../lib/highlight.js";
import { read, readBefore } from "../lib/markdown.js";
import { bytes, fold, plain, plural, relative, safeUrl } from "../lib/text.js";

// Messages longer than this are shown as plain folded text.
const MARKDOWN_MAX = 200_000;
// Pause between two readings of a text that grows, in milliseconds.
const GROW_MS = 50;
// Rows of a diff shown before it folds, and at all.
const DIFF_ROWS = 40;
const DIFF_ROWS_MAX = 3_000;
// What "show more" adds to a long output at a time, in characters.
const MORE_CHARS = 200_000;
const LINE_MAX = 4_000;
// The address of a link that is told apart from it, perhaps below it.
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

/** A view of Markdown that grows: `show(text)` draws again only what appended text can change, the last two blocks. */
// It is drawn when the server has parsed it; text after that is shown at once, unparsed, at the end of the last block.
export function markdownView() {
  const el = h("div", { class: "markdown", dir: "auto" });
  let source = "";
  let settled = 0;
  // Characters of the source that the blocks cover, and the text after them.
  let drawn = 0;
  const unread = document.createTextNode("");
  let tail = [];
  let reading = false;
  // The level of the last heading, up to the settled part: headings go down one step at a time.
  let level = 1;
  let whole = "";

  function show(raw, ended = false) {
    const text = plain(raw);
    if (text !== source) grow(text);
    // What was settled before a link's address came is read again with it.
    if (!ended || settled <= 0 || whole === text || !DEFINITION.test(text)) return;
    whole = text;
    read(text).then((blocks) => {
      if (source !== text) return;
      clear();
      draw(blocks, text.length);
    });
  }

  function grow(text) {
    if (text.length > MARKDOWN_MAX) settled = -1;
    else if (settled < 0 || !text.startsWith(source.slice(0, settled))) clear();
    // Text that was taken back (a line overwritten by a carriage return) is shown when it has been parsed again.
    if (!text.startsWith(source.slice(0, drawn))) drawn = text.length;
    source = text;
    if (settled < 0) fill(el, longText(text));
    else {
      next();
      showUnread();
    }
  }

  function showUnread() {
    unread.data = source.slice(drawn);
    const last = tail.at(-1);
    const place = last?.tagName === "P" ? last : (last?.querySelector?.("pre code") ?? el);
    if (!unread.data) unread.remove();
    else if (place.lastChild !== unread) place.append(unread);
  }

  function clear() {
    el.replaceChildren();
    settled = 0;
    drawn = 0;
    level = 1;
    tail = [];
  }

  function next() {
    if (reading) return;
    const part = source.slice(settled);
    const blocks = readBefore(part);
    if (blocks) {
      draw(blocks, source.length);
      return;
    }
    if (!el.firstChild) {
      tail = [h("p", { dir: "auto" })];
      el.append(...tail);
    }
    reading = true;
    const from = settled;
    read(part).then((found) => {
      const stands = from === settled && source.slice(from).startsWith(part);
      if (stands) draw(found, from + part.length);
      const more = () => {
        reading = false;
        if (settled >= 0 && !(stands && source.length === from + part.length)) next();
      };
      if (stands) setTimeout(more, GROW_MS);
      else more();
    });
  }

  function draw(blocks, end) {
    for (const node of tail) node.remove();
    const keep = Math.max(0, blocks.length - 2);
    let above = level;
    const nodes = blocks.map((node, at) => {
      if (node.t !== "heading") return block(node);
      const step = Math.min(node.level + 1, above + 1, 6);
      above = step;
      if (at < keep) level = step;
      return h(`h${step}`, { class: `level-${node.level}`, dir: "auto" }, spans(node.c));
    });
    el.append(...nodes);
    tail = nodes.slice(keep);
    settled += blocks[keep]?.at ?? 0;
    drawn = end;
    showUnread();
  }

  return { el, show };
}

/** Markdown that does not grow. */
export function markdown(text) {
  const view = markdownView();
  view.show(text);
  return view.el;
}

function block(node) {
  switch (node.t) {
    case "heading":
      // Within quotes and lists a heading is no part of the outline.
      return h("p", { class: `level-${node.level}`, dir: "auto" }, h("strong", null, spans(node.c)));
    case "code":
      return codeBlock(node.text, node.language);
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
    h("span", { class: "task-mark", role: "img", "aria-label": done ? "done" : "to do" }, done ? "☑" : "☐"),
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

const TAGS = { em: "em", strong: "strong", strike: "s" };

function spans(nodes) {
  return nodes.map((node) => {
    switch (node.t) {
      case "text":
        return node.v;
      case "code":
        return h("code", null, node.v);
      case "break":
        return h("br");
      case "link":
        // The server says only such addresses; it is looked at again where it counts.
        return h(
          "a",
          { href: safeUrl(node.href), rel: "noopener noreferrer nofollow", target: "_blank", title: node.href },
          node.image ? "🖼 " : null,
          spans(node.c),
        );
      case "span":
        return h("span", { class: "dead-link", title: node.title }, spans(node.c));
      default:
        return h(TAGS[node.t], null, spans(node.c));
    }
  });
}

/** Code with its language, colours and a copy button. */
export function codeBlock(text, language, label = "Copy code") {
  return h(
    "div",
    { class: "code-block", dir: "ltr" },
    h(
      "div",
      { class: "code-head" },
      h("span", null, language || "text"),
      copyButton(() => text, label),
    ),
    h(
      "pre",
      { tabindex: "0", role: "group", "aria-label": `Code${language ? `, ${language}` : ""}` },
      h("code", null, coloured(text, language)),
    ),
  );
}

/** Code as coloured pieces. */
export function coloured(text, language) {
  return tokens(text, language).map(([kind, piece]) => (kind ? h("span", { class: `t-${kind}` }, piece) : piece));
}

/** Output that folds: its beginning (or end), and a button for the rest. */
export function longText(raw, { lines = 14, tail = false, language = "", label = "Output" } = {}) {
  const text = plain(raw);
  const part = fold(text, { lines, tail, chars: 6000 });
  const pre = h("pre", { class: "output", dir: "ltr", tabindex: "0", role: "group", "aria-label": label });
  pre.append(...pieces(part.text, language));
  const el = h("div", { class: "long-text" }, pre);
  if (!part.cut) return el;
  let shown = 0;
  const more = h("button", { type: "button", class: "fold" });
  const word = () => {
    const size = `${plural(part.lines, "line")}, ${bytes(text.length)}`;
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
      pre.replaceChildren(...pieces(part.text, language));
    } else {
      const next = Math.min(text.length, shown + MORE_CHARS);
      if (shown === 0) pre.replaceChildren();
      pre.append(...pieces(text.slice(shown, next), text.length < MORE_CHARS ? language : ""));
      pre.classList.add("open");
      shown = next;
    }
    word();
  });
  word();
  if (tail) el.prepend(more);
  else el.append(more);
  return el;
}

function pieces(text, language) {
  return language ? coloured(text, language) : [text];
}

/** A diff: `files` are `[{path, rows}]` as `diff.js` makes them. */
export function diffView(files, { folded = true, heads = files.length > 1, cwd = "" } = {}) {
  return h(
    "div",
    { class: "diffs", dir: "ltr" },
    files.map(({ path, rows }) => {
      const { added, removed } = tally(rows);
      const head =
        heads &&
        h(
          "div",
          { class: "diff-head" },
          h("span", { class: "path", title: plain(path) }, plain(relative(path, cwd))),
          counts(added, removed),
        );
      return h("div", { class: "diff" }, head, diffRows(rows, folded));
    }),
  );
}

/** `+3 −1`. */
export function counts(added, removed) {
  return h(
    "span",
    { class: "counts" },
    h("span", { class: "added" }, `+${added}`),
    " ",
    h("span", { class: "removed" }, `−${removed}`),
  );
}

const ROW = { "+": ["added", "+"], "-": ["removed", "−"], " ": ["", " "], "@": ["gap", "⋯"] };

function diffRows(rows, folded) {
  const body = h("div", { class: "diff-rows", tabindex: "0", role: "group", "aria-label": "Changes" });
  const inner = h("div", { class: "diff-inner" });
  body.append(inner);
  const draw = (from, to) => {
    for (const row of rows.slice(from, to)) {
      const [kind, sign] = ROW[row.op];
      inner.append(
        h(
          "div",
          { class: `row ${kind}` },
          h("span", { class: "no", "aria-hidden": "true" }, row.b ?? row.a ?? ""),
          h("span", { class: "sign" }, sign),
          h(
            "span",
            { class: "line" },
            plain(row.text.length > LINE_MAX ? `${row.text.slice(0, LINE_MAX)} …` : row.text),
          ),
        ),
      );
    }
  };
  const first = folded && rows.length > DIFF_ROWS + 8 ? DIFF_ROWS : Math.min(rows.length, DIFF_ROWS_MAX);
  draw(0, first);
  if (first >= rows.length) return body;
  const more = h(
    "button",
    {
      type: "button",
      class: "fold",
      on: {
        click: () => {
          more.remove();
          draw(first, DIFF_ROWS_MAX);
          if (rows.length > DIFF_ROWS_MAX)
            inner.append(
              h("div", { class: "row gap" }, `${plural(rows.length - DIFF_ROWS_MAX, "more line")} not shown`),
            );
        },
      },
    },
    `Show all ${plural(rows.length, "line")}`,
  );
  return h("div", null, body, more);
}
