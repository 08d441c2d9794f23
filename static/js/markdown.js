// Markdown as people and agents write it, parsed to a tree. Raw HTML is text. Pure; no DOM.
// Bounds: containers and emphasis nest up to DEPTH_MAX, beyond that marks stay text; time is linear in the text.

import { safeUrl } from "./text.js";

const DEPTH_MAX = 8;
// How far a closing bracket, parenthesis or emphasis mark is looked for.
const URL_MAX = 2000;
const MARKS_MAX = 48;
const CELLS_MAX = 64;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*))?$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?: +|\t|$)/;
const QUOTE = /^ {0,3}> ?/;

/** The blocks of a text. Each top-level block has `at`, where it begins: what stands before the last one is final. */
export function parse(text) {
  const lines = String(text).split("\n");
  const starts = [];
  let at = 0;
  for (const line of lines) {
    starts.push(at);
    at += line.length + 1;
  }
  return blocks(lines, 0, starts);
}

function blocks(lines, depth, starts = null) {
  const out = [];
  let i = 0;
  while (i < lines.length) {
    if (blank(lines[i])) {
      i += 1;
      continue;
    }
    const [block, next] = block1(lines, i, depth);
    if (starts) block.at = starts[i];
    out.push(block);
    i = next;
  }
  return out;
}

function block1(lines, i, depth) {
  const line = lines[i];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, i, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ t: "heading", level: heading[1].length, text: trimHashes(heading[2] ?? "") }, i + 1];
  if (isRule(line)) return [{ t: "rule" }, i + 1];
  if (depth < DEPTH_MAX) {
    if (QUOTE.test(line)) return quote(lines, i, depth);
    if (ITEM.test(line)) return list(lines, i, depth);
  }
  if (isTable(lines, i)) return table(lines, i);
  return paragraph(lines, i, depth);
}

const blank = (line) => line.trim() === "";

function isRule(line) {
  const marks = line.trim().replace(/[ \t]+/g, "");
  return marks.length >= 3 && /^(?:-+|\*+|_+)$/.test(marks);
}

function trimHashes(text) {
  const end = text.trimEnd();
  let at = end.length;
  while (at > 0 && end[at - 1] === "#") at -= 1;
  return at === 0 || end[at - 1] === " " ? end.slice(0, at).trimEnd() : end;
}

function fenced(lines, i, fence) {
  const indent = lines[i].length - lines[i].trimStart().length;
  const body = [];
  let at = i + 1;
  let closed = false;
  for (; at < lines.length; at += 1) {
    const close = FENCE.exec(lines[at]);
    if (close && close[1][0] === fence[1][0] && close[1].length >= fence[1].length && blank(lines[at].trimStart().slice(close[1].length))) {
      closed = true;
      at += 1;
      break;
    }
    body.push(dedent(lines[at], indent));
  }
  return [{ t: "code", language: fence[2], text: body.join("\n"), closed }, at];
}

function dedent(line, width) {
  let at = 0;
  while (at < width && (line[at] === " " || line[at] === "\t")) at += 1;
  return line.slice(at);
}

function interrupts(line) {
  return blank(line) || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || ITEM.test(line) || isRule(line);
}

function quote(lines, i, depth) {
  const inner = [];
  let at = i;
  for (; at < lines.length; at += 1) {
    if (QUOTE.test(lines[at])) inner.push(lines[at].replace(QUOTE, ""));
    else if (at > i && !interrupts(lines[at]) && !blank(inner[inner.length - 1])) inner.push(lines[at]);
    else break;
  }
  return [{ t: "quote", blocks: blocks(inner, depth + 1) }, at];
}

function list(lines, i, depth) {
  const first = ITEM.exec(lines[i]);
  const ordered = /\d/.test(first[2]);
  const node = { t: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items: [], loose: false };
  let at = i;
  while (at < lines.length) {
    const mark = ITEM.exec(lines[at]);
    if (!mark || /\d/.test(mark[2]) !== ordered || isRule(lines[at])) break;
    const base = mark[1].length;
    const width = mark[0].length;
    const inner = [lines[at].slice(width)];
    at += 1;
    let gap = false;
    for (; at < lines.length; at += 1) {
      const line = lines[at];
      if (blank(line)) {
        gap = true;
        inner.push("");
        continue;
      }
      const indent = line.length - line.trimStart().length;
      // Two columns are enough to belong to the item: people and agents rarely count them.
      if (indent >= base + 2 || line[0] === "\t") inner.push(dedent(line, Math.max(width, base + 2)));
      else if (!gap && !interrupts(line)) inner.push(line);
      else break;
      if (gap) node.loose = true;
      gap = false;
    }
    const task = /^\[([ xX])\] +/.exec(inner[0]);
    if (task) inner[0] = inner[0].slice(task[0].length);
    node.items.push({ blocks: blocks(inner, depth + 1), done: task ? task[1] !== " " : null });
    if (gap && at < lines.length && ITEM.test(lines[at])) node.loose = true;
  }
  return [node, at];
}

function isTable(lines, i) {
  if (!lines[i].includes("|") || i + 1 >= lines.length || !lines[i + 1].includes("-")) return false;
  const marks = cells(lines[i + 1]);
  return marks.length === cells(lines[i]).length && marks.every((cell) => /^:?-+:?$/.test(cell));
}

function cells(line) {
  const out = [];
  let cell = "";
  let code = false;
  const text = line.trim();
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (c === "\\" && text[at + 1] === "|") {
      cell += "|";
      at += 1;
    } else if (c === "|" && !code) {
      if (at > 0) out.push(cell.trim());
      cell = "";
    } else {
      if (c === "`") code = !code;
      cell += c;
    }
  }
  if (!blank(cell) || !text.endsWith("|")) out.push(cell.trim());
  return out.slice(0, CELLS_MAX);
}

function table(lines, i) {
  const head = cells(lines[i]);
  const align = cells(lines[i + 1]).map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : "left"));
  const rows = [];
  let at = i + 2;
  for (; at < lines.length && !blank(lines[at]) && lines[at].includes("|"); at += 1) {
    const row = cells(lines[at]).slice(0, head.length);
    while (row.length < head.length) row.push("");
    rows.push(row);
  }
  return [{ t: "table", head, align, rows }, at];
}

function paragraph(lines, i, depth) {
  let at = i + 1;
  while (at < lines.length && !isTable(lines, at)) {
    const line = lines[at];
    // A number in mid-paragraph is a sentence's, unless it is 1, as in CommonMark.
    const item = depth < DEPTH_MAX ? ITEM.exec(line) : null;
    if (item ? !/\d/.test(item[2]) || item[2].startsWith("1") : interrupts(line) && (depth < DEPTH_MAX || blank(line))) break;
    at += 1;
  }
  return [{ t: "paragraph", text: lines.slice(i, at).map((line) => line.replace(/^[ \t]+/, "")).join("\n") }, at];
}

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
