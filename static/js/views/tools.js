// Tool calls as compact cards: one line that says what was done, and what came out of it.

import { fill, h, icon } from "../lib/dom.js";
import { ofInput, ofResult, tally } from "../lib/diff.js";
import { languageOf } from "../lib/highlight.js";
import { counts, diffView, longText, markdownView } from "./rich.js";
import { lineCount, plain, plural, readable, relative } from "../lib/text.js";

const ICONS = {
  read: "file",
  edit: "edit",
  execute: "terminal",
  search: "search",
  fetch: "fetch",
  think: "think",
  other: "tool",
};
// Output shown without being asked for, in lines.
const OUTPUT_LINES = 8;

/** What a call does, in one line: a verb and its object. */
export function headline(it, cwd = "") {
  const input = it.input ?? {};
  const path = input.file_path ?? input.path ?? input.filePath ?? input.notebook_path ?? it.locations?.[0]?.path;
  const near = (value) => plain(relative(String(value), cwd));
  switch (it.tool) {
    case "execute": {
      const command = Array.isArray(input.command) ? input.command.join(" ") : (input.command ?? input.cmd);
      return {
        verb: it.name || "Run",
        object: plain(command ?? readable(it.text)).split("\n")[0],
        code: true,
        note: input.description,
      };
    }
    case "read":
      return {
        verb: it.name || "Read",
        object: path ? near(path) : plain(it.text),
        note: input.offset ? `from line ${input.offset}` : "",
      };
    case "edit":
      return { verb: it.name || "Edit", object: path ? near(path) : plain(it.text) };
    case "search":
      return {
        verb: it.name || "Search",
        object: plain(input.pattern ?? input.query ?? it.text),
        code: true,
        note: path ? `in ${near(path)}` : input.glob,
      };
    case "fetch":
      return { verb: it.name || "Fetch", object: plain(input.url ?? input.query ?? it.text) };
    default:
      return {
        verb: it.name || "Tool",
        object: plain(input.description ?? input.title ?? input.prompt ?? (path ? near(path) : "") ?? "").split(
          "\n",
        )[0],
      };
  }
}

/** The view of a tool call with its result. */
export function toolView(article, it, context) {
  const mark = h("span", { class: "tool-mark" });
  const line = h("span", { class: "tool-line" });
  const note = h("span", { class: "tool-note" });
  const body = h("div", { class: "details-body" });
  const details = h("details", { class: "tool" }, h("summary", null, mark, line, note), body);
  const preview = h("div", { class: "tool-preview" });
  article.append(details, preview);
  let now = it;
  let drawn = -1;
  const draw = () => {
    preview.hidden = details.open;
    if (details.open && drawn !== now.rev) {
      drawn = now.rev;
      fill(body, full(now, context));
    }
  };
  details.addEventListener("toggle", draw);
  return (next) => {
    now = next;
    const { verb, object, code, note: more } = headline(now, context.cwd());
    const state = now.result
      ? now.result.isError
        ? "failed"
        : "done"
      : now.waiting
        ? "waiting"
        : now.ended
          ? "ended"
          : "running";
    article.className = `item item-tool tool-${now.tool} is-${state}${now.depth ? " deep" : ""}`;
    article.setAttribute("aria-label", `${verb} ${object}`.slice(0, 120));
    fill(mark, icon(ICONS[now.tool] ?? "tool"));
    fill(
      line,
      h("strong", null, plain(verb)),
      " ",
      h(code ? "code" : "span", { class: "object", dir: "ltr", title: object.slice(0, 1000) }, object.slice(0, 400)),
    );
    fill(note, more && h("span", { class: "muted" }, plain(more).slice(0, 120)), outcome(now, state));
    fill(preview, now.waiting ? null : glimpse(now));
    draw();
  };
}

const STATES = { failed: "failed", waiting: "waiting for you", ended: "no answer", running: "running" };

function outcome(it, state) {
  if (state === "done") {
    const files = it.tool === "edit" && changes(it);
    if (files) {
      const { added, removed } = tally(files.flatMap((file) => file.rows));
      return counts(added, removed);
    }
    const lines = lineCount(it.result.text);
    return it.tool === "read" || it.tool === "search" ? h("span", { class: "muted" }, plural(lines, "line")) : null;
  }
  return h(
    "span",
    { class: `state-word ${state}` },
    state === "running" && h("span", { class: "spinner", "aria-hidden": "true" }),
    STATES[state],
  );
}

// Drawn often and computed from values that do not change between revisions.
function changes(it) {
  if (it.changesRev !== it.rev) {
    it.changesRev = it.rev;
    it.changes = ofResult(it.result?.diff) ?? ofInput(it.input);
  }
  return it.changes;
}

// What is seen without opening the card: a diff, the output of a command, an error.
function glimpse(it) {
  const result = it.result;
  if (result?.isError) return longText(result.text, { lines: OUTPUT_LINES, label: "Error" });
  if (it.tool === "edit") {
    const files = changes(it);
    return files && diffView(files);
  }
  if (it.tool === "execute" && result?.text) return longText(result.text, { lines: OUTPUT_LINES, tail: true });
  return null;
}

function full(it, context) {
  const parts = [];
  const result = it.result;
  const files = it.tool === "edit" ? changes(it) : null;
  if (files) parts.push(diffView(files, { heads: true, cwd: context.cwd() }));
  else if (it.tool === "execute" && (it.input.command || it.input.cmd))
    parts.push(longText(readable(it.input.command ?? it.input.cmd), { lines: 20, language: "sh", label: "Command" }));
  else if (Object.keys(it.input ?? {}).length) parts.push(inputList(it.input));
  if (result?.text) {
    const language = it.tool === "read" ? languageOf(it.input.file_path ?? it.input.path ?? "") : "";
    const isProse = it.tool === "think" || it.tool === "fetch";
    parts.push(
      isProse && !result.isError && result.text.length < 20_000
        ? prose(result, context)
        : longText(result.text, { lines: 30, language }),
    );
  }
  const structured = readable(result?.output);
  if (structured && structured !== result.text && !files)
    parts.push(
      h(
        "details",
        { class: "raw" },
        h("summary", null, "As the CLI gave it"),
        longText(structured, { language: "json" }),
      ),
    );
  if (!parts.length) parts.push(h("p", { class: "muted" }, "Nothing more to show."));
  return parts;
}

// A result that is prose is shown as it is until its blocks have come.
function prose(result, context) {
  const view = markdownView();
  view.show(result.text, result.blocks);
  if (result.blocks === undefined) {
    context.resultBlocks(result.seq).then(
      (blocks) => {
        result.blocks = blocks;
        view.show(result.text, blocks);
      },
      () => {},
    );
  }
  return h("div", { class: "card" }, view.el);
}

/** A tool's input, field by field. */
export function inputList(input) {
  return h(
    "dl",
    { class: "input-list" },
    Object.entries(input).map(([name, value]) => [
      h("dt", null, plain(name)),
      h("dd", null, longText(readable(value), { lines: 6, label: plain(name) })),
    ]),
  );
}
