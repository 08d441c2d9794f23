// The page's state: every event once, in order, over any number of connections.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, route } from "../../static/js/lib/router.js";
import { listed } from "../../static/js/state/listed.js";
import * as model from "../../static/js/state/state.js";
import { Pending, timelines, timelinesLoaded } from "../../static/js/state/pending.js";
import { Timeline } from "../../static/js/state/timeline.js";
import { Extent } from "../../static/js/lib/window.js";
import { matchCommands, trigger } from "../../static/js/views/completion.js";

const worker = (id, fields = {}) => ({ id, name: id, project_path: `/p/${id}`, ai_cli_type: "claude", status: "idle", last_activity: "2026-01-01T00:00:00Z", last_seq: 10, ...fields });
const output = (id, seq, content) => ({ type: "output", worker_id: id, seq, timestamp: "t", content });
const say = (text, id) => ({ type: "assistant", content: text, message_id: id });
const ask = (id, call) => ({ type: "permission_request", request_id: id, tool_call_id: call, tool_name: "Bash", input: {}, options: [], content: "" });

function open(id = "w") {
  const state = model.initial();
  model.apply(state, { type: "workers", workers: [worker("w"), worker("v")] });
  model.connected(state);
  model.select(state, id);
  assert.equal(model.subscribing(state, id), null);
  model.historyLoaded(state, id, { messages: [{ seq: 5, ...say("old") }], has_more: true, last_seq: 9 });
  model.apply(state, { type: "replay_complete", worker_id: id, seq: 9 });
  return state;
}
const texts = (state, id = "w") => state.conversations.get(id).timeline.items.map((it) => it.text ?? it.kind);

test("history, replay and live events show each event once", () => {
  const state = open();
  for (const seq of [10, 11, 11, 10, 12]) model.apply(state, output("w", seq, say(`m${seq}`)));
  assert.deepEqual(texts(state), ["old", "m10", "m11", "m12"]);
  model.lost(state, 0);
  assert.equal(model.subscribing(state, "w"), 12);
  for (const seq of [12, 13]) model.apply(state, output("w", seq, say(`m${seq}`)));
  model.apply(state, { type: "replay_complete", worker_id: "w", seq: 13 });
  assert.deepEqual(texts(state), ["old", "m10", "m11", "m12", "m13"]);
});

test("a prompt that overtakes the replay is shown once", () => {
  const state = open();
  model.lost(state, 0);
  model.subscribing(state, "w");
  model.apply(state, output("w", 90, ask("r")));
  model.apply(state, output("w", 50, say("replayed")));
  model.apply(state, output("w", 90, ask("r")));
  model.apply(state, { type: "replay_complete", worker_id: "w", seq: 95 });
  assert.deepEqual(texts(state), ["old", "replayed", "prompt"]);
  assert.equal(state.conversations.get("w").cursor, 95);
});

test("a prompt that overtakes live events hides none of them", () => {
  const state = open();
  const apply = (seq, event) => model.apply(state, output("w", seq, event));
  apply(90, ask("r", "c"));
  apply(null, piece(0, "I wi"));
  apply(50, say("I will", "m"));
  apply(60, { type: "tool_call", tool_call_id: "c", name: "Bash", kind: "execute", input: { command: "ls" } });
  const conv = state.conversations.get("w");
  assert.equal(conv.cursor, 60);
  assert.deepEqual(conv.timeline.items.map((it) => [it.kind, it.seq, it.waiting]), [["assistant", 5, undefined], ["assistant", 50, undefined], ["tool", 60, true], ["prompt", 90, undefined]]);
  apply(90, ask("r", "c"));
  assert.deepEqual([conv.cursor, conv.early.size, conv.timeline.items.length], [90, 0, 4]);
  apply(100, { type: "permission_resolved", request_id: "r", decision: "allow_once", by: "user" });
  assert.equal(conv.timeline.items[2].waiting, false);
  apply(110, say("after"));
  apply(100, { type: "permission_resolved", request_id: "r", decision: "allow_once", by: "user" });
  assert.deepEqual([conv.cursor, conv.early.size], [110, 0]);
});

test("a prompt of a closed worker leaves its cursor alone", () => {
  const state = open();
  model.select(state, "v");
  state.conversations.get("w").phase = "closed";
  model.apply(state, output("w", 500, ask("r")));
  assert.equal(state.conversations.get("w").cursor, 9);
  assert.equal(model.openPrompts(state).length, 1);
});

