// The page, point by point, in a real browser against a real server with a fake CLI.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, eventually, finish, open, PHONE, repeat, say, Server, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

const done = (page) => finish(page, server);

test("the list shows live statuses, waiting ones first, and filters", async () => {
  const quiet = await server.worker("quiet");
  const asks = await server.worker("asks");
  const page = await open(server);
  await page.waitForSelector('.workers a:has-text("quiet")');
  await server.message(asks, "permission");
  await page.waitForSelector('.workers li:first-child:has-text("asks"):has-text("waiting for you")');
  await eventually(page, () => document.title.startsWith("(1)"));
  const made = await server.worker("made elsewhere");
  await page.waitForSelector('.workers a:has-text("made elsewhere")');
  await server.api("PATCH", `/api/workers/${made.id}`, { name: "renamed elsewhere" });
  await page.waitForSelector('.workers a:has-text("renamed elsewhere")');
  await server.message(quiet, "echo hi");
  await page.waitForSelector('.workers li.is-unread:has-text("quiet")');
  await page.keyboard.press("/");
  await page.keyboard.type("renamed");
  await eventually(page, () => document.querySelectorAll(".workers li").length === 1);
  await page.keyboard.press("Enter");
  await page.waitForSelector('h1:has-text("renamed elsewhere")');
  await page.getByLabel("Filter workers").fill("");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.closest(".workers") !== null), true);
  await server.api("DELETE", `/api/workers/${made.id}`);
  await page.waitForSelector('text=This worker is gone');
  await server.api("POST", `/api/workers/${asks.id}/interrupt`);
  await done(page);
});

