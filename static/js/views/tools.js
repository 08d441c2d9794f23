// Tool calls as compact cards: one line that says what was done, and what came out of it.

import { loadColours } from "../lib/colours.js";
import { fill, h, icon } from "../lib/dom.js";
import { ofPath, ofResult, thumbnails } from "./pictures.js";
import { longText, markdownView } from "./rich.js";
import { troubleLine } from "./troubles.js";
import { cutOf, duration, lineCount, plain, plural, readable, relative } from "../lib/text.js";
import { isRunning } from "../state/calls.js";

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
// The module that shows changes of files (`edits.js`), once it is loaded for the first edit.
let edits = null;
let loading = null;

/** Loads what shows changes of files. */
export function loadEdits() {
  loading ??= import("./edits.js").then(
    (loaded) => {
      edits = loaded;
      // The highlighter has come with it, whatever its own request came to.
      loadColours();
    },
    (error) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

// A call that took less says nothing of its time.
const TIME_SHOWN_MS = 1_000;

/** The duration of a call in milliseconds, without the time that it waited for a person. */
export function took(it) {
  const since = it.prompt?.resolved?.time ?? it.time;
  return Date.parse(it.result?.time ?? "") - Date.parse(since ?? "");
}

/** The picture of a kind of calls. */
export const toolIcon = (tool) => icon(ICONS[tool] ?? "tool");

/** A call in one line: a verb and its object. */
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
  const show = (next) => {
    now = next;
    if (now.tool === "edit" && !edits) awaitEdits();
    const { verb, object, code, note: more } = headline(now, context.cwd());
    const state = stateOf(now);
    article.className = `item item-tool tool-${now.tool} is-${state}${now.depth ? " deep" : ""}`;
    article.setAttribute("aria-label", `${verb} ${object}`.slice(0, 120));
    fill(mark, toolIcon(now.tool));
    fill(
      line,
      h("strong", null, plain(verb)),
      " ",
      h(code ? "code" : "span", { class: "object", dir: "ltr", title: object.slice(0, 1000) }, object.slice(0, 400)),
    );
    fill(note, more && h("span", { class: "muted" }, plain(more).slice(0, 120)), outcome(now, state));
    fill(preview, now.waiting ? null : [glimpse(now, context), pictures(now, context)]);
    draw();
  };
  let awaits = false;
  const awaitEdits = () => {
    if (awaits) return;
    awaits = true;
    loadEdits()
      .then(
        () => {
          drawn = -1;
          show(now);
        },
        (error) => fill(preview, troubleLine(`The changes could not be shown: ${error.message}`, awaitEdits)),
      )
      .finally(() => {
        awaits = false;
      });
  };
  return show;
}

function stateOf(it) {
  if (it.task && isRunning(it.task) && it.result) return "background";
  if (it.task?.status === "failed") return "failed";
  if (it.result) return it.result.isError ? "failed" : "done";
  if (it.waiting) return "waiting";
  return it.ended ? "ended" : "running";
}

const STATES = {
  background: "in the background",
  failed: "failed",
  waiting: "waiting for you",
  ended: "no answer",
  running: "running",
};

function outcome(it, state) {
  const ms = it.task?.duration_ms ?? took(it);
  return [outcomeWord(it, state), ms >= TIME_SHOWN_MS && h("span", { class: "took" }, duration(ms))];
}

function outcomeWord(it, state) {
  if (state === "done") {
    const files = it.tool === "edit" && changes(it);
    if (files) return edits.countsOf(files.flatMap((file) => file.rows)) || edits.counts(0, 0);
    if (it.result.images?.length) return h("span", { class: "muted" }, plural(it.result.images.length, "picture"));
    const lines = lineCount(it.result.text);
    return it.tool === "read" || it.tool === "search" ? h("span", { class: "muted" }, plural(lines, "line")) : null;
  }
  return h(
    "span",
    { class: `state-word ${state}` },
    (state === "running" || state === "background") && h("span", { class: "spinner", "aria-hidden": "true" }),
    STATES[state],
  );
}

// Drawn often and computed from values that do not change between revisions.
function changes(it) {
  if (!edits) return null;
  if (it.changesRev !== it.rev) {
    it.changesRev = it.rev;
    it.changes = edits.ofResult(it.result?.diff) ?? edits.ofInput(it.input);
  }
  return it.changes;
}

// The part that is seen without opening the card: a diff, the output of a command, an error.
function glimpse(it, context) {
  const result = it.result;
  if (result?.isError) return output(result, context, { lines: OUTPUT_LINES, label: "Error" });
  if (it.tool === "edit") {
    const files = changes(it);
    return files && edits.diffView(files);
  }
  // A call in the background has its output elsewhere.
  if (it.tool === "execute" && result?.text && textOf(result) && !it.task)
    return output(result, context, { lines: OUTPUT_LINES, tail: true });
  return null;
}

// The output of a call. The server has cut a long one; all of it can be loaded.
function output(result, context, options) {
  const { text, cut } = cutOf(result.text);
  if (!cut) return longText(text, options);
  const size = new TextEncoder().encode(text).length;
  const whole = { bytes: size + cut, load: () => context.wholeText(result.seq) };
  return longText(text, { ...options, tail: false, whole });
}

// Pictures are seen without opening the card.
function pictures(it, context) {
  const found = ofResult(it, context);
  return thumbnails(found.length || it.tool !== "read" || !it.result || it.result.text ? found : ofPath(it, context));
}

// A result's text; where the pictures are shown, their names in it are not.
const textOf = (result) => (result.images?.length && /^(\[[\w/+.-]+\]\s*)+$/.test(result.text) ? "" : result.text);

function full(it, context) {
  const parts = [];
  const result = it.result;
  const files = it.tool === "edit" ? changes(it) : null;
  if (files) parts.push(edits.diffView(files, { heads: true, cwd: context.cwd() }));
  else if (it.tool === "execute" && (it.input.command || it.input.cmd))
    parts.push(longText(readable(it.input.command ?? it.input.cmd), { lines: 20, language: "sh", label: "Command" }));
  else if (typeof it.input?.plan === "string") parts.push(planText(it, context.worker, context));
  else if (Object.keys(it.input ?? {}).length) parts.push(inputList(it.input));
  const shown = pictures(it, context);
  if (shown) parts.push(shown);
  if (result && textOf(result)) {
    const language = it.tool === "read" ? String(it.input.file_path ?? it.input.path ?? "") : "";
    const isProse = it.tool === "think" || it.tool === "fetch";
    parts.push(
      isProse && !result.isError && result.text.length < 20_000
        ? prose(result, context)
        : output(result, context, { lines: 30, language }),
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

/** A result that is prose; it is shown as it is until its blocks have come. */
export const prose = (result, context) => later(result, result.text, () => context.resultBlocks(result.seq));

/** The plan of a prompt or a call, as Markdown. */
export const planText = (holder, worker, context) =>
  later(holder, holder.input.plan, () => context.planBlocks(worker, holder.seq));

// Markdown whose blocks may have to be asked for; `holder` keeps them.
function later(holder, text, load) {
  const view = markdownView();
  view.show(text, holder.blocks);
  const failed = h("div");
  const again = () =>
    load().then(
      (blocks) => {
        holder.blocks = blocks;
        view.show(text, blocks);
        fill(failed);
      },
      (error) => fill(failed, troubleLine(`It is shown without its format: ${error.message}`, again)),
    );
  if (holder.blocks === undefined) again();
  return h("div", { class: "card" }, view.el, failed);
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
