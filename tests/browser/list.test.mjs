// The list of sixty workers and more: groups, pins, archive, many at once, windowing; in a real browser against a real
// server with a fake CLI.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, axePath, DESK, eventually, finish, open, PHONE, serverOfAllTests, SHOTS } from "./support.mjs";

const MANY = 70;
const server = serverOfAllTests();

const done = (page) => finish(page, server);
const names = (page) => page.$$eval(".workers .row .name", (all) => all.map((el) => el.textContent));

/** A worker that is stopped, in the folder `project`. */
async function stopped(name, project = "project") {
  const worker = await server.api("POST", "/api/workers", { name, project_path: server.folder(project), ai_cli_type: "claude" });
  await server.api("POST", `/api/workers/${worker.id}/stop`);
  return worker;
}

async function clear() {
  const { workers } = await server.api("GET", "/api/workers");
  for (const worker of workers) await server.api("DELETE", `/api/workers/${worker.id}?force=true`);
}

const axeSource = readFileSync(axePath, "utf8");

async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))]), []);
}

test("pinned workers stay on top and archived ones are hidden", async () => {
  await clear();
  const [one, two] = [await stopped("first"), await stopped("second")];
  const page = await open(server);
  const other = await open(server, "#/", PHONE);
  await page.waitForSelector('.workers a:has-text("second")');
  assert.deepEqual(await names(page), ["second", "first"]);
  await page.goto(`${server.url}/${at(one)}`);
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Pin", exact: true }).click();
  await eventually(other, () => document.querySelector(".workers .name")?.textContent === "first");
  await page.goto(`${server.url}/${at(two)}`);
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Archive", exact: true }).click();
  await eventually(other, () => document.querySelectorAll(".workers .row").length === 1);
  await server.down("SIGKILL");
  await server.again();
  await other.reload();
  await other.getByRole("button", { name: "1 worker hidden" }).tap();
  await other.waitForSelector('.workers .row:has-text("second") .icon-archive');
  const kept = await server.api("GET", `/api/workers/${one.id}`);
  assert.deepEqual([kept.pinned, kept.archived], [true, false]);
  await page.close();
  await other.close();
});

test("a snoozed worker comes back when it waits for somebody", async () => {
  await clear();
  const worker = await server.worker("sleepy");
  const page = await open(server);
  await page.waitForSelector(".workers .row");
  await server.api("PATCH", `/api/workers/${worker.id}`, { snoozed_until: "2999-01-01T00:00:00Z" });
  await page.waitForSelector("text=Everything is archived or snoozed.");
  await server.message(worker, "permission");
  await page.waitForSelector('.workers .row:has-text("sleepy"):has-text("waiting for you")');
  await done(page);
});

test("a row shows words, branch, changed lines and context", async () => {
  await clear();
  const worker = await server.worker("writer");
  const git = (...args) => execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd: worker.project_path });
  git("init", "-q", "-b", "fix-login");
  writeFileSync(join(worker.project_path, "a.txt"), "one\ntwo\n");
  git("add", ".");
  git("commit", "-qm", "begin");
  writeFileSync(join(worker.project_path, "a.txt"), "one\nthree\nfour\n");
  await server.message(worker, "echo The login works again.");
  await server.turns(worker, 1);
  const page = await open(server);
  const row = page.locator('.workers .row:has-text("writer")');
  await row.filter({ hasText: "The login works again." }).waitFor();
  await row.filter({ hasText: "fix-login" }).waitFor();
  await row.locator('.plus:text-is("+2")').waitFor();
  await row.locator('.minus:text-is("−1")').waitFor();
  await done(page);
});

