// Text from outside, made safe and short for people: terminal escapes, invisible characters, times, counts.
// Pure: no DOM, no clock of its own. Every function takes time linear in its input.

// CSI, OSC / DCS / APC strings (ended by BEL or ST), and two-byte escapes, in their 7-bit and 8-bit forms.
const ESCAPES = new RegExp(
  [
    /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?/,
    /(?:\x1b[\]PX^_]|[\x90\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?/,
    /\x1b[ -/]*[0-~]?/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);
const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;
// Characters that reorder or hide what follows them; they are shown by number instead of being obeyed.
const BIDI = /[\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\u{e0000}-\u{e007f}]/gu;

/** Text without terminal escapes: a carriage return overwrites its line, other controls become visible pictures. */
export function plain(value) {
  let text = String(value ?? "");
  if (/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(text)) {
    text = text.replace(ESCAPES, "");
    if (text.includes("\r")) text = text.split("\n").map(overwritten).join("\n");
    text = text.replace(CONTROLS, (c) => (c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "\u2421"));
  }
  return visible(text);
}

/** Text whose reordering and invisible characters are spelled out, as in [U+202E]. */
export function visible(text) {
  return text.replace(BIDI, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

function overwritten(line) {
  const parts = line.split("\r").filter((part) => part !== "");
  return parts.length ? parts[parts.length - 1] : "";
}

/** A value as text: strings as they are, content blocks by their text, everything else as indented JSON. */
export function readable(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length && value.every((part) => typeof part?.text === "string")) {
    return value.map((part) => part.text).join("\n");
  }
  return JSON.stringify(value, null, 2);
}

/** The beginning of a long text (or its end), cut at a line where that is possible, and what was left out. */
export function fold(text, { lines = 16, chars = 6000, tail = false } = {}) {
  const total = lineCount(text);
  if (total <= lines && text.length <= chars) return { text, hidden: 0, lines: total, cut: false };
  let at = tail ? text.length : -1;
  for (let n = 0; n < lines; n += 1) {
    const next = tail ? text.lastIndexOf("\n", at - 1) : text.indexOf("\n", at + 1);
    if (next < 0) {
      at = tail ? 0 : text.length;
      break;
    }
    at = next;
  }
  const shown = tail
    ? text.slice(Math.max(at === 0 ? 0 : at + 1, text.length - chars))
    : text.slice(0, Math.min(at, chars));
  return { text: shown, hidden: total - lineCount(shown), lines: total, cut: true };
}

// The note that the server puts at the end of a text which it has cut.
const CUT = /… \[(\d+) bytes cut\]$/;

/** A text that the server may have cut: `{text, cut}` with the number of bytes that are missing, and no note. */
export function cutOf(text) {
  const found = CUT.exec(text.slice(-40));
  return found ? { text: text.slice(0, text.length - found[0].length), cut: Number(found[1]) } : { text, cut: 0 };
}

/** The number of lines of a text; a final newline does not begin another. */
export function lineCount(text) {
  if (text === "") return 0;
  let count = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return text.endsWith("\n") ? count - 1 : count;
}

/** `1 line`, `3 lines`. */
export function plural(n, word) {
  return `${COUNT.format(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** @type {[string, number][]} */
const SIZES = [
  ["k", 1e3],
  ["M", 1e6],
  ["G", 1e9],
];

/** A count in four characters or so: 950, 1.2k, 34k, 1.5M. */
export function short(n) {
  if (!Number.isFinite(n)) return "";
  if (n < 1000) return String(Math.round(n));
  for (const [unit, size] of SIZES) {
    if (n < size * 999.5) return `${(n / size).toFixed(n < size * 9.95 ? 1 : 0)}${unit}`;
  }
  return n.toExponential(1);
}

/** A size in bytes, for people. */
export function bytes(n) {
  if (!Number.isFinite(n)) return "";
  if (n < 1024) return `${n} B`;
  if (n < 1048576) return `${(n / 1024).toFixed(n < 10240 ? 1 : 0)} KiB`;
  if (n < 1073741824) return `${(n / 1048576).toFixed(1)} MiB`;
  return `${(n / 1073741824).toFixed(1)} GiB`;
}

/** A time span: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d. */
export function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return "";
  const s = ms / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 >= 1 ? ` ${Math.floor(s % 60)} s` : ""}`;
  if (s < 172800) return `${Math.floor(s / 3600)} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ""}`;
  return `${Math.floor(s / 86400)} d`;
}

/** The age in the few characters that a list has: now, 5 min, 3 h, 2 d, or the date. */
export function ago(iso, now) {
  const then = Date.parse(iso ?? "");
  if (Number.isNaN(then)) return "";
  const s = Math.max(0, (now - then) / 1000);
  if (s < 45) return "now";
  if (s < 3570) return `${Math.max(1, Math.round(s / 60))} min`;
  if (s < 84600) return `${Math.round(s / 3600)} h`;
  if (s < 604800) return `${Math.round(s / 86400)} d`;
  return DATE.format(then);
}

// Made once: a browser takes many milliseconds for the first of them.
const TIME = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat([], { month: "short", day: "numeric" });
const DATE = new Intl.DateTimeFormat([], { dateStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "medium" });
const COUNT = new Intl.NumberFormat("en");

/** The date and the time in the reader's zone. */
export const moment = (iso) => MOMENT.format(new Date(iso));

/** The time of day in the reader's zone; with the date when it is not today. */
export function clock(iso, now) {
  const then = new Date(iso ?? NaN);
  if (Number.isNaN(then.getTime())) return "";
  const time = TIME.format(then);
  const today = new Date(now).toDateString() === then.toDateString();
  return today ? time : `${DAY.format(then)}, ${time}`;
}

/** US dollars, with the digits that matter; nothing for what cost nothing, or is not known. */
export function dollars(n) {
  if (!Number.isFinite(n) || n === 0) return "";
  if (n > 0 && n < 0.0001) return "< $0.0001";
  return `$${n >= 1 ? n.toFixed(2) : n >= 0.01 ? n.toFixed(3) : n.toFixed(4)}`;
}

/** The last part of a path. */
export function baseName(path) {
  const parts = String(path ?? "")
    .split("/")
    .filter(Boolean);
  return parts.length ? parts[parts.length - 1] : "/";
}

/** A path relative to a directory, when it lies in it. */
export function relative(path, directory) {
  const root = directory && directory.endsWith("/") ? directory : `${directory}/`;
  return directory && String(path).startsWith(root) ? String(path).slice(root.length) : String(path ?? "");
}

/** The place of a file in a project, which an agent names from its folder `cwd` on; null when it is not in there. */
export function placeIn(path, cwd, project) {
  const named = String(path ?? "");
  if (!project || !named || /[\x00-\x1f]|^[a-z][\w+.-]*:|^\/\//i.test(named)) return null;
  const parts = [];
  for (const part of (named.startsWith("/") ? named : `${cwd || project}/${named}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part && part !== ".") parts.push(part);
  }
  const whole = `/${parts.join("/")}`;
  const inside = relative(whole, project);
  return inside !== whole && inside ? inside : null;
}

/** Only addresses that a click may open: http, https, mailto. Null for all others. */
export function safeUrl(url) {
  const trimmed = String(url).trim();
  if (/[\x00-\x20\x7f]/.test(trimmed)) return null;
  return /^(?:https?:\/\/|mailto:)[^\s]+$/i.test(trimmed) ? trimmed : null;
}

/** The remark about a worker beside its status: `{level, text}`, or null. `at(time)` formats a time of day. */
export function noteOf(worker, at) {
  const { warning, rate_limit: limit, resend_at: resend, status, reason } = worker;
  const until = limit?.resets_at ? ` until ${at(limit.resets_at)}` : "";
  if (warning) return { level: "error", text: plain(warning) };
  if (resend)
    return {
      level: "warning",
      text: `The usage limit is reached${until}. What waits is sent again at ${at(resend)}.`,
    };
  if (limit?.status === "rejected") return { level: "warning", text: `The usage limit is reached${until}.` };
  if (limit && limit.status !== "allowed")
    return {
      level: "info",
      text: `The usage limit is near${limit.resets_at ? `; it starts anew at ${at(limit.resets_at)}` : ""}.`,
    };
  if (status === "stopped" && worker.hibernated)
    return { level: "info", text: "Asleep, because nobody used it. A message wakes it." };
  if (["failed", "stalled"].includes(status) && reason)
    return { level: status === "failed" ? "error" : "warning", text: plain(reason) };
  return null;
}
