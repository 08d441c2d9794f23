// The page's state and how frames of the server change it. Pure: no DOM, no network, no clock of its own.
// Views read it; only the functions of this folder write it. `rev` counts the changes of each part, so that views know
// what to draw.

import { side } from "./effects.js";
import { timelines } from "./pending.js";

// Items of one conversation kept in memory; older ones are paged in again when someone scrolls to them.
const ITEMS_MAX = 20_000;
const ITEMS_KEPT = 15_000;
// Conversations kept besides the open one.
const CONVERSATIONS_MAX = 6;

const PROMPTS = { permission_request: "permission", question: "question" };
// Fields of a worker that say where lists show it.
const ARRANGED = ["name", "pinned", "archived", "snoozed_until"];
const RESOLVED = new Set(["permission_resolved", "question_resolved"]);

/**
 * The state of a page that has just been opened. `seen` is the last seq that was read of each worker.
 * @returns {import("page").PageState}
 */
export function initial(seen = {}) {
  return {
    connection: { phase: "connecting", retryAt: 0, everOpen: false },
    epoch: 0,
    loaded: false,
    workers: new Map(),
    prompts: new Map(),
    closed: new Set(),
    deleted: new Set(),
    answers: new Map(),
    conversations: new Map(),
    selected: null,
    seen,
    events: [],
    rev: { workers: 0, prompts: 0, connection: 0, conversation: 0, queue: 0 },
  };
}

/** The conversation with a worker, made when there is none yet. */
export function conversation(state, id) {
  let conv = state.conversations.get(id);
  if (!conv) {
    conv = {
      id,
      timeline: timelines.make(),
      phase: "closed",
      cursor: null,
      at: null,
      early: new Set(),
      oldest: null,
      hasMore: false,
      loadingOlder: false,
      olderError: null,
      session: {},
      options: null,
      context: null,
      turns: [],
      turnStarted: null,
      stderr: [],
      queue: new Map(),
      outbox: [],
      error: null,
      failures: 0,
    };
    state.conversations.set(id, conv);
  }
  return conv;
}

/** Moves the cursor to an event, or to the end of the history, that is newer. */
function advance(conv, seq, at) {
  if (conv.cursor === null || seq > conv.cursor) Object.assign(conv, { cursor: seq ?? 0, at: at ?? null });
}

/** The cursor to subscribe with; null when the recent history must be loaded first. */
export function subscribing(state, id) {
  const conv = conversation(state, id);
  conv.phase = "replaying";
  conv.error = null;
  conv.olderError = null;
  state.rev.conversation += 1;
  return conv.cursor;
}

/**
 * Applies a frame of the server. Unknown ones change nothing.
 * @param {import("page").PageState} state
 * @param {import("page").ServerFrame} frame
 */
export function apply(state, frame) {
  switch (frame.type) {
    case "workers":
      return snapshot(state, frame.workers ?? []);
    case "worker":
      return putWorker(state, frame.worker);
    case "worker_deleted":
      return dropWorker(state, frame.worker_id);
    case "replay_complete":
      return replayed(state, frame);
    case "resync_required":
      return resync(state, frame);
    case "output":
      return output(state, frame);
    default:
      return undefined;
  }
}

/** A connection was made. */
export function connected(state) {
  state.connection = { phase: "open", retryAt: 0, everOpen: true };
  state.rev.connection += 1;
}

/** The connection was lost; the next try is at `retryAt` (milliseconds, as the caller's clock says). */
export function lost(state, retryAt) {
  state.connection = { ...state.connection, phase: "lost", retryAt };
  for (const conv of state.conversations.values()) if (conv.phase !== "closed") conv.phase = "broken";
  state.rev.connection += 1;
  state.rev.conversation += 1;
}

/** The server asks for a login: there is no connection until then. */
export function loginNeeded(state) {
  state.connection = { ...state.connection, phase: "login" };
  state.rev.connection += 1;
}

/** The inbox is asked for: what changes until it comes is newer than it. */
export function promptsAsked(state) {
  state.closed.clear();
  state.epoch += 1;
  return state.epoch;
}

/** The inbox, as it was asked for at `epoch`. */
export function promptsLoaded(state, list, epoch) {
  const open = new Set();
  for (const event of list) {
    const key = promptKey(event.worker_id, event.request_id);
    open.add(key);
    if (!state.closed.has(key)) putPrompt(state, event.worker_id, event);
  }
  for (const [key, prompt] of state.prompts) if (!open.has(key) && prompt.epoch < epoch) state.prompts.delete(key);
  state.rev.prompts += 1;
}

