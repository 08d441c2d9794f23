// What a reader sees of a conversation: nothing twice, and what belongs together as one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cutOf, dollars } from "../../static/js/lib/text.js";
import { isRunning } from "../../static/js/state/calls.js";
import { Timeline } from "../../static/js/state/timeline.js";
import { contextOf, roomMakers } from "../../static/js/views/context.js";
import { summary } from "../../static/js/views/group.js";
import { modelsOf } from "../../static/js/views/settings.js";

const at = (second) => new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
const call = (id, kind = "read", more = {}) => ({ type: "tool_call", tool_call_id: id, name: kind, kind, input: { file_path: `/p/${id}` }, ...more });
const answer = (id, more = {}) => ({ type: "tool_result", tool_call_id: id, content: "out", is_error: false, ...more });
const task = (code, facts) => ({ type: "notice", code, content: "Task news", task: { id: "t", ...facts } });
const prompt = (id, of, more = {}) => ({ type: "permission_request", request_id: id, tool_call_id: of, tool_name: "Bash", input: {}, options: [], ...more });

/** A conversation of these events, one a second. */
function said(...events) {
  const line = new Timeline();
  events.forEach((event, number) => line.add({ timestamp: at(number), ...event }, number + 1));
  return line;
}
const kinds = (line) => line.shown().map((it) => it.kind);

test("calls of one kind share a card while it grows", () => {
  const line = said(call("a"), answer("a"), call("b"), answer("b"));
  assert.deepEqual(kinds(line), ["group"]);
  const [group] = line.shown();
  const before = group.rev;
  line.add({ ...call("c"), timestamp: at(9) }, 9);
  assert.equal(line.shown()[0], group);
  assert.ok(group.rev > before && group.items.length === 3);
  assert.equal(summary("read", group.items), "Read 3 files");
  assert.equal(summary("read", [group.items[0], group.items[0]]), "Read 2 times");
  line.add({ type: "assistant", content: "so", timestamp: at(10) }, 10);
  line.add(call("d"), 11);
  assert.deepEqual(kinds(line), ["group", "assistant", "tool"]);
});

test("calls that change files or fail have own cards", () => {
  assert.deepEqual(kinds(said(call("a", "edit"), call("b", "edit"), call("c", "edit"))), ["tool", "tool", "tool"]);
  assert.deepEqual(kinds(said(call("a"), call("b", "search"), call("c"))), ["tool", "tool", "tool"]);
  assert.deepEqual(kinds(said(call("a"), answer("a", { is_error: true }), call("b"), answer("b"), call("c"))), ["tool", "group"]);
  assert.deepEqual(kinds(said(call("a", "execute"), call("b", "execute"))), ["tool", "tool"]);
  assert.deepEqual(kinds(said(call("a", "execute"), call("b", "execute"), call("c", "execute"))), ["group"]);
});

test("retries are one warning that counts until something else happens", () => {
  const retry = (number) => ({ type: "error", code: "api_retry", content: `retry ${number} of 7` });
  const line = said(...[1, 2, 3, 4, 5, 6, 7].map(retry), { type: "assistant", content: "back" }, retry(1));
  assert.deepEqual(line.shown().map((it) => [it.kind, it.level, it.text, it.count]), [["notice", "warning", "retry 7 of 7", 7], ["assistant", undefined, "back", undefined], ["notice", "warning", "retry 1 of 7", undefined]]);
  const limited = said(retry(1), { type: "rate_limit", status: "retrying" }, retry(2), { type: "rate_limit", status: "retrying" });
  assert.deepEqual(limited.shown().map((it) => [it.text, it.count]), [["retry 2 of 7", 2]]);
});

test("a crash is one card with stderr's end once", () => {
  const line = said(
    { type: "assistant", content: "so" },
    { type: "stderr", content: "Traceback" },
    { type: "stderr", content: "ValueError: x" },
    { type: "turn_completed", turn_id: "t", stop_reason: "process_ended", is_error: true },
    { type: "exit", exit_code: 1, stderr_tail: "Traceback\nValueError: x", ended: [] },
    { type: "status", status: "failed", reason: "The CLI exited with code 1: ValueError: x" },
  );
  const [, failure, ...more] = line.shown();
  assert.deepEqual([failure.kind, failure.text, failure.output, more.length], ["failure", "The CLI exited with code 1: ValueError: x", "Traceback\nValueError: x", 0]);
});