test("prompts close on any answer, even while the inbox loads", () => {
  const state = open();
  model.apply(state, output("v", 20, ask("a")));
  const epoch = model.promptsAsked(state);
  model.apply(state, output("v", 21, ask("b")));
  model.apply(state, output("v", 22, { type: "permission_resolved", request_id: "a", decision: "deny", by: "user" }));
  model.promptsLoaded(state, [{ worker_id: "v", ...ask("a") }, { worker_id: "v", ...ask("c") }], epoch);
  assert.deepEqual(model.openPrompts(state).map((prompt) => prompt.request_id).sort(), ["b", "c"]);
  model.promptsLoaded(state, [], model.promptsAsked(state));
  assert.deepEqual(model.openPrompts(state), []);
});

test("waiting workers come first, then failed, then working ones", () => {
  const state = model.initial();
  model.apply(state, { type: "workers", workers: [worker("idle"), worker("stopped", { status: "stopped" }), worker("busy", { status: "busy" }), worker("failed", { status: "failed" }), worker("asks", { status: "busy" })] });
  model.apply(state, output("asks", 20, ask("r")));
  assert.deepEqual(listed(state).map(({ worker: { id } }) => id), ["asks", "failed", "busy", "idle", "stopped"]);
  assert.deepEqual(listed(state, "P/ID claude").map(({ worker: { id } }) => id), ["idle"]);
  assert.deepEqual(listed(state, "", "waiting").map(({ worker: { id } }) => id), ["asks"]);
});

test("output is unread until its worker is opened", () => {
  const state = open();
  assert.equal(model.isUnread(state, state.workers.get("v")), false);
  model.apply(state, { type: "worker", worker: worker("v", { last_seq: 30 }) });
  assert.equal(model.isUnread(state, state.workers.get("v")), true);
  model.select(state, "v");
  assert.equal(model.isUnread(state, state.workers.get("v")), false);
});

test("deleted workers are gone with all that belongs to them", () => {
  const state = open();
  model.apply(state, output("w", 20, ask("r")));
  model.apply(state, { type: "worker_deleted", worker_id: "w" });
  assert.deepEqual([state.workers.has("w"), state.conversations.has("w"), state.prompts.size], [false, false, 0]);
  model.apply(state, { type: "worker", worker: worker("w", { status: "stopped" }) });
  assert.equal(state.workers.has("w"), false, "a late frame brings it back");
  model.apply(state, { type: "workers", workers: [] });
  assert.equal(state.workers.size, 0);
});

test("queued messages and the outbox follow the server's word", () => {
  const state = open();
  const conv = state.conversations.get("w");
  conv.outbox.push({ client_message_id: "c1", content: "x" });
  model.apply(state, output("w", 20, { type: "message_state", message_id: "m", client_message_id: "c1", state: "queued", text: "x" }));
  assert.deepEqual([conv.outbox.length, [...conv.queue.values()].map((one) => one.text)], [0, ["x"]]);
  model.apply(state, output("w", 21, { type: "message_state", message_id: "m", state: "queued", text: "y" }));
  assert.equal(conv.queue.get("m").text, "y");
  model.apply(state, output("w", 22, { type: "user", message_id: "m", content: "y" }));
  assert.equal(conv.queue.size, 0);
});

test("another history is shown from its beginning", () => {
  const state = open();
  model.apply(state, { type: "resync_required", worker_id: "w", earliest_seq: 40 });
  model.apply(state, output("w", 40, say("new")));
  assert.deepEqual(texts(state), ["The history is another one than before: here it is from its beginning.", "new"]);
});

test("a long conversation is bounded and can be paged back", () => {
  const state = open();
  for (let seq = 10; seq < 20_100; seq += 1) model.apply(state, output("w", seq, say(`m${seq}`)));
  const conv = state.conversations.get("w");
  assert.ok(conv.timeline.items.length <= 20_000);
  assert.equal(conv.hasMore, true);
  assert.equal(conv.oldest, conv.timeline.items[0].seq);
  const page = Array.from({ length: 10 }, (_, at) => ({ seq: conv.oldest - 10 + at, ...say("again") }));
  model.olderLoaded(state, "w", { messages: page, has_more: false });
  assert.equal(conv.timeline.items[0].seq, page[0].seq);
});

const piece = (offset, content, id = "m", of = "assistant") => ({ type: "delta", of, message_id: id, offset, content });

