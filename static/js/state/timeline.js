// What a conversation shows: a fold from events to items, in the order of their sequence numbers. Pure.
// An item is `{key, seq, kind, rev, time, depth, ...}`. Its key never changes; `rev` grows when it must be redrawn.

// Lines of stderr kept in one item.
const STDERR_LINES_MAX = 500;

let keys = 0;

export class Timeline {
  constructor() {
    this.items = [];
    this.rev = 0;
    this.calls = new Map();
    this.prompts = new Map();
    // The last prompt about each call: it may come before the call.
    this.asked = new Map();
    this.messages = new Map();
    this.live = [];
    this.results = new Map();
    this.resolutions = new Map();
    this.plan = null;
    // The sequence number of the event that says that the session was lost.
    this.forgotten = null;
  }

  /** Takes one event. `seq` is null for a delta. */
  add(event, seq) {
    const take = TAKES[event.type];
    this.rev += 1;
    if (take) take(this, event, seq);
    else this.place(item("unknown", event, seq, { raw: event.raw ?? event }));
  }

  /** Puts an older page, oldest event first, in front of what is there. */
  prepend(events) {
    const older = new Timeline();
    for (const event of events) older.add(event, event.seq);
    for (const [id, orphan] of this.results) {
      const call = older.calls.get(id);
      if (!call) continue;
      call.result = orphan.result;
      this.items.splice(this.items.indexOf(orphan), 1);
      this.results.delete(id);
      if (this.calls.get(id) === orphan) this.calls.set(id, call);
    }
    for (const [id, resolution] of this.resolutions) {
      const prompt = older.prompts.get(id);
      if (!prompt) continue;
      Object.assign(prompt, resolution);
      this.resolutions.delete(id);
    }
    this.items = older.items.concat(this.items);
    for (const name of ["calls", "prompts", "messages", "results", "resolutions"]) {
      for (const [id, value] of older[name]) if (!this[name].has(id)) this[name].set(id, value);
    }
    this.forgotten ??= older.forgotten;
    this.rev += 1;
  }

  /** Forgets the oldest items but for `count`; they can be paged in again. */
  keepLast(count) {
    const gone = this.items.splice(0, Math.max(0, this.items.length - count));
    for (const old of gone) {
      if (old.kind === "tool") this.calls.delete(old.id);
      if (old.kind === "prompt") {
        this.prompts.delete(old.id);
        this.asked.delete(old.event.tool_call_id);
      }
      if (old.kind === "user") this.messages.delete(old.id);
    }
    if (gone.length) this.rev += 1;
  }

  /** Index of the item that shows the event `seq`, or -1. */
  indexOf(seq) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.items[mid].seq <= seq) low = mid + 1;
      else high = mid;
    }
    return low - 1;
  }

  last() {
    return this.items[this.items.length - 1];
  }

  place(it) {
    const end = this.items.length;
    let at = end;
    while (at > 0 && this.items[at - 1].seq > it.seq) at -= 1;
    if (at === end) this.items.push(it);
    else this.items.splice(at, 0, it);
    return it;
  }

  change(it, fields) {
    Object.assign(it, fields);
    it.rev += 1;
  }

  // A finished message takes the place of the one that was being written.
  finish(of, event, seq) {
    const at = this.live.findIndex(
      (it) => it.kind === of && (!event.message_id || !it.id || it.id === event.message_id),
    );
    if (at < 0) return false;
    const [it] = this.live.splice(at, 1);
    this.change(it, {
      text: event.content,
      ...whole(event),
      live: false,
      seq,
      time: event.timestamp,
      id: event.message_id,
      depth: depth(event),
    });
    const index = this.items.indexOf(it);
    const isAfter = this.items[index - 1]?.seq > seq;
    if (isAfter || this.items.slice(index + 1).some((other) => !other.live && other.seq < seq)) {
      this.items.splice(index, 1);
      this.place(it);
    }
    return true;
  }
}

function item(kind, event, seq, fields) {
  keys += 1;
  return { key: `i${keys}`, seq, kind, rev: 0, time: event.timestamp, depth: depth(event), height: 0, ...fields };
}

const depth = (event) => (event.parent_tool_call_id ? 1 : 0);

const nothing = () => {};

// The blocks of a whole message; null where the server made none.
const whole = (event) => ({ blocks: event.blocks ?? null, read: event.blocks ? event.content.length : 0 });

function message(kind) {
  return (line, event, seq) => {
    if (line.finish(kind, event, seq)) return;
    if (!event.content) return;
    line.place(
      item(kind, event, seq, {
        id: event.message_id,
        text: event.content,
        ...whole(event),
        live: false,
        parent: event.parent_tool_call_id,
      }),
    );
  };
}

