// Differences between texts, as rows that a page can colour. Pure.

// Above this many cells the exact comparison is given up: all old lines, then all new ones.
const CELLS_MAX = 2_000_000;
// Unchanged lines kept around a change.
const CONTEXT = 3;

/** The rows that turn `before` into `after`: `{op, text, a, b}` with op " ", "-", "+" and line numbers from 1. */
export function compare(before, after) {
  const a = lines(before);
  const b = lines(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const ops = [
    ...a.slice(0, head).map((text) => [" ", text]),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map((text) => [" ", text]),
  ];
  return number(ops, 1, 1);
}

function lines(text) {
  const all = String(text ?? "").split("\n");
  if (all[all.length - 1] === "") all.pop();
  return all;
}

function number(ops, a, b) {
  return ops.map(([op, text]) => ({ op, text, a: op === "+" ? null : a++, b: op === "-" ? null : b++ }));
}

// Longest common subsequence, by a table of (n+1)(m+1) lengths.
function middle(a, b) {
  if ((a.length + 1) * (b.length + 1) > CELLS_MAX) return [...a.map((t) => ["-", t]), ...b.map((t) => ["+", t])];
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      length[at] = a[i] === b[j] ? length[at + width + 1] + 1 : Math.max(length[at + width], length[at + 1]);
    }
  }
  const ops = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      ops.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) ops.push(["-", a[i++]]);
    else ops.push(["+", b[j++]]);
  }
  while (i < a.length) ops.push(["-", a[i++]]);
  while (j < b.length) ops.push(["+", b[j++]]);
  return ops;
}

/**
 * Rows with long unchanged stretches replaced by one row of op "@" that says how many lines it replaces, and which
 * lines of the new text follow: those from `from` up to `end`.
 */
export function condense(rows, context = CONTEXT) {
  const keep = new Uint8Array(rows.length);
  rows.forEach((row, at) => {
    if (row.op === " ") return;
    keep.fill(1, Math.max(0, at - context), Math.min(rows.length, at + context + 1));
  });
  const out = [];
  for (let at = 0; at < rows.length;) {
    const from = at;
    while (at < rows.length && Boolean(keep[at]) === Boolean(keep[from])) at += 1;
    const part = rows.slice(from, at);
    if (keep[from]) out.push(...part);
    else {
      let end = at;
      while (end < rows.length && keep[end]) end += 1;
      out.push(hunk(span(rows.slice(at, end)), "", `${at - from} unchanged`));
    }
  }
  return out;
}

// The lines of the new text that rows have; of the old one where they have none of it.
function span(rows) {
  const lines = rows.map((row) => row.b).filter((line) => line !== null);
  const known = lines.length ? lines : rows.map((row) => row.a).filter((line) => line !== null);
  return known.length ? [known[0], known[known.length - 1] + 1] : [0, 0];
}

const hunk = (place, section, text) => ({ op: "@", text, a: null, b: null, from: place[0], end: place[1], section });

/**
 * A unified diff (of git, or one file's) as files: `[{path, rows, status, from, mode, binary}]`; other lines are left
 * out. `status` is modified, new, deleted, renamed or copied; `from` is the path before; `mode` says what a change of
 * it means.
 */
export function parseUnified(text) {
  const files = [];
  /** @type {any} */
  let file = null;
  let a = 0;
  let b = 0;
  let oldLeft = 0;
  let newLeft = 0;
  const begin = (path) => {
    file = { path, rows: [], status: "modified", from: "", mode: "", binary: false };
    files.push(file);
  };
  for (const line of String(text ?? "").split("\n")) {
    const inHunk = oldLeft > 0 || newLeft > 0;
    if (!inHunk && line.startsWith("diff --git ")) {
      begin(headName(line.slice(11)));
      file.git = true;
    } else if (!inHunk && line.startsWith("--- ")) {
      if (!file || !file.git || file.rows.length) begin(name(line));
      file.git = false;
      if (name(line) === "/dev/null") file.status = "new";
    } else if (!inHunk && line.startsWith("+++ ")) {
      const path = name(line);
      if (file && path !== "/dev/null") file.path = path;
      else if (file) file.status = "deleted";
    } else if (!inHunk && line.startsWith("@@")) {
      const m = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)/.exec(line);
      if (!file) begin("");
      a = m ? Number(m[1]) : 1;
      b = m ? Number(m[3]) : 1;
      oldLeft = m ? Number(m[2] ?? 1) : 0;
      newLeft = m ? Number(m[4] ?? 1) : 0;
      file.rows.push(hunk(newLeft ? [b, b + newLeft] : [a, a + oldLeft], m?.[5] ?? "", line));
    } else if (inHunk && (line === "" || " +-".includes(line[0]))) {
      const op = line[0] ?? " ";
      if (op !== "+") oldLeft -= 1;
      if (op !== "-") newLeft -= 1;
      file.rows.push({ op, text: line.slice(1), a: op === "+" ? null : a++, b: op === "-" ? null : b++ });
    } else if (!line.startsWith("\\")) {
      oldLeft = 0;
      newLeft = 0;
      if (file) extended(file, line);
    }
  }
  return files;
}

