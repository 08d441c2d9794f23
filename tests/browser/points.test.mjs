// More of the page's promises, by the numbers of their subjects: list, create, conversation, prompts, composer, actions,
// connection, access, addresses.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, DESK, eventually, finish, open, repeat, say, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

const done = (page) => finish(page, server);

test("each status has a word, a shape and a filter", async () => {
  const idle = await server.worker("rests");
  const stopped = await server.worker("ended");
  await server.api("POST", `/api/workers/${stopped.id}/stop`);
  const busy = await server.worker("works");
  await server.message(busy, "hang");
  const crashed = await server.worker("crashed");
  await server.message(crashed, "exit 3");
  await server.until(crashed, "failed");
  await server.until(busy, "busy");
  const page = await open(server);
  await page.waitForSelector(".workers a");
  await page.goto("about:blank");
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(new URL(socket.url()).pathname));
  await page.goto(`${server.url}/#/`);
  for (const [name, status] of [["rests", "idle"], ["ended", "stopped"], ["works", "busy"], ["crashed", "failed"]]) {
    await page.waitForSelector(`.workers li:has-text("${name}") .status-${status} .shape`);
  }
  for (const worker of [idle, crashed, busy]) {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, at(worker));
    await page.waitForSelector(`h1:has-text("${worker.name}")`);
  }
  assert.deepEqual(sockets, ["/ws"]);
  await page.getByLabel("Show status").selectOption("stopped");
  await eventually(page, () => document.querySelectorAll(".workers li").length === 1);
  await page.getByLabel("Show status").selectOption("");
  await server.api("POST", `/api/workers/${busy.id}/interrupt`);
  await done(page);
});

test("the form offers installed CLIs, paths, modes, models and worktrees", async () => {
  const project = server.folder("orchard");
  mkdirSync(join(project, "apples"));
  const page = await open(server);
  await page.waitForSelector(".brand");
  await page.keyboard.press("n");
  await page.locator('summary:has-text("cannot be used yet")').click();
  await page.waitForSelector('.doctor-row.is-off:has-text("OpenCode"):has-text("no such file")');
  assert.equal(await page.locator('.cli:has-text("Claude Code") input').isEnabled(), true);
  assert.equal(await page.locator('.cli:has-text("OpenCode")').count(), 0);
  await page.getByLabel("Project folder").pressSequentially(`${project}/app`);
  await eventually(page, (path) => [...document.querySelectorAll("datalist option, [role=listbox] [role=option]")].some((el) => (el.value || el.textContent).includes(path)), `${project}/apples`);
  await page.getByLabel("Project folder").fill(`${project}/apples`);
  await page.locator('dialog summary:has-text("More options")').click();
  const model = page.getByRole("combobox", { name: "Model" });
  assert.ok(await page.locator("#create-models option").count() > 0, "the CLI's models are offered");
  await model.fill("some-model");
  const modes = await page.getByLabel("Permission mode").locator("option").allInnerTexts();
  assert.ok(modes.length > 2, modes.join());
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForSelector('h1:has-text("apples")');
  await page.keyboard.press("Escape");
  await page.locator(".scroller").focus();
  await page.keyboard.press("n");
  await page.waitForSelector('.recent .chip:has-text("apples")');
  await done(page);
});

const DOCUMENT = "echo # Title\n\nWords with **weight**, `code`, a [link](https://example.com/) and https://example.com/bare.\n\n- [x] done\n- [ ] open\n\n1. one\n   - nested\n\n> quoted\n\n| name | size |\n|:--|--:|\n| a | 1 |\n\n```rust\nlet answer = 42; // so\n```";

test("messages are Markdown with copyable code in both directions", async () => {
  const worker = await server.told("papers", DOCUMENT, "echo שלום עולם, this is mixed");
  const page = await open(server, at(worker), { ...DESK, permissions: ["clipboard-read", "clipboard-write"] });
  const message = page.locator(".item-assistant").first();
  for (const selector of ["h2:has-text('Title')", "strong:has-text('weight')", "p > code:has-text('code')", "a[href='https://example.com/'][rel~=noopener]", "a[href='https://example.com/bare']", "li.task:has-text('done') [aria-label='done']", "ol li ul li:has-text('nested')", "blockquote:has-text('quoted')", "th:has-text('size')", "td.align-right:has-text('1')", ".t-keyword:has-text('let')", ".t-number:has-text('42')", ".t-comment:has-text('// so')"]) {
    await message.locator(selector).first().waitFor();
  }
  await message.getByRole("button", { name: "Copy code" }).click();
  await eventually(page, () => navigator.clipboard.readText().then((text) => text === "let answer = 42; // so"));
  const hebrew = page.locator('.item-assistant p:has-text("שלום")');
  await hebrew.waitFor();
  assert.equal(await hebrew.evaluate((el) => getComputedStyle(el).direction), "rtl");
  await done(page);
});

