// Diffs as elements: one below the other or side by side, with the colours of their language and changed words marked.
// `gutter(cell, {path, side, line})` may put something into the first cell of a line, such as a button for a comment,
// and `hunk(el, {path, row})` into the line between two parts. `drawn()` is called when more lines are there.

import { h } from "../lib/dom.js";
import { tally } from "../lib/diff.js";
import { languageOf, linesOf } from "../lib/highlight.js";
import { plain, plural, relative } from "../lib/text.js";
import { marked, marksOf, sideBySide } from "../lib/words.js";

// Rows of a diff shown before it folds, and at all.
const DIFF_ROWS = 40;
const DIFF_ROWS_MAX = 3_000;
const LINE_MAX = 4_000;
const BADGES = { new: "new", deleted: "deleted", renamed: "renamed", copied: "copied" };
const ROW = { "+": ["added", "+"], "-": ["removed", "−"], " ": ["", " "] };

/** A diff: `files` are `[{path, rows}]` as `diff.js` makes them. */
export function diffView(files, options = {}) {
  const { heads = files.length > 1, cwd = "" } = options;
  return h(
    "div",
    { class: "diffs", dir: "ltr" },
    files.map((file) =>
      h(
        "div",
        { class: "diff" },
        heads && h("div", { class: "diff-head" }, fileName(file, cwd), countsOf(file.rows)),
        diffRows(file, options),
      ),
    ),
  );
}

/** A file's path with what happened to it. */
export function fileName(file, cwd = "") {
  const path = plain(relative(file.path, cwd));
  const cut = path.lastIndexOf("/") + 1;
  return h(
    "span",
    { class: "file-name", title: plain(file.from ? `${file.from} → ${file.path}` : file.path) },
    h("span", { class: "path" }, cut > 0 && h("span", { class: "folder" }, path.slice(0, cut)), path.slice(cut)),
    badges(file).map((word) => h("span", { class: `tag tag-${word.replace(/\W+/g, "-")}` }, word)),
    file.status === "renamed" && h("span", { class: "muted from" }, `from ${plain(file.from)}`),
  );
}

/** The change of a file besides its lines, in words. */
export const badges = (file) => [BADGES[file.status], file.binary && "binary", file.mode].filter(Boolean);

export function countsOf(rows) {
  const { added, removed } = tally(rows);
  return added + removed > 0 && counts(added, removed);
}

/** `+3 −1`; only what there is. */
export function counts(added, removed) {
  return h(
    "span",
    { class: "counts" },
    (added > 0 || !removed) && h("span", { class: "added" }, `+${added}`),
    added > 0 && removed > 0 && " ",
    removed > 0 && h("span", { class: "removed" }, `−${removed}`),
  );
}

/** The lines of one file's diff. */
export function diffRows(file, options = {}) {
  const { folded = true, wrap = false, both = false, gutter = null, hunk = null } = options;
  const { path } = file;
  // All lines of a file are not a part of it.
  const isWhole = file.status === "new" || file.status === "deleted";
  const split = options.split && !isWhole;
  const rows = isWhole && file.rows[0]?.op === "@" ? file.rows.slice(1) : file.rows;
  if (!rows.length) return h("p", { class: "diff-empty muted" }, wordsFor(file));
  const body = h("div", { class: "diff-inner" });
  const box = h(
    "div",
    {
      class: `diff-rows${split ? " split" : ""}${wrap || split ? " wrap" : ""}${both && !split ? " both" : ""}`,
      tabindex: wrap || split ? null : "0",
      role: "group",
      "aria-label": `Changes${path ? ` of ${plain(path)}` : ""}`,
    },
    body,
  );
  const paint = painter(rows, languageOf(path));
  const lines = split ? sideBySide(rows) : rows;
  const extras = { path, gutter, hunk };
  const rowOf = split ? ({ old, now }) => pairRow(old, now, paint, extras) : (row) => lineRow(row, paint, extras);
  const draw = (from, to) => body.append(...lines.slice(from, to).map(rowOf));
  const first = folded && lines.length > DIFF_ROWS + 8 ? DIFF_ROWS : Math.min(lines.length, DIFF_ROWS_MAX);
  draw(0, first);
  if (first >= lines.length) return box;
  const more = h("button", { type: "button", class: "fold" }, `Show all ${plural(lines.length, "line")}`);
  more.addEventListener("click", () => {
    more.remove();
    draw(first, DIFF_ROWS_MAX);
    options.drawn?.();
    const left = lines.length - DIFF_ROWS_MAX;
    if (left > 0) body.append(h("div", { class: "row hunk" }, `${plural(left, "more line")} not shown`));
    box.focus();
  });
  return h("div", null, box, more);
}