test("deltas grow one message until the final one replaces it", () => {
  const line = new Timeline();
  line.add(piece(0, "He"), null);
  line.add(piece(2, "llo"), null);
  line.add(piece(0, "hm", "m", "thinking"), null);
  const [first] = line.items;
  assert.deepEqual([first.text, first.live], ["Hello", true]);
  line.add(say("Hello!", "m"), 7);
  assert.equal(line.items[0], first);
  assert.deepEqual([first.text, first.live, first.seq], ["Hello!", false, 7]);
});

test("pieces that come again change nothing, and missed ones show", () => {
  const line = new Timeline();
  const text = () => line.items[0].text;
  line.add(piece(0, "Grüße 🦀"), null);
  line.add(piece(7, " and"), null);
  assert.equal(text(), "Grüße 🦀 and");
  line.add(piece(0, "Grüße 🦀 and more"), null);
  line.add(piece(16, "!"), null);
  assert.equal(text(), "Grüße 🦀 and more!");
  line.add(piece(7, " and more!"), null);
  assert.equal(text(), "Grüße 🦀 and more!");
  line.add(piece(40, "later"), null);
  line.add(piece(45, " on"), null);
  assert.equal(text(), "[…] later on");
  line.add(piece(0, "All of it"), null);
  assert.equal(text(), "All of it");
  assert.equal(line.items.length, 1);
});

test("a message that is being written outlives its connection", () => {
  const state = open();
  model.apply(state, output("w", null, piece(0, "Half a ")));
  model.lost(state, 0);
  model.subscribing(state, "w");
  assert.deepEqual(texts(state), ["old", "Half a "]);
  model.apply(state, output("w", null, piece(0, "Half a sentence")));
  assert.deepEqual(texts(state), ["old", "Half a sentence"]);
});

test("a finished message that was overtaken moves to its place", () => {
  const line = new Timeline();
  line.add(piece(0, "x"), null);
  line.add({ type: "stderr", content: "noise" }, 5);
  line.add(say("xy", "m"), 6);
  assert.deepEqual(line.items.map((it) => it.kind), ["stderr", "assistant"]);
});

test("tool calls join their results across pages", () => {
  const line = new Timeline();
  line.add({ type: "tool_result", tool_call_id: "c", content: "out" }, 20);
  line.add({ type: "permission_resolved", request_id: "r", decision: "allow_once", by: "user" }, 21);
  line.prepend([{ seq: 1, type: "tool_call", tool_call_id: "c", name: "Bash", kind: "execute", input: {} }, { seq: 2, ...ask("r", "c") }]);
  assert.deepEqual(line.items.map((it) => [it.kind, it.name, it.result?.text, it.resolved?.decision]), [["tool", "Bash", "out", undefined], ["prompt", undefined, undefined, "allow_once"]]);
  line.add({ type: "tool_call", tool_call_id: "c", name: "Bash", kind: "execute", input: { command: "ls" } }, 30);
  assert.equal(line.items.length, 2);
  assert.equal(line.items[0].input.command, "ls");
});

test("a call without an answer has ended with its turn", () => {
  const line = new Timeline();
  line.add({ type: "tool_call", tool_call_id: "c", name: "Bash", kind: "execute", input: {} }, 1);
  line.add({ type: "turn_completed", turn_id: "t", stop_reason: "interrupted" }, 2);
  assert.equal(line.items[0].ended, true);
});

test("unknown events are shown as unknown", () => {
  const line = new Timeline();
  line.add({ type: "brand_new", content: "x" }, 1);
  assert.equal(line.items[0].kind, "unknown");
});

test("the window holds items near the viewport by their heights", () => {
  const items = Array.from({ length: 10_000 }, (_, at) => ({ kind: "tool", height: at % 2 ? 100 : 0 }));
  const extent = new Extent();
  extent.measure(items);
  assert.equal(extent.total, 5000 * 100 + 5000 * 44);
  assert.equal(extent.at(0), 0);
  assert.equal(extent.at(44), 1);
  assert.equal(extent.at(1e9), 9999);
  const [from, to] = extent.range(extent.top(5000), 800, 400);
  assert.ok(from > 4985 && from < 5000 && to > 5008 && to < 5030);
  extent.measure([]);
  assert.deepEqual(extent.range(0, 800, 400), [0, 0]);
});

