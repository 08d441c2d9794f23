// What stands within a paragraph of Markdown: emphasis, code, links. Raw HTML is text. Pure; no DOM.
// Bounds: emphasis nests up to DEPTH_MAX, beyond that marks stay text; time is linear in the text.

import { safeUrl } from "./text.js";

const DEPTH_MAX = 8;
// How far a closing bracket or parenthesis is looked for, in characters.
const URL_MAX = 2000;
// Marks that may be open at a time.
const MARKS_MAX = 48;

const SPECIAL = /[\\`*_~[\]!<\n]|https?:\/\//g;

/** The inline nodes of a paragraph, heading or cell. */
export function inline(source) {
  const run = { out: [], marks: [], brackets: 0, ticks: null };
  let at = 0;
  SPECIAL.lastIndex = 0;
  while (at < source.length) {
    SPECIAL.lastIndex = at;
    const hit = SPECIAL.exec(source);
    if (!hit) break;
    if (hit.index > at) text(run, source.slice(at, hit.index));
    at = special(run, source, hit.index, hit[0]);
  }
  if (at < source.length) text(run, source.slice(at));
  return run.out;
}

function text(run, value) {
  const last = run.out[run.out.length - 1];
  if (last?.t === "text" && !last.mark) last.v += value;
  else run.out.push({ t: "text", v: value });
}

// Takes what begins at `at`; returns where to go on.
function special(run, source, at, c) {
  switch (c) {
    case "\\": {
      const next = source[at + 1] ?? "";
      if (next === "\n") run.out.push({ t: "break" });
      else text(run, /[!-/:-@[-`{-~]/.test(next) ? next : `\\${next}`);
      return at + 2;
    }
    case "\n": {
      const last = run.out[run.out.length - 1];
      if (last?.t === "text" && last.v.endsWith("  ")) run.out.push({ t: "break" });
      else text(run, "\n");
      return at + 1;
    }
    case "`":
      return codeSpan(run, source, at);
    case "<":
      return angle(run, source, at);
    case "!":
      if (source[at + 1] !== "[") {
        text(run, "!");
        return at + 1;
      }
      mark(run, "![", 2);
      return at + 2;
    case "[":
      mark(run, "[", 1);
      return at + 1;
    case "]":
      return closeBracket(run, source, at);
    case "*":
    case "_":
    case "~":
      return emphasis(run, source, at, c);
    default:
      return bareUrl(run, source, at);
  }
}

function mark(run, v, length) {
  if (run.marks.length >= MARKS_MAX) run.marks.shift();
  run.marks.push({ c: v, length, at: run.out.length });
  run.out.push({ t: "text", v, mark: true });
}

function codeSpan(run, source, at) {
  let end = at;
  while (source[end] === "`") end += 1;
  const ticks = end - at;
  // Where the closing runs stand is found once for the whole text, so unclosed ticks cost nothing more.
  run.ticks ??= tickRuns(source);
  const starts = run.ticks.get(ticks);
  while (starts && starts.length && starts[0] < end) starts.shift();
  if (!starts || !starts.length) {
    text(run, source.slice(at, end));
    return end;
  }
  const close = starts[0];
  let body = source.slice(end, close).replace(/\n/g, " ");
  if (body.length > 2 && body.startsWith(" ") && body.endsWith(" ") && body.trim()) body = body.slice(1, -1);
  run.out.push({ t: "code", v: body });
  return close + ticks;
}