// A piece says how many characters (code points) of its message are before it. So one that comes again, as after a new
// connection, changes nothing, and one that was missed shows.
function delta(line, event) {
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

const NOTHING_READ = { blocks: [], read: 0 };

// The blocks of a message that grows, and how much of its text is in them: a piece brings those that are others now.
function changed({ blocks, read }, event, body) {
  const from = event.blocks_from;
  if (!event.blocks || from > blocks.length) return { blocks, read: Math.min(read, body.length) };
  return { blocks: blocks.slice(0, from).concat(event.blocks), read: first(body, event.blocks_end).length };
}

// Stands for the beginning of a message that this page has not got.
const MISSED = "[…] ";

const PAIRS = /[\ud800-\udbff]/;

/** How many code points a text has. */
const length = (text) => (PAIRS.test(text) ? [...text].length : text.length);

/** The first `count` code points of a text. */
const first = (text, count) => (PAIRS.test(text) ? [...text].slice(0, count).join("") : text.slice(0, count));

function user(line, event, seq) {
  const it = line.place(
    item("user", event, seq, {
      id: event.message_id,
      text: event.content ?? "",
      attachments: event.attachments ?? [],
      own: Boolean(event.message_id),
    }),
  );
  if (event.message_id) line.messages.set(event.message_id, it);
}

function toolCall(line, event, seq) {
  const known = line.calls.get(event.tool_call_id);
  if (known) {
    const input = event.input && Object.keys(event.input).length ? event.input : known.input;
    line.change(known, {
      input,
      name: event.name || known.name,
      tool: event.kind && event.kind !== "other" ? event.kind : known.tool,
      locations: event.locations?.length ? event.locations : known.locations,
    });
    return;
  }
  const it = item("tool", event, seq, {
    id: event.tool_call_id,
    name: event.name ?? "",
    input: event.input ?? {},
    tool: event.kind ?? "other",
    locations: event.locations ?? [],
    text: event.content ?? "",
    parent: event.parent_tool_call_id,
    result: null,
    waiting: line.asked.get(event.tool_call_id)?.resolved === null,
    ended: false,
  });
  line.calls.set(it.id, line.place(it));
}

function toolResult(line, event, seq) {
  const result = {
    text: event.content ?? "",
    isError: Boolean(event.is_error),
    output: event.output,
    diff: event.diff,
    seq,
    time: event.timestamp,
  };
  const call = line.calls.get(event.tool_call_id);
  if (call) {
    line.change(call, { result });
    return;
  }
  const it = item("tool", event, seq, {
    id: event.tool_call_id,
    name: "",
    input: {},
    tool: "other",
    locations: [],
    text: "",
    result,
    waiting: false,
    ended: false,
  });
  line.calls.set(it.id, line.place(it));
  line.results.set(it.id, it);
}

function plan(line, event, seq) {
  if (line.plan) line.change(line.plan, { entries: event.entries ?? [], time: event.timestamp });
  else line.plan = line.place(item("plan", event, seq, { entries: event.entries ?? [] }));
}

function request(line, event, seq) {
  if (line.prompts.has(event.request_id)) return;
  const it = item("prompt", event, seq, { id: event.request_id, event, resolved: null });
  line.prompts.set(it.id, line.place(it));
  line.asked.set(event.tool_call_id, it);
  const early = line.resolutions.get(it.id);
  if (early) Object.assign(it, early);
  const call = line.calls.get(event.tool_call_id);
  if (call && !it.resolved) line.change(call, { waiting: true });
}

function resolution(line, event) {
  const resolved = {
    decision: event.decision ?? null,
    answers: event.answers ?? null,
    by: event.by,
    text: event.content,
    time: event.timestamp,
  };
  const it = line.prompts.get(event.request_id);
  if (!it) {
    line.resolutions.set(event.request_id, { resolved });
    return;
  }
  line.change(it, { resolved });
  const call = line.calls.get(it.event.tool_call_id);
  if (call) line.change(call, { waiting: false });
}

function turnCompleted(line, event, seq) {
  for (const it of line.live) line.change(it, { live: false });
  line.live = [];
  line.plan = null;
  endCalls(line);
  line.place(item("turn", event, seq, { event }));
}

// A call that got no answer by the end of its turn will get none.
function endCalls(line) {
  for (let at = line.items.length - 1; at >= 0 && line.items[at].kind !== "turn"; at -= 1) {
    const it = line.items[at];
    if (it.kind === "tool" && !it.result && !it.ended) line.change(it, { ended: true, waiting: false });
  }
}

function status(line, event, seq) {
  if (!["failed", "stalled", "stopped"].includes(event.status)) return;
  const level = event.status === "failed" ? "error" : event.status === "stalled" ? "warning" : "info";
  line.place(
    item("notice", event, seq, { level, code: event.status, text: event.reason || event.content || event.status }),
  );
}

function rateLimit(line, event, seq) {
  if (event.status === "allowed") return;
  const [level, how] = event.status === "rejected" ? ["error", "reached"] : ["warning", "near"];
  line.place(item("notice", event, seq, { level, text: `The usage limit is ${how}.`, until: event.resets_at }));
}

function error(line, event, seq) {
  if (event.code === "session_not_found") line.forgotten = seq;
  notice("error")(line, event, seq);
}

const notice = (level) => (line, event, seq) => {
  line.place(item("notice", event, seq, { level, code: event.code ?? "", text: event.content ?? "" }));
};

function stderr(line, event, seq) {
  const last = line.last();
  if (last?.kind === "stderr" && last.lines.length < STDERR_LINES_MAX) {
    last.lines.push(event.content ?? "");
    line.change(last, {});
  } else line.place(item("stderr", event, seq, { lines: [event.content ?? ""] }));
}

function exit(line, event, seq) {
  for (const it of line.live) line.change(it, { live: false });
  line.live = [];
  endCalls(line);
  line.place(item("exit", event, seq, { event }));
}

const TAKES = {
  user,
  assistant: message("assistant"),
  thinking: message("thinking"),
  delta,
  tool_call: toolCall,
  tool_result: toolResult,
  plan,
  permission_request: request,
  permission_resolved: resolution,
  question: request,
  question_resolved: resolution,
  turn_started: nothing,
  turn_completed: turnCompleted,
  usage: nothing,
  session: nothing,
  setting: nothing,
  options: nothing,
  message_state: nothing,
  rate_limit: rateLimit,
  status,
  error,
  notice: notice("info"),
  stderr,
  exit,
};