test("addresses name views, and invalid ones lead home", () => {
  assert.deepEqual(route("#/w/a%20b/m/12"), { view: "worker", worker: "a b", seq: 12, beside: [] });
  assert.deepEqual(route("#/w/x/m/evil"), { view: "worker", worker: "x", seq: null, beside: [] });
  const many = { view: "worker", worker: "x", seq: 7, beside: ["a/b", "c"] };
  assert.deepEqual(route(addressOf("x", many.beside, 7)), many);
  assert.deepEqual(route("#/w/x/with/a/b/c/d/").beside, ["a", "b", "c"]);
  assert.deepEqual(route("#/inbox"), { view: "inbox" });
  for (const odd of ["", "#", "#/w/", "#/zzz"]) assert.equal(route(odd).view, "home");
  assert.equal(route("#/w/%E0%A4%A").worker, "%E0%A4%A");
});

test("commands complete at the beginning, files after an at sign", () => {
  assert.deepEqual(trigger("/co", 3), { kind: "command", query: "co", from: 0 });
  assert.equal(trigger("a /co", 5), null);
  assert.deepEqual(trigger("see @src/m", 10), { kind: "file", query: "src/m", from: 4 });
  assert.equal(trigger("me@example", 10), null);
  assert.deepEqual(matchCommands([{ name: "recompact" }, { name: "compact", description: "d" }, "clear"], "com").map((one) => one.value), ["/compact ", "/recompact "]);
});

const paragraph = (v) => ({ t: "paragraph", c: [{ t: "text", v }] });

test("blocks of a growing message stay until replaced", () => {
  const line = new Timeline();
  const it = () => line.items[0];
  const grow = (offset, content, more) => line.add({ ...piece(offset, content), ...more }, null);
  grow(0, "# é🦀\n\na", { blocks_from: 0, blocks_end: 7, blocks: [{ t: "heading", level: 1, c: [] }, paragraph("a")] });
  const [heading] = it().blocks;
  assert.equal(it().read, it().text.length);
  grow(7, " b");
  assert.deepEqual([it().text.slice(it().read), it().blocks.length], [" b", 2]);
  grow(9, " c", { blocks_from: 1, blocks_end: 11, blocks: [paragraph("a b c")] });
  assert.deepEqual([it().text.slice(it().read), it().blocks[0] === heading, it().blocks[1].c[0].v], ["", true, "a b c"]);
  // They may be of more text than has come.
  grow(11, " d", { blocks_from: 1, blocks_end: 20, blocks: [paragraph("a b c d and more")] });
  assert.equal(it().read, it().text.length);
  line.add({ ...say("all", "m"), blocks: [paragraph("all")] }, 7);
  assert.deepEqual([it().blocks, it().read], [[paragraph("all")], 3]);
});

test("blocks without their basis or beginning are dropped", () => {
  const line = new Timeline();
  line.add({ ...piece(0, "one"), blocks_from: 2, blocks_end: 3, blocks: [paragraph("one")] }, null);
  assert.deepEqual([line.items[0].blocks, line.items[0].read], [[], 0]);
  line.add({ ...piece(40, "later"), blocks_from: 0, blocks_end: 45, blocks: [paragraph("later")] }, null);
  assert.deepEqual([line.items[0].blocks, line.items[0].text], [[], "[…] later"]);
  line.add({ ...piece(0, "one and all"), blocks_from: 0, blocks_end: 3, blocks: [paragraph("one")] }, null);
  assert.deepEqual([line.items[0].blocks.length, line.items[0].read], [1, 3]);
  line.add(say("too long", "m"), 7);
  assert.equal(line.items[0].blocks, null);
});

test("events before the conversation's code are folded later", () => {
  const make = timelines.make;
  timelines.make = () => new Pending();
  const state = model.initial({});
  const id = "early";
  model.historyLoaded(state, id, { messages: [{ type: "assistant", content: "one", seq: 3, timestamp: null }], last_seq: 3, has_more: true });
  model.subscribing(state, id);
  model.apply(state, { type: "output", worker_id: id, seq: 7, content: { type: "assistant", content: "two", timestamp: null } });
  timelines.make = make;
  timelinesLoaded(state);
  const conv = model.conversation(state, id);
  assert.deepEqual(conv.timeline.items.map((item) => [item.seq, item.text]), [[3, "one"], [7, "two"]]);
  assert.equal(conv.cursor, 7);
});
