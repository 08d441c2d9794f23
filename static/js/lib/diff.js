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

/** Rows with long unchanged stretches replaced by one row of op "@" that says how many lines it stands for. */
export function condense(rows, context = CONTEXT) {
  const keep = new Uint8Array(rows.length);
  rows.forEach((row, at) => {
    if (row.op === " ") return;
    keep.fill(1, Math.max(0, at - context), Math.min(rows.length, at + context + 1));
  });
  const out = [];
  for (let at = 0; at < rows.length;) {
    if (keep[at]) out.push(rows[at++]);
    else {
      const from = at;
      while (at < rows.length && !keep[at]) at += 1;
      out.push({ op: "@", text: `${at - from} unchanged`, a: null, b: null });
    }
  }
  return out;
}

/** A unified diff (of git, or one file's) as files: `[{path, rows}]`; lines that are no diff are left out. */
export function parseUnified(text) {
  const files = [];
  /** @type {any} */
  let file = null;
  let a = 0;
  let b = 0;
  let oldLeft = 0;
  let newLeft = 0;
  const begin = (path) => {
    file = { path, rows: [] };
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
    } else if (!inHunk && file && /^(rename|copy) to /.test(line)) {
      file.path = unquoted(line.slice(line.indexOf(" to ") + 4));
    } else if (!inHunk && line.startsWith("+++ ")) {
      const path = name(line);
      if (file && path !== "/dev/null") file.path = path;
    } else if (!inHunk && line.startsWith("@@")) {
      const m = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
      if (!file) begin("");
      a = m ? Number(m[1]) : 1;
      b = m ? Number(m[3]) : 1;
      oldLeft = m ? Number(m[2] ?? 1) : 0;
      newLeft = m ? Number(m[4] ?? 1) : 0;
      file.rows.push({ op: "@", text: line, a: null, b: null });
    } else if (inHunk && (line === "" || " +-".includes(line[0]))) {
      const op = line[0] ?? " ";
      if (op !== "+") oldLeft -= 1;
      if (op !== "-") newLeft -= 1;
      file.rows.push({ op, text: line.slice(1), a: op === "+" ? null : a++, b: op === "-" ? null : b++ });
    } else if (!line.startsWith("\\")) {
      oldLeft = 0;
      newLeft = 0;
    }
  }
  return files;
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

/** How many lines were added and removed. */
export function tally(rows) {
  let added = 0;
  let removed = 0;
  for (const row of rows) {
    if (row.op === "+") added += 1;
    else if (row.op === "-") removed += 1;
  }
  return { added, removed };
}

/** What an edit tool's input would change: `[{path, rows}]`, or null when the input is no edit we know. */
export function ofInput(input) {
  if (!input || typeof input !== "object") return null;
  const path = input.file_path ?? input.path ?? input.filePath ?? input.notebook_path ?? "";
  const before = input.old_string ?? input.oldString ?? input.oldText;
  const after = input.new_string ?? input.newString ?? input.newText;
  if (typeof before === "string" && typeof after === "string") {
    return [{ path, rows: condense(compare(before, after)) }];
  }
  if (Array.isArray(input.edits)) {
    const rows = input.edits.flatMap((edit) => ofInput({ ...edit, file_path: path })?.[0].rows ?? []);
    return [{ path, rows }];
  }
  if (path && typeof input.content === "string") return [{ path, rows: compare("", input.content) }];
  if (typeof input.diff === "string") return parseUnified(input.diff);
  return null;
}

/** What a tool's result says it changed, as `[{path, rows}]`, or null. */
export function ofResult(diff) {
  if (!Array.isArray(diff)) return typeof diff === "string" ? parseUnified(diff) : null;
  const files = diff.flatMap((part) => {
    if (typeof part?.diff !== "string") return [];
    const parsed = parseUnified(part.diff);
    return [{ path: part.path ?? parsed[0]?.path ?? "", rows: parsed.flatMap((file) => file.rows) }];
  });
  return files.some((file) => file.rows.length) ? files : null;
}