test("a worker is made with errors at their fields", async () => {
  const page = await open(server);
  await page.waitForSelector(".brand");
  await page.keyboard.press("n");
  await page.waitForSelector('.cli:has-text("Claude Code")');
  await page.getByLabel("Project folder").fill("/nowhere/at/all");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForSelector('.field:has-text("Project folder") .field-error:visible');
  assert.equal(await page.getByLabel("Project folder").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Project folder").fill(server.folder("fresh"));
  await page.getByLabel("First message").fill("echo first words");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector('h1:has-text("fresh")');
  await page.waitForSelector('.item-assistant:has-text("first words")');
  await done(page);
});

test("a conversation streams, and stays still for readers above", async () => {
  const worker = await server.worker("streams");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const seen = join(server.dir, "seen");
  await say(page, `deltas 400 200 ${seen}`);
  await page.waitForSelector(".item-assistant.live");
  writeFileSync(seen, "");
  await page.waitForSelector(".item-turn");
  await page.locator(".item-assistant").filter({ hasText: /w0 w1 .*w399/ }).waitFor();
  assert.match(await page.locator(".turn").innerText(), /Done/);
  await say(page, "lines 60");
  await page.waitForSelector('.item-assistant:has-text("60 lines")');
  const gap = () => page.evaluate(() => {
    const el = document.querySelector(".scroller");
    return el.scrollHeight - el.scrollTop - el.clientHeight;
  });
  await eventually(page, () => document.querySelector(".scroller").scrollHeight - document.querySelector(".scroller").scrollTop - document.querySelector(".scroller").clientHeight < 3);
  await page.locator(".scroller").hover();
  const rest = page.evaluate(() => new Promise((resolve) => {
    document.querySelector(".scroller").addEventListener("scrollend", () => resolve(), { once: true });
  }));
  await page.mouse.wheel(0, -900);
  await rest;
  await eventually(page, () => document.querySelector(".scroller").scrollHeight - document.querySelector(".scroller").scrollTop - document.querySelector(".scroller").clientHeight > 500);
  const place = () => page.evaluate(() => {
    const top = document.querySelector(".scroller").getBoundingClientRect().top;
    const el = [...document.querySelectorAll(".item")].find((one) => one.getBoundingClientRect().top > top);
    return [el.dataset.seq, Math.round(el.getBoundingClientRect().top)];
  });
  const before = await place();
  await server.message(worker, "lines 40");
  await page.waitForSelector(".jump.fresh");
  await server.turns(worker, 3);
  assert.deepEqual(await place(), before);
  await page.locator(".jump").click();
  await page.waitForSelector('.item-assistant:has-text("40 lines")');
  assert.ok((await gap()) < 3);
  await done(page);
});

test("tools, diffs, errors and long outputs are cards that fold", async () => {
  const worker = await server.told("cards", "long 20000", 'tool Edit {"file_path":"/p/a.rs","old_string":"one\\ntwo","new_string":"one\\nzwei"}', 'tool Bash {"command":"ls -l"}', "fail the model is away");
  const page = await open(server, at(worker));
  await page.waitForSelector(".tool-edit .row.removed:has-text('two')");
  await page.waitForSelector(".tool-edit .row.added:has-text('zwei')");
  await page.waitForSelector(".tool-execute:has-text('ls -l')");
  assert.ok(await page.locator(".item-turn.failed, .item-notice.error").count() > 0);
  await page.locator(".tool-execute summary").click();
  await page.waitForSelector(".tool-execute .details-body .output");
  await done(page);
});

test("prompts are answered in the conversation, inbox and by keys", async () => {
  const worker = await server.worker("prompts");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await say(page, 'permission Bash {"command":"make it"}');
  await page.waitForSelector('.prompt-card:has-text("make it")');
  await page.getByRole("button", { name: "Allow once" }).click();
  await page.waitForSelector('.resolved:has-text("Allowed once")');
  await page.waitForSelector('.item-assistant:has-text("allowed:")');
  await say(page, 'permission Write {"file_path":"/p/x","content":"new line"}');
  await page.waitForSelector(".prompt-card .row.added:has-text('new line')");
  await page.getByRole("button", { name: "Deny with a reason" }).click();
  await page.getByLabel("Reason for denying").fill("not in this folder");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.item-assistant:has-text("denied: not in this folder")');
  await say(page, "permission");
  await page.waitForSelector(".prompt-card");
  await page.goto(`${server.url}/#/inbox`);
  await page.waitForSelector('.inbox .prompt-card:has-text("prompts")');
  // Keys are ignored for the first moments of a prompt; pressing again is what people do.
  await repeat(page, () => page.locator(".inbox .prompt-card").count(), () => page.keyboard.press("a"), 100);
  await page.waitForSelector("text=Nothing waits for you.");
  await page.goto(`${server.url}/${at(worker)}`);
  await server.turns(worker, 3);
  await server.message(worker, "permission");
  await page.waitForSelector(".prompt-card");
  const { permissions } = await server.api("GET", "/api/permissions");
  await server.api("POST", `/api/workers/${worker.id}/permissions/${permissions[0].request_id}`, { option_id: "deny" });
  await page.waitForSelector(".prompt-card", { state: "detached" });
  await done(page);
});

test("the composer keeps drafts, edits the queue, and interrupts", async () => {
  const worker = await server.worker("composer");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const area = page.locator(".composer-box textarea");
  await area.fill("one");
  await area.press("Shift+Enter");
  await page.keyboard.type("two");
  assert.equal(await area.inputValue(), "one\ntwo");
  await page.reload();
  await page.waitForSelector(".composer");
  await eventually(page, () => document.querySelector(".composer-box textarea").value === "one\ntwo");
  await say(page, "hang");
  await page.waitForSelector(".interrupt:visible");
  await say(page, "echo later");
  await page.waitForSelector('.queue li:has-text("echo later")');
  await page.locator(".queue").getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Queued message").fill("echo edited");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.queue li:has-text("echo edited")');
  await area.focus();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.waitForSelector('.turn:has-text("Interrupted")');
  await page.waitForSelector('.item-assistant:has-text("edited")');
  await page.waitForSelector(".queue li", { state: "detached" });
  await area.focus();
  await page.keyboard.press("ArrowUp");
  assert.equal(await area.inputValue(), "echo later");
  await page.keyboard.press("ArrowUp");
  assert.equal(await area.inputValue(), "hang");
  await area.fill("/");
  await page.keyboard.type("c");
  await page.waitForSelector(".completion li").catch(() => assert.fail("no slash commands"));
  await page.keyboard.press("Escape");
  await area.fill("");
  await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 4, height: 4 });
    const blob = await new Promise((resolve) => canvas.toBlob(resolve));
    const data = new DataTransfer();
    data.items.add(new File([blob], "shot.png", { type: "image/png" }));
    document.querySelector(".composer-box textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await page.waitForSelector(".thumbs img");
  await say(page, "echo with a picture");
  await page.waitForSelector(".attachments li");
  await done(page);
});