test("a worktree's worker shows its project, recent folders no worktree", async () => {
  await clear();
  const project = server.folder("docs");
  const git = (...args) => execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd: project });
  git("init", "-q");
  git("commit", "-q", "--allow-empty", "-m", "begin");
  const worker = await server.api("POST", "/api/workers", { name: "writes", project_path: project, ai_cli_type: "claude", worktree: { branch: "write-api-docs" } });
  const page = await open(server, at(worker));
  await page.waitForSelector('.workers .where:has-text("docs · write-api-docs")');
  assert.match(await page.locator(".worker-facts").innerText(), /docs · write-api-docs$/);
  await server.message(worker, "permission");
  await page.waitForSelector(".prompt-card");
  await page.goto(`${server.url}/#/inbox`);
  await page.waitForSelector('.inbox .prompt-title:has-text("write-api-docs")');
  assert.doesNotMatch(await page.locator(".inbox .prompt-title").innerText(), /worktrees/);
  await page.locator(".brand-name").click();
  await page.keyboard.press("n");
  await page.waitForSelector(".recent .chip");
  assert.deepEqual(await page.$$eval(".recent .chip", (all) => all.map((el) => el.title).filter((title) => title.includes("worktrees"))), []);
  await page.locator('.recent .chip:text-is("docs")').waitFor();
  await done(page);
});

test("workers are grouped by project and closed groups stay closed", async () => {
  await clear();
  for (let n = 0; n < 9; n += 1) await stopped(`w${n}`, n % 2 ? "pears" : "apples");
  const page = await open(server);
  await page.waitForSelector('.workers .group:has-text("apples")');
  await page.locator('.group button:has-text("apples")').click();
  await eventually(page, () => document.querySelectorAll(".workers .row").length === 4);
  await page.reload();
  await page.waitForSelector('.group button[aria-expanded="false"]:has-text("apples")');
  await page.getByRole("button", { name: "Arrange the list" }).click();
  await page.getByRole("menuitem", { name: "One flat list" }).click();
  await eventually(page, () => document.querySelectorAll(".workers .row").length === 9);
  await page.reload();
  await eventually(page, () => document.querySelectorAll(".workers .row").length === 9);
  assert.equal(await page.locator(".workers .group").count(), 0);
  await axe(page);
  await done(page);
});

test("many workers are stopped and deleted with one confirmation", async () => {
  await clear();
  const busy = await server.worker("in a turn");
  await server.message(busy, "hang");
  await server.until(busy, "busy");
  for (const name of ["one", "two", "three"]) await stopped(name);
  const page = await open(server);
  await page.waitForSelector('.workers a:has-text("three")');
  await page.keyboard.press("l");
  await page.keyboard.press("x");
  await page.waitForSelector('.bulk:has-text("1 worker selected")');
  for (let n = 0; n < 3; n += 1) await page.keyboard.press("Shift+ArrowDown");
  await page.waitForSelector('.bulk:has-text("4 workers selected")');
  await axe(page);
  await page.screenshot({ path: join(SHOTS, "list-selection.png") });
  await page.locator(".bulk button:text-is('Delete…')").click();
  await page.waitForSelector('dialog:has-text("in a turn"):has-text("its turn ends")');
  await page.keyboard.press("Escape");
  assert.equal((await server.api("GET", "/api/workers")).workers.length, 4, "nothing happens without the confirmation");
  await page.locator(".bulk button:text-is('Delete…')").click();
  await page.getByRole("button", { name: "Delete 4 workers" }).click();
  await page.waitForSelector(".first-run");
  assert.equal((await server.api("GET", "/api/workers")).workers.length, 0);
  await done(page);
});

test("a failure among many names its worker and is retried", async () => {
  await clear();
  for (const name of ["good", "bad"]) await stopped(name);
  const { workers } = await server.api("GET", "/api/workers");
  const bad = workers.find((worker) => worker.name === "bad");
  const page = await open(server);
  await page.waitForSelector('.workers a:has-text("bad")');
  let refused = 0;
  await page.route(`**/api/workers/${bad.id}`, (route) => {
    refused += 1;
    return refused === 1 ? route.fulfill({ status: 503, json: { detail: "the disk is away" } }) : route.continue();
  });
  await page.locator('.workers a:has-text("bad")').click({ modifiers: ["Control"] });
  await page.locator('.workers a:has-text("good")').click({ modifiers: ["Shift"] });
  await page.locator(".bulk button:text-is('Archive')").click();
  await page.waitForSelector('dialog:has-text("bad"):has-text("the disk is away")');
  await page.getByRole("button", { name: "Try again" }).click();
  await page.waitForSelector("text=Everything is archived or snoozed.");
  await done(page);
});

