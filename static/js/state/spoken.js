// Messages and thoughts of the agent, whole and while they are being written. Pure; called by the timeline.

import { depth, item } from "./item.js";

// Placeholder for the beginning of a message that this page has not got.
const MISSED = "[…] ";
const NOTHING_READ = { blocks: [], read: 0 };
const PAIRS = /[\ud800-\udbff]/;

/** The number of code points of a text. */
const length = (text) => (PAIRS.test(text) ? [...text].length : text.length);

/** The first `count` code points of a text. */
const first = (text, count) => (PAIRS.test(text) ? [...text].slice(0, count).join("") : text.slice(0, count));

// The blocks of a whole message; null where the server made none.
const whole = (event) => ({ blocks: event.blocks ?? null, read: event.blocks ? event.content.length : 0 });

/** Takes whole messages of a kind: `assistant` or `thinking`. */
export function message(kind) {
  return (line, event, seq) => {
    if (finish(line, kind, event, seq)) return;
    if (!event.content) return;
    line.place(item(kind, event, seq, { id: event.message_id, text: event.content, ...whole(event), live: false }));
  };
}

// A finished message takes the place of the one that was being written.
function finish(line, of, event, seq) {
  const at = line.live.findIndex(
    (it) => it.kind === of && (!event.message_id || !it.id || it.id === event.message_id),
  );
  if (at < 0) return false;
  const [it] = line.live.splice(at, 1);
  line.change(it, {
    text: event.content,
    ...whole(event),
    live: false,
    seq,
    time: event.timestamp,
    id: event.message_id,
    depth: depth(event),
  });
  const { items } = line;
  const index = items.indexOf(it);
  const isAfter = items[index - 1]?.seq > seq;
  if (isAfter || items.slice(index + 1).some((other) => !other.live && other.seq < seq)) {
    items.splice(index, 1);
    line.place(it);
  }
  return true;
}

/**
 * Takes a piece of a message. It says how many characters (code points) of its message are before it: so one that
 * comes again, as after a new connection, changes nothing, and one that was missed shows.
 */
export function delta(line, event) {
  const kind = event.of === "thinking" ? "thinking" : "assistant";
  const piece = event.content ?? "";
  const open = line.live.find((it) => it.kind === kind && it.id === event.message_id);
  const offset = event.offset ?? open?.chars ?? 0;
  const before = open && offset >= open.from && offset <= open.chars ? first(open.body, offset - open.from) : null;
  const from = before === null ? offset : open.from;
  const body = (before ?? "") + piece;
  const known = before === null || !open ? NOTHING_READ : open;
  const fields = {
    from,
    body,
    chars: offset + length(piece),
    text: from ? MISSED + body : body,
    ...(from ? NOTHING_READ : changed(known, event, body)),
  };
  if (open) {
    line.change(open, fields);
    return;
  }
  const seq = (line.last()?.seq ?? 0) + 1e-6;
  const it = item(kind, event, seq, { id: event.message_id, live: true, ...fields });
  line.live.push(it);
  line.items.push(it);
}

// The blocks of a message that grows, and how much of its text is in them: a piece brings those that have changed.
function changed({ blocks, read }, event, body) {
  const from = event.blocks_from;
  if (!event.blocks || from > blocks.length) return { blocks, read: Math.min(read, body.length) };
  return { blocks: blocks.slice(0, from).concat(event.blocks), read: first(body, event.blocks_end).length };
}

/** Ends unfinished messages, because their turn or process has ended. */
export function endMessages(line) {
  for (const it of line.live) line.change(it, { live: false });
  line.live = [];
}