test("workers are renamed, stopped, started, and deleted after confirmation", async () => {
  const worker = await server.told("actions", "echo hi");
  const page = await open(server, at(worker));
  const menu = async (entry) => {
    await page.getByRole("button", { name: "Actions of this worker" }).click();
    await page.getByRole("menuitem", { name: entry }).click();
  };
  await page.waitForSelector(".item-turn");
  await menu("Rename");
  await page.locator("dialog input").fill("acted on");
  await page.keyboard.press("Enter");
  await page.waitForSelector('h1:has-text("acted on")');
  await menu("Stop");
  await page.waitForSelector(".head-status .status-stopped");
  await say(page, "memory");
  // Not only idle: it is idle for a moment before the message is delivered, and Escape while it works would interrupt it.
  await eventually(page, () => document.querySelectorAll(".item-turn").length === 2);
  await page.waitForSelector(".head-status .status-idle");
  await page.keyboard.press("Escape");
  await eventually(page, () => !document.activeElement.matches("textarea"));
  await page.keyboard.press("p");
  await page.getByRole("tab", { name: "Process" }).click();
  await page.waitForSelector("text=claude --resume");
  await page.getByRole("tab", { name: "Usage" }).click();
  await page.waitForSelector(".chart rect");
  await menu("Delete");
  await page.waitForSelector('dialog:has-text("acted on")');
  await page.getByRole("button", { name: "Delete acted on" }).click();
  await page.waitForSelector("dialog", { state: "detached" });
  await eventually(page, () => location.hash === "#/");
  await page.waitForSelector('.workers a:has-text("acted on")', { state: "detached" });
  await done(page);
});

test("a killed server loses no line in mid-stream", async () => {
  const worker = await server.worker("survives");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await say(page, "lines 80 40");
  await page.waitForSelector('.item-assistant:has-text("line 5")');
  await server.down("SIGKILL");
  await page.waitForSelector(".banner:visible");
  await say(page, "echo after the blink");
  await page.waitForSelector("text=waits for the connection");
  await server.again();
  await page.waitForSelector(".banner", { state: "hidden" });
  await page.waitForSelector('.item-assistant:has-text("after the blink")');
  assert.equal(await page.locator('.bubble:has-text("after the blink")').count(), 1);
  await page.locator(".scroller").focus();
  const seen = new Map();
  await page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
  for (let tries = 0; tries < 200 && seen.size < 80; tries += 1) {
    for (const [key, text] of await page.$$eval(".item-assistant", (all) => all.map((el) => [Number(el.dataset.seq), el.querySelector(".markdown").textContent]))) {
      if (/^line \d+$/.test(text)) seen.set(key, text);
    }
    await page.mouse.move(800, 400);
    await page.mouse.wheel(0, 250);
    await page.waitForTimeout(20);
  }
  const lines = [...seen].sort((a, b) => a[0] - b[0]).map(([, text]) => text);
  assert.deepEqual(lines, Array.from({ length: 80 }, (_, n) => `line ${n + 1}`));
  await done(page);
});

test("everything is reachable by keyboard as the help sheet says", async () => {
  await server.worker("keys");
  const page = await open(server);
  await page.waitForSelector(".workers a");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("?");
  await page.waitForSelector(".help");
  const documents = await page.evaluate(() => document.querySelector(".help a[href=docs]").href);
  assert.equal((await fetch(documents)).status, 200, "the help leads to the API documents");
  await page.keyboard.press("Escape");
  await page.keyboard.press("l");
  assert.equal(await page.evaluate(() => document.activeElement.closest(".workers") !== null), true);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".composer");
  await eventually(page, () => document.activeElement.tagName === "TEXTAREA");
  await page.keyboard.press("Alt+ArrowDown");
  await page.keyboard.press("Escape");
  const theme = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await theme();
  await page.locator(".scroller").focus();
  await page.keyboard.press("t");
  assert.notEqual(await theme(), before);
  await done(page);
});

