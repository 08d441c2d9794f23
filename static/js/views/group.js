// Calls of one kind in a row, folded into one card: "Read 5 files".

import { arrange, fill, h, icon } from "../lib/dom.js";
import { headline, took, toolIcon, toolView } from "./tools.js";
import { baseName, duration, plain, plural } from "../lib/text.js";

// Names of calls that the head of a card repeats.
const NAMES_MAX = 4;
// A card whose calls took less says nothing of their time.
const TIME_SHOWN_MS = 1_000;

/** A summary of calls of one kind, in a few words. */
export function summary(tool, items) {
  const paths = new Set(items.map((it) => pathOf(it)).filter(Boolean));
  switch (tool) {
    case "read":
      return paths.size > 1 ? `Read ${plural(paths.size, "file")}` : `Read ${plural(items.length, "time")}`;
    case "search":
      return `Searched ${plural(items.length, "time")}`;
    case "fetch":
      return `Fetched ${plural(items.length, "page")}`;
    default:
      return `Ran ${plural(items.length, "command")}`;
  }
}

/** @param {{ input?: any, locations?: any[] }} it */
const pathOf = ({ input = {}, locations }) => input.file_path ?? input.path ?? locations?.[0]?.path;

function names(tool, items, cwd) {
  const all = items.map((it) => (tool === "read" ? plain(baseName(pathOf(it))) : headline(it, cwd).object));
  const different = [...new Set(all.filter(Boolean))];
  const shown = different.slice(0, NAMES_MAX).map((name) => name.slice(0, 60));
  return shown.join(", ") + (different.length > NAMES_MAX ? ", …" : "");
}

/** The view of a group of calls. */
export function groupView(article, it, context) {
  const mark = h("span", { class: "tool-mark" }, toolIcon(it.tool));
  const line = h("span", { class: "tool-line" });
  const note = h("span", { class: "tool-note" });
  const body = h("div", { class: "details-body calls" });
  const details = h("details", { class: "tool group" }, h("summary", null, mark, line, note), body);
  const views = new Map();
  let now = it;
  article.append(details);
  function draw() {
    if (!details.open) return;
    arrange(
      body,
      now.items.map((call) => {
        let view = views.get(call.key);
        if (!view) {
          const el = h("article", { tabindex: "-1" });
          view = { el, show: toolView(el, call, context), rev: -1 };
          views.set(call.key, view);
        }
        if (view.rev !== call.rev) view.show(call);
        view.rev = call.rev;
        return view.el;
      }),
    );
  }
  details.addEventListener("toggle", draw);
  return (next) => {
    now = next;
    const word = summary(now.tool, now.items);
    const last = now.items.at(-1);
    const ms = now.items.reduce((sum, call) => sum + (took(call) || 0), 0);
    article.setAttribute("aria-label", word);
    fill(
      line,
      h("strong", null, word),
      " ",
      h("span", { class: "object" }, names(now.tool, now.items, context.cwd())),
    );
    fill(
      note,
      last.result
        ? ms >= TIME_SHOWN_MS && h("span", { class: "took" }, duration(ms))
        : h("span", { class: "state-word" }, h("span", { class: "spinner", "aria-hidden": "true" }), "running"),
      h("span", { class: "chevron", "aria-hidden": "true" }, icon("down")),
    );
    draw();
  };
}
