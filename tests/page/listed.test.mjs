// Which workers the list shows and in which groups, the dashboard's cards, the palette's ranking, and the doctor's words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { arranged, branchOf, hiddenCounts, listed, projectOf } from "../../static/js/state/listed.js";
import * as model from "../../static/js/state/state.js";
import { snoozeTimes } from "../../static/js/views/bulk.js";
import { findings, isUsable } from "../../static/js/views/doctor.js";
import { lastDays, plans, summary, tokensOf } from "../../static/js/views/home.js";
import { fit, found } from "../../static/js/views/palette.js";

const NOW = Date.parse("2026-11-30T12:00:00Z");

function stateOf(workers, prompts = []) {
  const state = model.initial({});
  const listing = workers.map((worker, at) => ({ name: worker.id, project_path: "/p/one", ai_cli_type: "claude", status: "idle", last_activity: `2026-11-30T11:00:${String(10 + at)}Z`, last_seq: 1, ...worker }));
  model.apply(state, { type: "workers", workers: listing });
  for (const worker of prompts)
    model.apply(state, { type: "output", worker_id: worker, seq: 9, content: { type: "permission_request", request_id: "r", tool_name: "Bash", options: [] } });
  return state;
}

const ids = (entries) => entries.map(({ worker }) => worker.id);

test("pinned workers come first, archived and snoozed ones are hidden", () => {
  const state = stateOf([
    { id: "plain" },
    { id: "pinned", pinned: true, status: "stopped" },
    { id: "archived", archived: true },
    { id: "snoozed", snoozed_until: "2026-11-30T13:00:00Z" },
    { id: "awake", snoozed_until: "2026-11-30T11:00:00Z" },
  ]);
  assert.deepEqual(ids(listed(state, "", "", NOW)), ["pinned", "awake", "plain"]);
  assert.deepEqual(ids(listed(state, "", "archived", NOW)), ["archived"]);
  assert.deepEqual(ids(listed(state, "", "snoozed", NOW)), ["snoozed"]);
  assert.deepEqual(hiddenCounts(state, NOW), { archived: 1, snoozed: 1 });
});

test("a hidden worker that waits for somebody is shown", () => {
  const state = stateOf([{ id: "a" }, { id: "b", archived: true }], ["b"]);
  assert.deepEqual(ids(listed(state, "", "", NOW)), ["b", "a"]);
});

test("a worktree's worker is listed under its project with branch", () => {
  const worker = { id: "w", project_path: "/data/worktrees/write-docs-56b94ca9", worktree: { project: "/p/docs", branch: "write-docs" } };
  const state = stateOf([worker]);
  assert.equal(projectOf(state.workers.get("w")), "/p/docs");
  assert.equal(branchOf(state.workers.get("w")), "write-docs");
  assert.equal(branchOf({ changed: { branch: "main" } }), "main");
  assert.deepEqual(ids(listed(state, "docs write-docs", "", NOW)), ["w"]);
});

test("groups show their count, closed ones the open worker", () => {
  const state = stateOf([{ id: "a" }, { id: "b" }, { id: "c", project_path: "/p/two" }, { id: "d", pinned: true }]);
  const entries = listed(state, "", "", NOW);
  const shape = (items) => items.map((item) => (item.kind === "group" ? `${item.group}:${item.count}` : item.key));
  assert.deepEqual(shape(arranged(entries, "")), ["d", "c", "b", "a"], "few workers have no groups");
  assert.deepEqual(shape(arranged(entries, "project")), ["pinned:1", "d", "/p/two:1", "c", "/p/one:2", "b", "a"]);
  assert.deepEqual(shape(arranged(entries, "project", new Set(["/p/one"]), "a")), ["pinned:1", "d", "/p/two:1", "c", "/p/one:2", "a"]);
  assert.deepEqual(shape(arranged(entries, "none")), ["d", "c", "b", "a"]);
});

test("arranging a worker does not make it unread", () => {
  const state = stateOf([{ id: "a" }]);
  const worker = state.workers.get("a");
  model.apply(state, { type: "worker", worker: { ...worker, pinned: true, last_seq: 40 } });
  assert.equal(model.isUnread(state, state.workers.get("a")), false);
  model.apply(state, { type: "worker", worker: { ...worker, pinned: true, last_seq: 80 } });
  assert.equal(model.isUnread(state, state.workers.get("a")), true);
});

test("two thousand workers are listed within a frame or two", () => {
  const state = stateOf(Array.from({ length: 2000 }, (_, at) => ({ id: `w${at}`, project_path: `/p/${at % 40}` })));
  listed(state);
  const begun = performance.now();
  for (let round = 0; round < 10; round += 1) arranged(listed(state, "p/3", "", NOW), "project");
  assert.ok((performance.now() - begun) / 10 < 100);
});

