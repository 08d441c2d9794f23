// The blocks of Markdown as people and agents write it. Raw HTML is text. Pure; no DOM.
// Bounds: containers nest up to DEPTH_MAX, beyond that marks stay text; time is linear in the text.

const DEPTH_MAX = 8;
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