test("matches are listed newest first, each with a link", async () => {
  await server.told("haystack", "say the word needle-1", "lines 300");
  await server.told("later", ...Array.from({ length: 30 }, (_, n) => `needle-2 number ${n}`));
  const page = await open(server);
  await page.waitForSelector(".workers a");
  await page.keyboard.press("s");
  await page.getByRole("searchbox", { name: "Words" }).fill("needle-");
  await page.getByRole("status").filter({ hasText: "20 places, newest first" }).waitFor();
  assert.match(await page.locator(".found li").first().innerText(), /later[^]*needle-2 number 29/);
  for (let pages = 0; pages < 5 && (await page.getByRole("button", { name: "Older" }).count()); pages += 1) {
    const before = await page.locator(".found li").count();
    await page.getByRole("button", { name: "Older" }).click();
    await eventually(page, (count) => document.querySelectorAll(".found li").length > count, before);
    assert.equal(await page.evaluate((at) => document.activeElement === document.querySelectorAll(".found a")[at], before), true, "reading goes on at the first new one");
  }
  const oldest = page.locator(".found li").last();
  assert.equal(await oldest.locator("mark").innerText(), "needle-");
  await oldest.locator("a").click();
  await page.waitForSelector(".item-user:has-text('needle-1')");
  assert.equal(await page.locator("dialog").count(), 0);
  await page.locator(".scroller").focus();
  await page.keyboard.press("s");
  await page.getByRole("searchbox", { name: "Words" }).fill("said by nobody");
  await page.getByRole("status").filter({ hasText: "Nothing found." }).waitFor();
  await page.keyboard.press("Escape");
  await done(page);
});

test("a phone alternates list and conversation with large targets", async () => {
  const worker = await server.told("phone", "permission-less words");
  const page = await open(server, "#/", PHONE);
  await page.locator('.workers a:has-text("phone")').tap();
  await page.waitForSelector(".item-turn");
  assert.equal(await page.locator(".sidebar").isVisible(), false);
  const small = await page.$$eval("button, select, .workers a, .icon-button", (all) => all.filter((el) => {
    const box = el.getBoundingClientRect();
    return el.checkVisibility() && box.width > 1 && !el.closest(".meta, .skip") && (box.height < 43.5 || (box.width < 43.5));
  }).map((el) => el.outerHTML.slice(0, 120)));
  assert.deepEqual(small, []);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.goBack();
  await page.waitForSelector(".workers a:visible");
  assert.ok(worker.id);
  await done(page);
});

test("workers and messages have addresses for back and forward", async () => {
  const worker = await server.told("addresses", "lines 300", "echo end");
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?since=0&limit=20`);
  const early = messages.find((event) => event.content === "line 3");
  const page = await open(server, `${at(worker)}/m/${early.seq}`);
  await page.waitForSelector('.item.target:has-text("line 3")');
  await page.goto(`${server.url}/#/inbox`);
  await page.waitForSelector(".inbox:visible");
  await page.goBack();
  await page.waitForSelector('h1:has-text("addresses")');
  await page.goForward();
  await page.waitForSelector(".inbox:visible");
  await done(page);
});

test("a login returns to its view, login links work once", async () => {
  const guarded = await Server.start({ AUTH_TOKEN: "open-sesame-open-sesame-open-sesame", HOST: "127.0.0.1" });
  try {
    guarded.headers = { authorization: "Bearer open-sesame-open-sesame-open-sesame" };
    const page = await open(guarded, "#/inbox");
    await page.waitForSelector(".login");
    await page.getByLabel("Access token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=not right");
    await page.getByLabel("Access token").fill("open-sesame-open-sesame-open-sesame");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".inbox:visible");
    assert.ok(page.url().endsWith("#/inbox"));
    const code = await fetch(`${guarded.url}/api/login/code`, { method: "POST", headers: guarded.headers }).then((answer) => answer.json()).then((made) => made.code);
    const other = await open(guarded, `#code=${code}`);
    await other.waitForSelector("text=No workers yet");
    assert.ok(!other.url().includes(code));
    const late = await open(guarded, `#code=${code}`);
    await late.waitForSelector("text=used already");
    assert.ok(!late.url().includes(code));
    await late.context().close();
    await page.context().close();
    await other.context().close();
  } finally {
    await guarded.close();
  }
});