test("keys allow and deny, and answers close prompts everywhere", async () => {
  const worker = await server.worker("asked");
  const page = await open(server, at(worker));
  const other = await open(server, "#/inbox");
  await page.waitForSelector(".composer");
  await say(page, 'permission Bash {"command":"first"}');
  await other.waitForSelector('.inbox .prompt-card:has-text("first")');
  assert.match(await other.title(), /^\(1\)/);
  await page.locator(".scroller").focus();
  await eventually(page, () => document.querySelector(".prompt-card") !== null);
  await repeat(page, () => page.locator(".prompt-card").count(), () => page.keyboard.press("d"), 100);
  await page.waitForSelector('.resolved.denied:has-text("Denied")');
  await other.waitForSelector("text=Nothing waits for you.");
  await eventually(other, () => !document.title.startsWith("("));
  await done(page);
  await done(other);
});

test("the composer completes files and slash commands by keyboard", async () => {
  const worker = await server.worker("completes");
  writeFileSync(join(server.folder("completes"), "harvest.rs"), "");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const area = page.locator(".composer-box textarea");
  await area.pressSequentially("read @harv");
  await page.waitForSelector('.completion li:has-text("harvest.rs")');
  await page.keyboard.press("Enter");
  assert.equal(await area.inputValue(), "read @harvest.rs ");
  await done(page);
});

test("workers are restarted, forked and exported with copyable changes", async () => {
  const project = server.folder("plot");
  const git = (...args) => execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], { cwd: project, stdio: "ignore" });
  git("init", "-q");
  writeFileSync(join(project, "beds.txt"), "beans\npeas\n");
  git("add", ".");
  git("commit", "-qm", "beds");
  const worker = await server.told("plot", "echo planted");
  writeFileSync(join(project, "beds.txt"), "beans\nleeks\n");
  const page = await open(server, at(worker));
  const menu = async (entry) => {
    await page.getByRole("button", { name: "Actions of this worker" }).click();
    await page.getByRole("menuitem", { name: entry }).click();
  };
  await page.waitForSelector(".item-turn");
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  await page.getByRole("tab", { name: "Changes" }).click();
  await page.waitForSelector('.panel .row.added:has-text("leeks")');
  await page.waitForSelector('.panel .row.removed:has-text("peas")');
  const download = page.waitForEvent("download");
  await menu(/Export as Markdown/i);
  assert.match((await download).suggestedFilename(), /\.md$/);
  const { pid } = await server.api("GET", `/api/workers/${worker.id}`);
  await menu("Restart");
  await repeat(page, async () => [pid, null].includes((await server.api("GET", `/api/workers/${worker.id}`)).pid), () => {});
  await menu("Fork from here");
  await eventually(page, (hash) => location.hash.startsWith("#/w/") && !location.hash.startsWith(hash), at(worker));
  const { workers } = await server.api("GET", "/api/workers");
  assert.ok(workers.some((one) => one.id !== worker.id && one.project_path === project));
  await done(page);
});

test("a worker at a usage limit says so", async () => {
  const worker = await server.worker("limited");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await say(page, "limit 3600 1 later");
  await page.waitForSelector(".item-turn.failed");
  await page.waitForSelector('.worker-note[data-level="warning"]:has-text("usage limit is reached until")');
  await done(page);
});

test("times are local and reduced motion is respected", async () => {
  const worker = await server.told("clocks", "echo tick");
  const view = { ...DESK, locale: "de-DE", reducedMotion: "reduce" };
  const texts = [];
  for (const timezoneId of ["Asia/Tokyo", "America/New_York"]) {
    const page = await open(server, at(worker), { ...view, timezoneId });
    await page.waitForSelector(".item-turn time");
    texts.push(await page.locator(".item-turn time").first().innerText());
    const moving = await page.evaluate(() => document.getAnimations().filter((one) => one.effect.getComputedTiming().activeDuration > 100).length);
    assert.equal(moving, 0);
    await done(page);
  }
  assert.notEqual(texts[0], texts[1]);
});

test("addresses of missing workers are reported and messages linked", async () => {
  const worker = await server.told("linked", "echo here");
  const page = await open(server, at(worker));
  const link = await page.locator(".item-turn a.time").first().getAttribute("href");
  const other = await open(server, link);
  await other.waitForSelector(".item.target");
  await other.goto(`${server.url}/#/w/no-such-worker`);
  await other.waitForSelector("text=This worker is gone");
  await done(page);
  await done(other);
});