test("a failed start is reported once beside older errors", () => {
  const line = said(
    { type: "error", code: "other", content: "something else" },
    { type: "error", code: "spawn_failed", content: "program /x does not exist" },
    { type: "status", status: "failed", reason: "program /x does not exist; install it" },
  );
  assert.deepEqual(line.shown().map((it) => [it.kind, it.text]), [["notice", "something else"], ["failure", "program /x does not exist; install it"]]);
});

test("a failed turn shows its reason once and fully", () => {
  const failed = (result) => ({ type: "turn_completed", turn_id: "t", stop_reason: "error", is_error: true, result });
  const said401 = said({ type: "error", code: "authentication_failed", content: "Claude Code is not logged in: API Error: 401. Run claude." }, failed("API Error: 401."));
  assert.deepEqual(said401.shown().map((it) => [it.kind, it.event.result]), [["turn", "Claude Code is not logged in: API Error: 401. Run claude."]]);
  assert.deepEqual(kinds(said({ type: "error", code: "x", content: "something else" }, failed("API Error: 500"))), ["notice", "turn"]);
});

test("an error that the agent also says is shown once", () => {
  const answer = { type: "assistant", message_id: "m", content: "API Error: 529 Overloaded" };
  const end = (more) => ({ type: "turn_completed", turn_id: "t", stop_reason: "error", is_error: true, result: "API Error: 529 Overloaded\n", ...more });
  const line = said(answer, end());
  assert.deepEqual(kinds(line), ["turn"]);
  assert.equal(line.shown()[0].event.result.trim(), answer.content);
  assert.deepEqual(kinds(said({ ...answer, content: "I looked. API Error: 529 Overloaded" }, end())), ["assistant", "turn"]);
  assert.deepEqual(kinds(said(answer, end({ is_error: false }))), ["assistant", "turn"]);
});

test("an interrupt is said once, and so is a stop", () => {
  assert.deepEqual(kinds(said({ type: "notice", code: "interrupted", content: "Request interrupted by the user" }, { type: "turn_completed", turn_id: "t", stop_reason: "interrupted" })), ["turn"]);
  const stopped = said({ type: "exit", signal: "SIGTERM", stderr_tail: "", ended: [] }, { type: "status", status: "stopped", content: "stopped" });
  assert.deepEqual(stopped.shown().map((it) => [it.kind, it.level, it.text]), [["failure", "info", ""]]);
});

test("a call with a prompt is in the prompt's card", () => {
  const line = said(call("c", "execute"), prompt("r", "c"));
  assert.deepEqual(kinds(line), ["prompt"]);
  line.add({ type: "permission_resolved", request_id: "r", decision: "allow_once", by: "user" }, 9);
  assert.deepEqual(kinds(line), ["tool", "prompt"]);
  const planned = said(call("c", "think"), prompt("r", "c", { input: { plan: "# It" } }), { type: "permission_resolved", request_id: "r", decision: "allow_once" }, answer("c"));
  assert.deepEqual(kinds(planned), ["prompt"]);
});

test("a sub-agent's work is in its card at any depth", () => {
  const line = said(
    call("a", "think"),
    call("b", "think", { parent_tool_call_id: "a" }),
    call("c", "execute", { parent_tool_call_id: "b" }),
    { type: "assistant", content: "found", parent_tool_call_id: "b" },
  );
  const [agent, ...more] = line.shown();
  assert.equal(more.length, 0);
  assert.deepEqual(agent.inside[0].inside.map((it) => it.kind), ["tool", "assistant"]);
  const before = agent.rev;
  line.add(answer("c"), 9);
  assert.ok(agent.rev > before);
  assert.equal(line.shownAt(3), agent);
});

test("a sub-agent's prompt is shown where it can be answered", () => {
  const line = said(call("a", "think"), call("b", "execute", { parent_tool_call_id: "a" }), prompt("r", "b", { agent_id: "x" }));
  assert.deepEqual(kinds(line), ["tool", "prompt"]);
  assert.equal(line.items[0].inside[0].waiting, true);
});