test("the selected row stays in view after steps and links", async () => {
  await clear();
  const first = await stopped("the oldest");
  for (let n = 0; n < MANY; n += 1) await stopped(`many ${n}`);
  for (const extra of [0, 60]) {
    for (let n = 0; n < extra; n += 1) await stopped(`more ${n}`);
    const page = await open(server, at(first));
    const inView = () => {
      const list = document.querySelector(".workers").getBoundingClientRect();
      const row = document.querySelector('.workers [aria-current="page"]')?.getBoundingClientRect();
      return Boolean(row) && row.top >= list.top - 1 && row.bottom <= list.bottom + 1;
    };
    await eventually(page, inView);
    for (let n = 0; n < 12; n += 1) {
      await page.keyboard.press("Alt+ArrowUp");
      await eventually(page, inView);
    }
    const rows = await page.locator(".workers .row").count();
    const size = await page.locator(".workers .row").first().getAttribute("aria-setsize");
    assert.ok(Number(size) > MANY);
    if (extra) assert.ok(rows < 60, `${rows} rows are in the page`);
    await page.locator(".workers [aria-current]").focus();
    await page.keyboard.press("End");
    await eventually(page, () => document.activeElement.closest("li")?.ariaPosInSet === document.activeElement.closest("li")?.ariaSetSize);
    await page.keyboard.press("Home");
    await eventually(page, () => document.activeElement.closest("li")?.ariaPosInSet === "1");
    await axe(page);
    await done(page);
  }
});

test("the empty and the loading list offer a next step", async () => {
  await clear();
  await stopped("lonely");
  const page = await open(server, "#/", DESK);
  await page.waitForSelector(".workers .row");
  await page.getByLabel("Filter workers").fill("no such worker");
  await page.waitForSelector("text=No worker matches.");
  await page.getByRole("button", { name: "Show all workers" }).click();
  await page.waitForSelector(".workers .row");
  await done(page);
});

test("two thousand workers are usable at once with few rows", async () => {
  const workers = Array.from({ length: 2000 }, (_, n) => ({
    id: `w${n}`, name: `worker ${n}`, project_path: `/srv/project-${n % 40}`, ai_cli_type: "claude", status: n % 7 ? "stopped" : "idle",
    last_activity: new Date(Date.UTC(2026, 10, 1) + n * 60_000).toISOString(), last_seq: 1, turns: 3, cost_usd: 0.12, open_prompts: 0,
    last_text: "All tests pass, and the documentation says so.", context_tokens: 50_000, context_window: 200_000,
    changed: { files: 2, added: 12, removed: 3, branch: "main" },
  }));
  let socket;
  const page = await open(server, "#/", DESK, async (fresh) => {
    await fresh.routeWebSocket(/\/ws$/, (ws) => {
      socket = ws;
      ws.send(JSON.stringify({ type: "workers", workers }));
    });
    const session = await fresh.context().newCDPSession(fresh);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    fresh.cpu = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "TaskDuration").value;
    };
  });
  await page.waitForSelector('.workers li[aria-setsize="2040"]');
  const first = await page.cpu();
  console.log(`measured: ${first.toFixed(3)} s of CPU to a usable list of 2,000 workers`);
  assert.ok(first < 1, `${first} s of CPU`);
  assert.ok((await page.locator(".workers li").count()) < 60);
  const before = await page.cpu();
  for (let n = 0; n < 10; n += 1) socket.send(JSON.stringify({ type: "worker", worker: { ...workers[n], status: "busy", last_seq: 2 + n } }));
  await page.getByLabel("Filter workers").pressSequentially("worker 1999");
  await eventually(page, () => document.querySelector(".workers .row .name")?.textContent === "worker 1999");
  const used = (await page.cpu()) - before;
  console.log(`measured: ${used.toFixed(3)} s of CPU for 10 changes and 11 keys in the filter`);
  assert.ok(used < 1.5, `${used} s of CPU`);
  await page.getByLabel("Filter workers").fill("");
  await page.locator(".workers").evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await eventually(page, () => [...document.querySelectorAll(".workers li")].at(-1)?.ariaPosInSet === "2040");
  await done(page);
});
