// The items of a conversation: a fold from events to items, in the order of their sequence numbers. Pure.
// `items` has all of them; `shown()` is what a reader sees of them.

import { endCalls, endTasks, join, request, resolution, task, toolCall, toolResult } from "./calls.js";
import { item } from "./item.js";
import { timelines } from "./pending.js";
import { shownOf } from "./shown.js";
import { delta, endMessages, message } from "./spoken.js";

// Lines of stderr kept in one item.
const STDERR_LINES_MAX = 500;
// Most items that are kept in a sub-agent's card; the oldest are dropped.
const INSIDE_MAX = 2_000;
const MAPS = ["calls", "prompts", "messages", "results", "resolutions", "tasks"];

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
    // Background commands and sub-agents, by the ids that the CLI gives them.
    this.tasks = new Map();
    this.plan = null;
    // The sequence number of the last end of a turn.
    this.turnSeq = 0;
    // The sequence number of the event that says that the session was lost.
    this.forgotten = null;
    this.groups = new Map();
    this.seen = { rev: -1, list: [] };
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
    join(this, older);
    this.items = older.items.concat(this.items);
    for (const name of MAPS) {
      for (const [id, value] of older[name]) if (!this[name].has(id)) this[name].set(id, value);
    }
    this.forgotten ??= older.forgotten;
    this.rev += 1;
  }

  /** Forgets the oldest items but for `count`; they can be paged in again. */
  keepLast(count) {
    const gone = this.items.splice(0, Math.max(0, this.items.length - count));
    const forget = (old) => {
      if (old.kind === "tool") this.calls.delete(old.id);
      if (old.kind === "prompt") {
        this.prompts.delete(old.id);
        this.asked.delete(old.event.tool_call_id);
      }
      if (old.kind === "user") this.messages.delete(old.id);
      old.inside?.forEach(forget);
    };
    gone.forEach(forget);
    if (gone.length) this.rev += 1;
  }

  /** The lines of the conversation, in order: items, and groups of those that are one line together. */
  shown() {
    if (this.seen.rev !== this.rev) this.seen = { rev: this.rev, list: shownOf(this.items, this.groups) };
    return this.seen.list;
  }

  /** The item of the event `seq`; undefined when it is before all that is loaded. */
  shownAt(seq) {
    const list = this.shown();
    let at = indexIn(list, seq);
    // A sub-agent's card is where it began.
    const holder = list.findLast((it) => it.seq <= seq && it.inside?.some((one) => Math.floor(one.seq) === seq));
    if (holder) return holder;
    // An item that the next one repeats is not shown.
    const it = this.items[this.indexOf(seq)];
    const isShown = !it || list[at] === it || list[at]?.items?.includes(it);
    if (!isShown && at + 1 < list.length) at += 1;
    return list[at];
  }

  /** Index of the item that shows the event `seq`, or -1. */
  indexOf(seq) {
    return indexIn(this.items, seq);
  }

  last() {
    return this.items[this.items.length - 1];
  }

  /** Puts an item to its place: into the card of the sub-agent that it is of, or among the others. */
  place(it) {
    return this.put(it, it.kind === "prompt" ? undefined : this.calls.get(it.parent));
  }

  put(it, call) {
    const list = call ? (call.inside ??= []) : this.items;
    let at = list.length;
    while (at > 0 && list[at - 1].seq > it.seq) at -= 1;
    if (at === list.length) list.push(it);
    else list.splice(at, 0, it);
    if (!call) return it;
    it.home = call;
    it.depth = 0;
    if (list.length > INSIDE_MAX) {
      list.shift();
      call.insideGone = (call.insideGone ?? 0) + 1;
    }
    this.change(call, {});
    return it;
  }

  remove(it) {
    const at = this.items.indexOf(it);
    if (at >= 0) this.items.splice(at, 1);
  }

  /** Changes an item; the cards that it is in are drawn anew too. */
  change(it, fields) {
    Object.assign(it, fields);
    for (let up = it; up; up = up.home) up.rev += 1;
  }
}

function indexIn(items, seq) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (items[mid].seq <= seq) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}

const nothing = () => {};

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

function plan(line, event, seq) {
  if (line.plan) line.change(line.plan, { entries: event.entries ?? [], time: event.timestamp });
  else line.plan = line.place(item("plan", event, seq, { entries: event.entries ?? [] }));
}

function turnCompleted(line, event, seq) {
  endMessages(line);
  line.plan = null;
  endCalls(line);
  line.turnSeq = seq;
  line.place(item("turn", event, seq, { event }));
}

function status(line, event, seq) {
  if (!["failed", "stalled", "stopped"].includes(event.status)) return;
  const level = event.status === "failed" ? "error" : event.status === "stalled" ? "warning" : "info";
  line.place(
    item("notice", event, seq, {
      level,
      code: event.status,
      text: event.reason || event.content || event.status,
      reason: event.reason ?? "",
    }),
  );
}

function rateLimit(line, event, seq) {
  if (event.status === "allowed") return;
  if (event.status === "retrying") {
    // The line about the retry says it.
    if (line.last()?.code !== "api_retry") notice("warning")(line, { code: "api_retry", ...event }, seq);
    return;
  }
  const [level, how] = event.status === "rejected" ? ["error", "reached"] : ["warning", "near"];
  line.place(item("notice", event, seq, { level, text: `The usage limit is ${how}.`, until: event.resets_at }));
}

function error(line, event, seq) {
  if (event.code === "session_not_found") line.forgotten = seq;
  // Nothing has failed yet.
  notice(event.code === "api_retry" ? "warning" : "error")(line, event, seq);
}

const notice = (level) => (line, event, seq) => {
  if (event.task?.id) task(line, event, seq);
  else line.place(item("notice", event, seq, { level, code: event.code ?? "", text: event.content ?? "" }));
};

function stderr(line, event, seq) {
  const last = line.last();
  if (last?.kind === "stderr" && last.lines.length < STDERR_LINES_MAX) {
    last.lines.push(event.content ?? "");
    line.change(last, {});
  } else line.place(item("stderr", event, seq, { lines: [event.content ?? ""] }));
}

function exit(line, event, seq) {
  endMessages(line);
  endTasks(line);
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
  review: nothing,
  message_state: nothing,
  rate_limit: rateLimit,
  status,
  error,
  notice: notice("info"),
  stderr,
  exit,
};

timelines.make = () => new Timeline();
