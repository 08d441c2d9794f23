// Changes within replaced lines, and the pairs of old and new lines. Pure.

// Above this many pairs of pieces a line is not compared.
const CELLS_MAX = 40_000;
// Lines with less in common are others, not changed ones: marks would cover most of them.
const COMMON_MIN = 0.35;
const PIECES = /[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu;

/**
 * Rows side by side: `[{old, now}]`, each a row or null; a row of op "@" or " " is on both sides. Lines that took the
 * place of others are beside them.
 */
export function sideBySide(rows) {
  const out = [];
  for (let at = 0; at < rows.length;) {
    if (rows[at].op === " " || rows[at].op === "@") {
      out.push({ old: rows[at], now: rows[at] });
      at += 1;
      continue;
    }
    const [removed, added] = [[], []];
    while (rows[at]?.op === "-") removed.push(rows[at++]);
    while (rows[at]?.op === "+") added.push(rows[at++]);
    for (let n = 0; n < Math.max(removed.length, added.length); n += 1)
      out.push({ old: removed[n] ?? null, now: added[n] ?? null });
  }
  return out;
}

/** The marks of all rows with changed words, as a map from the row to `[from, end]` pairs of its text. */
export function marksOf(rows) {
  const marks = new Map();
  for (const { old, now } of sideBySide(rows)) {
    if (!old || !now || old === now) continue;
    const found = changedWords(old.text, now.text);
    if (!found) continue;
    marks.set(old, found[0]);
    marks.set(now, found[1]);
  }
  return marks;
}

/** The differences of two lines, as `[from, end]` pairs for each; null if too little is the same. */
export function changedWords(before, after) {
  const a = before.match(PIECES) ?? [];
  const b = after.match(PIECES) ?? [];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const [inA, inB] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  if ((inA.length + 1) * (inB.length + 1) > CELLS_MAX) return null;
  const [keptA, keptB] = common(inA, inB);
  const kept = [...flags(head, true), ...keptA, ...flags(tail, true)];
  const same = a.reduce((sum, piece, at) => sum + (kept[at] && piece.trim() ? piece.length : 0), 0);
  const longer = Math.max(solid(a), solid(b));
  if (!longer || same < longer * COMMON_MIN) return null;
  return [ranges(a, kept), ranges(b, [...flags(head, true), ...keptB, ...flags(tail, true)])];
}

const flags = (count, value) => new Array(count).fill(value);
const solid = (pieces) => pieces.reduce((sum, piece) => sum + piece.trim().length, 0);

// Which pieces are in the longest common subsequence.
function common(a, b) {
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      length[at] = a[i] === b[j] ? length[at + width + 1] + 1 : Math.max(length[at + width], length[at + 1]);
    }
  const [inA, inB] = [flags(a.length, false), flags(b.length, false)];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      inA[i++] = true;
      inB[j++] = true;
    } else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return [inA, inB];
}

// Places of the pieces that are not kept. A blank between two of them belongs to them.
function ranges(pieces, kept) {
  const out = [];
  let offset = 0;
  pieces.forEach((piece, at) => {
    const joins = kept[at] && !piece.trim() && kept[at - 1] === false && kept[at + 1] === false;
    if (!kept[at] || joins) {
      const last = out.at(-1);
      if (last?.[1] === offset) last[1] += piece.length;
      else out.push([offset, offset + piece.length]);
    }
    offset += piece.length;
  });
  return out;
}

/** Coloured pieces of a line, `[kind, text]`, cut at its marks: `[kind, text, isMarked]`. */
export function marked(pieces, marks) {
  if (!marks?.length) return pieces.map(([kind, text]) => [kind, text, false]);
  const out = [];
  let offset = 0;
  for (const [kind, text] of pieces) {
    let from = 0;
    for (const [begin, end] of marks) {
      const a = Math.max(begin - offset, from);
      const b = Math.min(end - offset, text.length);
      if (a >= b) continue;
      if (a > from) out.push([kind, text.slice(from, a), false]);
      out.push([kind, text.slice(a, b), true]);
      from = b;
    }
    if (from < text.length) out.push([kind, text.slice(from), false]);
    offset += text.length;
  }
  return out;
}