function wordsFor(file) {
  if (file.binary) return "A binary file: its content is not compared.";
  if (file.status === "renamed" || file.status === "copied") return "Its content is the same.";
  if (file.mode) return "Only its mode has changed.";
  return file.status === "new" || file.status === "deleted" ? "The file is empty." : "No line has changed.";
}

/** Makes the text of a row: read at once for what is before and after a change, so that colours span lines. */
function painter(rows, language) {
  const text = new Map(rows.map((row) => [row, shown(row.text)]));
  const marks = marksOf(rows.filter((row) => row.op !== "@").map((row) => keyed(row, text.get(row))));
  const pieces = new Map();
  for (let at = 0; at < rows.length;) {
    const part = [];
    while (at < rows.length && rows[at].op !== "@" && !(part.length && rows[at].apart)) part.push(rows[at++]);
    if (at < rows.length && rows[at].op === "@") at += 1;
    for (const other of ["-", "+"]) {
      const side = part.filter((row) => row.op !== other);
      linesOf(
        side.map((row) => text.get(row)),
        language,
      ).forEach((line, n) => side[n] && pieces.set(side[n], line));
    }
  }
  const marksAt = new Map([...marks].map(([{ row }, found]) => [row, found]));
  return (row) =>
    marked(pieces.get(row) ?? [["", text.get(row)]], marksAt.get(row)).map(([kind, piece, isMarked]) =>
      kind || isMarked
        ? h("span", { class: `${kind ? `t-${kind}` : ""}${isMarked ? " word" : ""}`.trim() }, piece)
        : piece,
    );
}

const keyed = (row, text) => ({ row, op: row.op, text });
const shown = (text) => plain(text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)} …` : text);

function lineRow(row, paint, extras) {
  if (row.op === "@") return hunkRow(row, extras);
  const [kind, sign] = ROW[row.op];
  const side = row.op === "-" ? "old" : "new";
  return h(
    "div",
    { class: `row ${kind}${row.apart ? " apart" : ""}` },
    gutterCell(extras, side, row),
    h("span", { class: "no old", "aria-hidden": "true" }, row.a ?? ""),
    h("span", { class: "no", "aria-hidden": "true" }, row.b ?? row.a ?? ""),
    h("span", { class: "sign" }, sign),
    h("span", { class: "line" }, paint(row)),
  );
}

function pairRow(old, now, paint, extras) {
  if (old?.op === "@") return hunkRow(old, extras);
  const half = (row, side) => {
    if (!row) return h("div", { class: `half none ${side}` });
    const [kind, sign] = ROW[row.op];
    return h(
      "div",
      { class: `half ${kind} ${side}` },
      gutterCell(extras, side, row),
      h("span", { class: "no", "aria-hidden": "true" }, (side === "old" ? row.a : row.b) ?? ""),
      h("span", { class: "sign" }, sign),
      h("span", { class: "line" }, paint(row)),
    );
  };
  const apart = (old ?? now).apart ? " apart" : "";
  return h("div", { class: `row pair${apart}` }, half(old, "old"), half(now, "new"));
}

function gutterCell({ gutter, path }, side, row) {
  const line = side === "old" ? row.a : row.b;
  if (!gutter || line === null) return null;
  const cell = h("span", { class: "gutter", data: { side, line } });
  gutter(cell, { path, side, line });
  return cell;
}

// The place of the lines that follow: "lines 10–20 · fn main()".
function hunkRow(row, { path, hunk }) {
  const { from, end, section, text } = row;
  const last = end - 1;
  const place = from ? (last > from ? `lines ${from}–${last}` : `line ${from}`) : "";
  const left = /^(\d+) unchanged$/.exec(text);
  const skipped = left && !from ? `${plural(Number(left[1]), "unchanged line")}` : "";
  const el = h(
    "div",
    { class: "row hunk" },
    h("span", null, place || skipped || "…"),
    section && h("span", { class: "section" }, ` · ${shown(section)}`),
  );
  hunk?.(el, { path, row });
  return el;
}