// The whole list: after connecting, and when this page was too slow for single changes.
function snapshot(state, workers) {
  const listed = new Set(workers.map((worker) => worker.id));
  for (const id of state.workers.keys()) if (!listed.has(id)) dropWorker(state, id);
  for (const worker of workers) putWorker(state, worker);
  state.loaded = true;
  state.rev.workers += 1;
}

function putWorker(state, worker) {
  // Ids are never used again: what still comes of a deleted worker is late.
  if (!worker?.id || state.deleted.has(worker.id)) return;
  const known = state.workers.get(worker.id);
  // The arrangement of the list does not count as activity of the worker.
  const isArranged = known && ARRANGED.some((name) => known[name] !== worker[name]);
  if (isArranged && known.status === worker.status && state.seen[worker.id] >= known.last_seq)
    state.seen[worker.id] = Math.max(state.seen[worker.id], worker.last_seq ?? 0);
  state.workers.set(worker.id, { ...known, ...worker });
  if (state.seen[worker.id] === undefined && !known) state.seen[worker.id] = worker.last_seq ?? 0;
  if (known && known.status !== worker.status) {
    state.events.push({ type: "status", worker_id: worker.id, from: known.status, to: worker.status });
  }
  state.rev.workers += 1;
}

function dropWorker(state, id) {
  state.deleted.add(id);
  state.workers.delete(id);
  state.conversations.delete(id);
  delete state.seen[id];
  for (const [key, prompt] of state.prompts) if (prompt.worker_id === id) state.prompts.delete(key);
  state.rev.workers += 1;
  state.rev.prompts += 1;
}

export const promptKey = (worker, request) => `${worker}\n${request}`;

function putPrompt(state, worker, event) {
  const key = promptKey(worker, event.request_id);
  if (state.prompts.has(key)) return;
  state.prompts.set(key, {
    key,
    worker_id: worker,
    request_id: event.request_id,
    kind: PROMPTS[event.type] ?? "permission",
    event,
    epoch: state.epoch,
  });
  state.events.push({ type: "prompt", worker_id: worker, key });
  state.rev.prompts += 1;
}

/** The recent history of a worker that is being opened, oldest first; what follows it is subscribed to. */
export function historyLoaded(state, id, page) {
  const conv = conversation(state, id);
  if (conv.cursor !== null) return;
  const events = page.messages ?? [];
  for (const event of events) take(state, conv, event, event.seq);
  advance(conv, page.last_seq, page.last_timestamp);
  conv.oldest = events[0]?.seq ?? null;
  conv.hasMore = Boolean(page.has_more);
  state.rev.conversation += 1;
}

function replayed(state, frame) {
  const conv = conversation(state, frame.worker_id);
  conv.phase = "live";
  advance(conv, frame.seq, frame.timestamp);
  conv.early.clear();
  state.rev.conversation += 1;
}

function resync(state, frame) {
  const conv = conversation(state, frame.worker_id);
  state.conversations.delete(conv.id);
  const fresh = conversation(state, conv.id);
  fresh.phase = "replaying";
  fresh.outbox = conv.outbox;
  fresh.oldest = frame.earliest_seq ?? null;
  fresh.timeline.add(
    {
      type: "notice",
      code: "",
      content: "The history is another one than before: here it is from its beginning.",
      timestamp: null,
    },
    0,
  );
  state.rev.conversation += 1;
}

function output(state, frame) {
  const { worker_id: id, seq, content: event } = frame;
  if (!event) return;
  event.timestamp ??= frame.timestamp;
  const isPrompt = event.type in PROMPTS || RESOLVED.has(event.type);
  if (isPrompt || event.type === "message_state") event.seq ??= seq;
  if (isPrompt) promptEvent(state, id, event);
  const worker = state.workers.get(id);
  if (worker && seq > (worker.last_seq ?? 0)) worker.last_seq = seq;
  const conv = state.conversations.get(id);
  if (!conv || (conv.phase !== "live" && conv.phase !== "replaying")) return;
  state.rev.conversation += 1;
  if (seq === undefined || seq === null) {
    conv.timeline.add(event, null);
    return;
  }
  // Frames are numbered: one that was seen before is not taken again. A prompt comes on its own as well, for the
  // list of workers, so the first of the two may be ahead of the others and must not move the cursor.
  if (conv.cursor !== null && seq <= conv.cursor) return;
  if (conv.early.delete(seq)) {
    advance(conv, seq, event.timestamp);
    return;
  }
  if (isPrompt) {
    conv.early.add(seq);
    conv.timeline.add(event, seq);
  } else {
    take(state, conv, event, seq);
    for (const early of conv.early) if (early < seq) conv.early.delete(early);
  }
  if (conv.timeline.items.length > ITEMS_MAX) {
    conv.timeline.keepLast(ITEMS_KEPT);
    conv.oldest = conv.timeline.items[0].seq;
    conv.hasMore = true;
  }
}

