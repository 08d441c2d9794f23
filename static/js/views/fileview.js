// One file of a project: its text with colours and numbers of lines, a picture, or what it is. Read-only.

import { fill, h, iconButton, style } from "../lib/dom.js";
import { languageOf, linesOf } from "../lib/highlight.js";
import { work } from "../lib/work.js";
import { bytes, plain, plural } from "../lib/text.js";
import { inlinePicture } from "./pictures.js";
import { troubleLine } from "./troubles.js";

// Lines that are drawn at first, and more at a time.
const LINES_AT_ONCE = 2_000;
// Longest line that is shown, in characters.
const LINE_MAX = 4_000;

/** The view of a file; `acts` has `back()` and `mention()`. */
export function fileView(app, id, path, acts) {
  const url = app.api.fileUrl(id, path);
  const name = plain(path);
  const body = h("div", { class: "file-body" });
  const facts = h("span", { class: "muted" });
  const back = iconButton("back", "Back to the files", acts.back);
  const history = () =>
    app.opening("The history", async () => {
      await style("dialogs");
      const { openFileHistory } = await import("./filehistory.js");
      await openFileHistory(app, id, path, load);
    });
  const link = h("a", { class: "button", href: url, target: "_blank", rel: "noopener" }, "Open or save");
  const el = h(
    "section",
    { "aria-label": `File ${name}` },
    h("div", { class: "file-head" }, back, h("h2", { class: "path", tabindex: "-1" }, name), facts),
    h(
      "div",
      { class: "file-acts" },
      h("button", { type: "button", on: { click: acts.mention } }, "Mention in the message"),
      h("button", { type: "button", on: { click: history } }, "History"),
      link,
    ),
    body,
  );
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    acts.back();
  });
  load();

  async function load() {
    fill(body, h("p", { class: "muted", role: "status" }, "Loading…"));
    try {
      show(await work.file(id, path));
    } catch (error) {
      fill(body, troubleLine(`The file could not be loaded: ${error.message}`, load));
    }
  }

  function show({ type, size, text, cut }) {
    facts.textContent = size === null ? "" : bytes(size);
    if (text !== null) fill(body, textView(text, cut));
    else if (type.startsWith("image/")) fill(body, inlinePicture({ src: url, alt: name }));
    else fill(body, h("p", { class: "muted" }, "This file has no text that can be shown. It can be saved."));
  }

  function textView(text, cut) {
    if (!text) return h("p", { class: "muted" }, "The file is empty.");
    const lines = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n").map(shortened);
    const pieces = linesOf(lines, languageOf(path));
    const list = h("div", { class: "code-lines", tabindex: "0", role: "group", "aria-label": `Text of ${name}` });
    const more = h("button", { type: "button", class: "fold" });
    let drawn = 0;
    const draw = () => {
      const next = Math.min(lines.length, drawn + LINES_AT_ONCE);
      for (; drawn < next; drawn += 1) list.append(lineOf(pieces[drawn] ?? [], drawn + 1));
      more.hidden = drawn >= lines.length;
      more.textContent = `Show more of ${plural(lines.length, "line")}`;
    };
    more.addEventListener("click", draw);
    draw();
    return [
      list,
      more,
      cut && h("p", { class: "muted" }, "The file is longer than is shown here; it can be opened or saved whole."),
    ];
  }

  return { el, focus: () => el.querySelector("h2").focus({ preventScroll: true }) };
}

const shortened = (line) => plain(line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)} …` : line);

function lineOf(pieces, number) {
  return h(
    "div",
    { class: "row" },
    h("span", { class: "no", "aria-hidden": "true" }, number),
    h(
      "span",
      { class: "line" },
      pieces.map(([kind, text]) => (kind ? h("span", { class: `t-${kind}` }, text) : text)),
    ),
  );
}