function tickRuns(source) {
  const runs = new Map();
  for (const match of source.matchAll(/`+/g)) {
    const starts = runs.get(match[0].length) ?? [];
    starts.push(match.index);
    runs.set(match[0].length, starts);
  }
  return runs;
}

function angle(run, source, at) {
  const match = /^<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/i.exec(source.slice(at, at + URL_MAX));
  const href = match && safeUrl(match[1]);
  if (!href) {
    text(run, "<");
    return at + 1;
  }
  run.out.push({ t: "link", href, c: [{ t: "text", v: match[1] }] });
  return at + match[0].length;
}

function bareUrl(run, source, at) {
  const match = /^https?:\/\/[^\s<>"'`\\^{}|]*/.exec(source.slice(at, at + URL_MAX));
  let url = match[0];
  // Punctuation at the end belongs to the sentence, and a closing parenthesis too unless it was opened in the address.
  for (;;) {
    const last = url[url.length - 1];
    if (".,;:!?*_~]".includes(last)) url = url.slice(0, -1);
    else if (last === ")" && url.split(")").length > url.split("(").length) url = url.slice(0, -1);
    else break;
  }
  const href = safeUrl(url);
  if (!href) {
    text(run, url);
    return at + Math.max(1, url.length);
  }
  run.out.push({ t: "link", href, c: [{ t: "text", v: url }] });
  return at + url.length;
}

function closeBracket(run, source, at) {
  let open = run.marks.length - 1;
  while (open >= 0 && !run.marks[open].c.endsWith("[")) open -= 1;
  const target = open >= 0 && source[at + 1] === "(" ? destination(source, at + 2) : null;
  if (!target) {
    if (open >= 0) run.marks.splice(open, 1);
    text(run, "]");
    return at + 1;
  }
  const { at: from, c } = run.marks[open];
  run.marks.length = open;
  const inner = run.out.splice(from + 1);
  const href = safeUrl(target.url);
  // Images are not fetched: no request leaves the server's own origin. They become links.
  const node = { t: "link", href, image: c === "![", c: inner.length ? inner : [{ t: "text", v: target.url }] };
  if (href && depthOf(node) <= DEPTH_MAX) run.out[from] = node;
  else if (href) run.out.push(...inner);
  else run.out[from] = { t: "span", title: target.url, c: node.c };
  return target.end;
}

function destination(source, at) {
  let nested = 0;
  const stop = Math.min(source.length, at + URL_MAX);
  for (let end = at; end < stop; end += 1) {
    const c = source[end];
    if (c === "\n") return null;
    if (c === "(") nested += 1;
    else if (c === ")" && nested-- === 0) {
      const inside = source.slice(at, end).trim();
      const url = inside.split(/\s+(?=["'(])/)[0].replace(/^<|>$/g, "");
      return { url, end: end + 1 };
    }
  }
  return null;
}

const KINDS = { "*1": "em", "*2": "strong", _1: "em", _2: "strong", "~2": "strike" };

function emphasis(run, source, at, c) {
  let end = at;
  while (source[end] === c) end += 1;
  const before = source[at - 1] ?? " ";
  const after = source[end] ?? " ";
  const word = /[\p{L}\p{N}]/u;
  // Inside a word an underscore is a letter: snake_case stays as it is.
  const opens = !/\s/.test(after) && !(c === "_" && word.test(before));
  const closes = !/\s/.test(before) && !(c === "_" && word.test(after));
  let left = end - at;
  if (left > 6 || (!opens && !closes)) {
    text(run, source.slice(at, end));
    return end;
  }
  while (left > 0) {
    const taken = closes ? close(run, c, left) : 0;
    if (taken) left -= taken;
    else break;
  }
  while (left > 0) {
    const length = Math.min(left, 2);
    if (opens) mark(run, c.repeat(length), length);
    else text(run, c.repeat(length));
    left -= length;
  }
  return end;
}

// Closes the nearest open mark that fits; returns how many characters that took.
function close(run, c, left) {
  for (let open = run.marks.length - 1; open >= 0; open -= 1) {
    const { c: v, length, at } = run.marks[open];
    if (v.endsWith("[")) return 0;
    if (v[0] !== c || length > left || at === run.out.length - 1) continue;
    const kind = KINDS[c + length];
    if (!kind) return 0;
    run.marks.length = open;
    const inner = run.out.splice(at + 1);
    const node = { t: kind, c: inner };
    if (depthOf(node) <= DEPTH_MAX) run.out[at] = node;
    else run.out.push(...inner, { t: "text", v });
    return length;
  }
  return 0;
}

function depthOf(node) {
  if (node.depth === undefined) {
    let deepest = 0;
    for (const child of node.c ?? []) deepest = Math.max(deepest, child.depth ?? 0);
    node.depth = deepest + (node.c ? 1 : 0);
  }
  return node.depth;
}