test("a sub-agent's earlier work joins its card once loaded", () => {
  const line = said();
  line.add(call("b", "execute", { parent_tool_call_id: "a" }), 20);
  line.add(task("task_progress", { tool_call_id: "a", status: "running", activity: "Reading" }), 21);
  line.add(answer("b"), 22);
  assert.deepEqual(kinds(line), ["tool", "task"]);
  line.prepend([{ seq: 1, ...call("a", "think") }, { seq: 2, ...task("task_started", { kind: "agent", tool_call_id: "a", description: "look", status: "running" }) }]);
  const [agent, ...more] = line.shown();
  assert.deepEqual([more.length, agent.inside.length, agent.task.description, agent.task.activity], [0, 1, "look", "Reading"]);
});

test("a background task is one line with a late end", () => {
  const line = said(task("task_started", { status: "running", description: "bg" }));
  assert.deepEqual(kinds(line), ["task"]);
  line.add(task("task_updated", { status: "completed" }), 5);
  line.add(task("task_notification", { status: "completed", summary: "exit code 0" }), 6);
  const [only] = line.shown();
  assert.deepEqual([line.shown().length, only.task.status, only.task.summary, only.task.description], [1, "completed", "exit code 0", "bg"]);

  const late = said(call("c", "execute"), task("task_started", { tool_call_id: "c", status: "running", description: "bg" }), answer("c"), { type: "turn_completed", turn_id: "t", stop_reason: "end_turn" });
  assert.deepEqual(kinds(late), ["tool", "turn"]);
  assert.equal(isRunning(late.shown()[0].task), true);
  late.add(task("task_updated", { status: "completed" }), 20);
  late.add(task("task_notification", { tool_call_id: "c", status: "completed", summary: "done" }), 21);
  assert.deepEqual(kinds(late), ["tool", "turn", "task"]);
});

test("a task that ended with its process does not run", () => {
  const line = said(call("a", "think"), task("task_started", { kind: "agent", tool_call_id: "a", status: "running" }), { type: "exit", exit_code: 0, stderr_tail: "", ended: [] });
  assert.equal(isRunning(line.items[0].task), false);
});

test("calls with cyclic parents change only themselves", () => {
  const line = said(call("a", "read", { parent_tool_call_id: "a" }), call("b", "read", { parent_tool_call_id: "c" }), call("c", "read", { parent_tool_call_id: "b" }), answer("b"), answer("c"));
  line.prepend([{ seq: 0, ...call("z", "read", { parent_tool_call_id: "z" }) }]);
  assert.ok(line.shown().length > 0);
});

test("a text that was cut says how much is missing", () => {
  assert.deepEqual(cutOf("abc… [5210112 bytes cut]"), { text: "abc", cut: 5210112 });
  assert.deepEqual(cutOf("abc [5 bytes cut]"), { text: "abc [5 bytes cut]", cut: 0 });
});

test("a zero or unknown cost is not a price", () => {
  assert.deepEqual([0, undefined, NaN, 0.00001, 0.05].map(dollars), ["", "", "", "< $0.0001", "$0.050"]);
});

test("models are the agent's, else known ones, else usual ones", () => {
  const list = (value) => [{ category: "model", choices: [{ value, name: value }] }];
  const cli = { known_options: { options: list("known") }, config_options: [{ name: "model", choices: ["usual"] }] };
  const values = (options, of) => modelsOf(options, of)?.map(({ value }) => value) ?? null;
  assert.deepEqual([values(list("own"), cli), values(null, cli), values(null, { ...cli, known_options: null }), values(null, {})], [["own"], ["known"], ["usual"], null]);
});

test("room is made by the commands that the agent has", () => {
  assert.deepEqual(roomMakers([{ name: "clear" }, "/compact", { name: "help" }, null]).map(({ name }) => name), ["compact", "clear"]);
  assert.deepEqual(contextOf({ context: { tokens: 50, window: 200 } }, "m"), { tokens: 50, window: 200, share: 0.25 });
  assert.deepEqual(contextOf({ context: null }, "m"), { tokens: undefined, window: null, share: null });
});