// A line between git's head of a file and its hunks.
function extended(file, line) {
  const words = /^(rename|copy) (from|to) (.*)$/.exec(line);
  const mode = /^(old|new|new file|deleted file) mode (\d+)$/.exec(line);
  if (words) {
    file.status = words[1] === "rename" ? "renamed" : "copied";
    file[words[2] === "to" ? "path" : "from"] = unquoted(words[3]);
  } else if (mode?.[1] === "new file") file.status = "new";
  else if (mode?.[1] === "deleted file") file.status = "deleted";
  else if (mode) file.mode = mode[1] === "old" ? mode[2] : changedMode(file.mode, mode[2]);
  else if (/^(Binary files .* differ|GIT binary patch)$/.test(line)) file.binary = true;
}

function changedMode(before, after) {
  if (before === "100644" && after === "100755") return "executable";
  if (before === "100755" && after === "100644") return "not executable";
  return `mode ${before} → ${after}`;
}

function name(line) {
  return unquoted(line.slice(4).split("\t")[0]).replace(/^[ab]\//, "");
}

// The path in git's head of a file, "a/path b/path": both are the same unless a later line says otherwise.
function headName(pair) {
  const quoted = /^("(?:[^"\\]|\\.)*") (.*)$/.exec(pair);
  const second = quoted ? quoted[2] : pair.slice((pair.length + 1) / 2);
  return unquoted(/^"?b\//.test(second) ? second : (/ ("?b\/.*)$/.exec(pair)?.[1] ?? pair)).replace(/^b\//, "");
}

const ESCAPES = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

// A name as git writes it where it has control characters: in quotes, with the escapes of C.
function unquoted(text) {
  if (!/^".*"$/.test(text)) return text;
  const bytes = [];
  const encoder = new TextEncoder();
  for (const [part, octal, letter] of text.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|[^\\]+/gs)) {
    if (octal) bytes.push(parseInt(octal, 8));
    else if (letter && letter in ESCAPES) bytes.push(ESCAPES[letter]);
    else bytes.push(...encoder.encode(letter ?? part));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** The numbers of added and removed lines. */
export function tally(rows) {
  let added = 0;
  let removed = 0;
  for (const row of rows) {
    if (row.op === "+") added += 1;
    else if (row.op === "-") removed += 1;
  }
  return { added, removed };
}

// Rows of a part whose place in its file is not known. The first is `apart` from what is before it.
const placeless = (rows, apart) =>
  rows.map((row, at) => ({ ...row, a: null, b: null, from: 0, end: 0, apart: apart && at === 0 }));

/** The replacements that an edit tool's input asks for, `[{before, after, all}]`, or null. */
export function replacements(input) {
  const before = input.old_string ?? input.oldString ?? input.oldText;
  const after = input.new_string ?? input.newString ?? input.newText;
  if (typeof before === "string" && typeof after === "string")
    return [{ before, after, all: Boolean(input.replace_all ?? input.replaceAll) }];
  if (!Array.isArray(input.edits)) return null;
  const all = input.edits.map((edit) => (edit && typeof edit === "object" ? replacements(edit) : null));
  return all.includes(null) ? null : all.flat();
}

export const pathOf = (input) => input.file_path ?? input.path ?? input.filePath ?? input.notebook_path ?? "";

/**
 * The changes of an edit tool's input: `[{path, rows}]`, or null when the input is not a known edit. The rows of a
 * replacement have no line numbers: the input does not say where it is.
 */
export function ofInput(input) {
  if (!input || typeof input !== "object") return null;
  const path = pathOf(input);
  const edits = replacements(input);
  if (edits) {
    const parts = edits.map(({ before, after }, at) => placeless(condense(compare(before, after)), at > 0));
    return [{ path, rows: parts.flat() }];
  }
  if (path && typeof input.content === "string") return [{ path, rows: compare("", input.content) }];
  if (typeof input.diff === "string") return parseUnified(input.diff);
  return null;
}

/** The same in the text of its file: lines have their numbers. Null when the edit does not fit the text. */
export function ofInputIn(input, text) {
  const edits = replacements(input);
  if (!edits && typeof input.content !== "string") return null;
  let after = edits ? text : input.content;
  for (const { before, after: next, all } of edits ?? []) {
    const at = after.indexOf(before);
    if (at < 0 || !before || (!all && after.includes(before, at + 1))) return null;
    after = all ? after.split(before).join(next) : after.slice(0, at) + next + after.slice(at + before.length);
  }
  return [{ path: pathOf(input), rows: condense(compare(text, after)) }];
}

/** The changes that a tool's result reports, as `[{path, rows}]`, or null. */
export function ofResult(diff) {
  if (!Array.isArray(diff)) return typeof diff === "string" ? parseUnified(diff) : null;
  const files = diff.flatMap((part) => {
    if (typeof part?.diff !== "string") return [];
    const parsed = parseUnified(part.diff);
    const { status = "modified", from = "", mode = "" } = parsed[0] ?? {};
    const path = part.path ?? parsed[0]?.path ?? "";
    return [{ path, rows: parsed.flatMap((file) => file.rows), status, from, mode, binary: false }];
  });
  return files.some((file) => file.rows.length) ? files : null;
}