function take(state, conv, event, seq) {
  advance(conv, seq, event.timestamp);
  conv.oldest ??= seq;
  conv.timeline.add(event, seq);
  side(state, conv, event);
}

function promptEvent(state, worker, event) {
  if (event.type in PROMPTS) putPrompt(state, worker, event);
  else {
    const key = promptKey(worker, event.request_id);
    state.closed.add(key);
    state.answers.delete(key);
    if (state.prompts.delete(key)) state.rev.prompts += 1;
  }
}

/** Sets the state of an answer to a prompt: `sending`, or refused with an `error`; null forgets it. */
export function answering(state, key, answer) {
  if (answer) state.answers.set(key, answer);
  else state.answers.delete(key);
  state.rev.prompts += 1;
  state.rev.conversation += 1;
}

/** An older page of history, oldest first. */
export function olderLoaded(state, id, page) {
  const conv = state.conversations.get(id);
  if (!conv) return;
  conv.loadingOlder = false;
  const events = (page.messages ?? []).filter((event) => conv.oldest === null || event.seq < conv.oldest);
  conv.timeline.prepend(events);
  if (events.length) conv.oldest = events[0].seq;
  conv.hasMore = Boolean(page.has_more) && events.length > 0;
  const session = events.filter((event) => event.type === "session").pop();
  if (session) conv.session = { ...session, ...conv.session };
  conv.turns.unshift(
    ...events
      .filter((event) => event.type === "turn_completed")
      .map((event) => ({
        time: event.timestamp,
        usage: event.usage ?? {},
        cost: event.cost_usd ?? 0,
        ms: event.duration_ms ?? 0,
      })),
  );
  state.rev.conversation += 1;
}

/** The server was asked to stop sending this worker's events. */
export function unsubscribed(state, id) {
  const conv = state.conversations.get(id);
  if (conv) conv.phase = "closed";
}

/** Remembers the slash commands of a session, which may be pages back. */
export function commandsLoaded(state, id, commands) {
  conversation(state, id).session.commands = commands;
}

/** Remembers the place that was read last in a conversation; null is its end. */
export function keepPlace(conv, place) {
  conv.place = place;
}

/** Adds a worker that this page has just created, before the server's list has it. */
export function created(state, worker) {
  if (state.workers.has(worker.id)) return;
  state.workers.set(worker.id, worker);
  state.seen[worker.id] = worker.last_seq ?? 0;
  state.rev.workers += 1;
}

/** The queue, as `GET queue` returns it. */
export function queueLoaded(state, id, list) {
  const conv = conversation(state, id);
  conv.queue = new Map(
    list
      .filter((entry) => entry.state === "queued")
      .map(({ message_id: id, content: text, attachments, seq, timestamp: time }) => [
        id,
        { id, text, attachments, seq, time },
      ]),
  );
  state.rev.queue += 1;
}

/** Opens a worker (or none) and forgets conversations that nobody has looked at for long. */
export function select(state, id) {
  state.selected = id;
  if (id) {
    const conv = conversation(state, id);
    state.conversations.delete(id);
    state.conversations.set(id, conv);
    markSeen(state, id);
  }
  for (const [old, conv] of state.conversations) {
    if (state.conversations.size <= CONVERSATIONS_MAX) break;
    if (old !== id && conv.outbox.length === 0) state.conversations.delete(old);
  }
  state.rev.conversation += 1;
  state.rev.workers += 1;
}

/** Everything of this worker has been read. */
export function markSeen(state, id) {
  const last = state.workers.get(id)?.last_seq;
  if (last === undefined || state.seen[id] === last) return false;
  state.seen[id] = last;
  state.rev.workers += 1;
  return true;
}

export const isUnread = (state, worker) => (worker.last_seq ?? 0) > (state.seen[worker.id] ?? Infinity);

/** The open prompts of a worker, or of all, oldest first. */
export function openPrompts(state, worker = null) {
  return [...state.prompts.values()].filter((prompt) => worker === null || prompt.worker_id === worker);
}

/** The status as people see it: a worker that was stopped because nobody used it sleeps. */
export const shownStatus = (worker, status) => (status === "stopped" && worker.hibernated ? "asleep" : status);