test("the dashboard sorts workers by what they need", () => {
  const state = stateOf(
    [
      { id: "asks", status: "waiting" },
      { id: "works", status: "busy" },
      { id: "done", turns: 3 },
      { id: "read", turns: 3 },
      { id: "broken", status: "failed" },
      { id: "full", warning: "the disk is full", rate_limit: { status: "rejected", resets_at: null } },
      { id: "away", status: "failed", archived: true },
      { id: "sleeps", status: "stopped", hibernated: true },
      { id: "sleeps away", status: "stopped", hibernated: true, archived: true },
      { id: "halted", status: "stopped" },
    ],
    ["asks"],
  );
  const done = state.workers.get("done");
  model.apply(state, { type: "worker", worker: { ...done, status: "busy", last_seq: 5 } });
  model.apply(state, { type: "worker", worker: { ...done, status: "idle", last_seq: 9 } });
  const cards = summary(state, NOW);
  const named = Object.fromEntries(Object.entries(cards).map(([key, list]) => [key, list.map(({ id }) => id).toSorted()]));
  assert.deepEqual(named, { waiting: ["asks"], running: ["works"], finished: ["done"], failed: ["broken", "full"], asleep: ["sleeps"] });
  assert.deepEqual(lastDays(NOW, 3), ["2026-11-28", "2026-11-29", "2026-11-30"]);
  assert.equal(tokensOf({ usage: { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4 } }), 10);
});

test("the palette finds entries by letters, whole words first", () => {
  const entries = [{ label: "Write release notes" }, { label: "New worker" }, { label: "fix login", more: "webapp" }];
  assert.deepEqual(found(entries, "").length, 3);
  assert.equal(found(entries, "nw")[0].label, "New worker");
  assert.deepEqual(found(entries, "webapp").map(({ label }) => label), ["fix login"]);
  assert.deepEqual(found(entries, "zzz"), []);
  assert.ok(fit("new worker", "new") > fit("renewed", "new"));
});

test("the doctor shows missing programs with a command that helps", () => {
  const cli = { type: "codex", name: "Codex", enabled: true, installed: true, version: "1.0", logged_in: true, reason: null, install: "npm install -g codex" };
  assert.deepEqual(findings(cli), { state: "ok", text: "Installed, 1.0, logged in" });
  assert.equal(findings({ ...cli, logged_in: null }).text, "Installed, 1.0");
  const off = findings({ ...cli, installed: false, reason: "codex was not found on PATH; to install it: npm install -g codex" });
  assert.equal(off.command, "npm install -g codex");
  assert.equal(findings({ ...cli, installed: false, install: "Run `brew install codex` first" }).command, "brew install codex");
  const out = findings({ ...cli, logged_in: false, login_command: "codex login", key_setting: "CODEX_API_KEY" });
  assert.deepEqual([out.state, out.command], ["note", "codex login"]);
  assert.equal(findings({ ...cli, enabled: false }).state, "off");
  assert.deepEqual([cli, { ...cli, installed: false }, { ...cli, enabled: false }].map(isUsable), [true, false, false]);
});

test("times to snooze lie in the future, Monday included", () => {
  for (let day = 0; day < 7; day += 1) {
    const now = new Date(2026, 10, 23 + day, 16, 30);
    for (const [word, time] of snoozeTimes(now)) assert.ok(time > now, `${word} on day ${day}`);
    assert.equal(snoozeTimes(now).at(-1)[1].getDay(), 1);
  }
});

test("plan windows come from the last active worker and expire", () => {
  const at = (hour) => `2026-11-30T${hour}:00:00Z`;
  const window = (name, percent, resets) => ({ window: name, status: "warning", used_percent: percent, resets_at: resets });
  const found = plans([
    { ai_cli_type: "claude", last_activity: at(11), plan_windows: [window("five_hour", 90, at(14)), window("seven_day", 40, at(10))] },
    { ai_cli_type: "claude", last_activity: at(10), plan_windows: [window("five_hour", 50, at(14))] },
    { ai_cli_type: "codex", last_activity: at(9), rate_limit: { status: "rejected", resets_at: null } },
  ], NOW);
  assert.deepEqual(found.map(({ cli, window: name, percent }) => [cli, name, percent]), [["claude", "five_hour", 90], ["codex", "", null]]);
});

test("children follow their parent, at the first one's place", () => {
  const parent = (id) => ({ id, name: id.toUpperCase() });
  const state = stateOf(
    [
      { id: "a", name: "A now" },
      { id: "b" },
      { id: "c", parent: parent("a") },
      { id: "d", parent: parent("c") },
      { id: "e", parent: parent("gone") },
    ],
    ["d"],
  );
  const entries = listed(state, "", "", NOW);
  assert.deepEqual(ids(entries).slice(0, 3), ["a", "c", "d"]);
  const names = Object.fromEntries(entries.map(({ worker, of }) => [worker.id, of]));
  assert.deepEqual([names.a, names.b, names.c, names.e], [undefined, undefined, "A now", "GONE"]);
});
