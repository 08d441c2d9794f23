// How the page looks where it is not a desk in daylight: on paper, in the system's own colours, on small and lying
// screens, before anything has happened, and as its reader has chosen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { at, axePath, closeBrowser, closePages, DESK, eventually, finish, launch, open, PHONE, say, Server, SHOTS } from "./support.mjs";

const axe = readFileSync(axePath, "utf8");
const TABLET = { viewport: { width: 1024, height: 768 }, hasTouch: true };
const LYING = { viewport: { width: 844, height: 390 }, hasTouch: true, isMobile: true };
let server;
let worker;

before(async () => {
  server = await Server.start();
  worker = await server.told("orchard", "echo # Pears\n\n- [x] pruned\n- [ ] picked\n\n`pears` are **ripe**.", 'tool Edit {"file_path":"/p/a.rs","old_string":"one\\ntwo","new_string":"one\\nzwei"}', "fail API Error: 529");
});
afterEach((context) => closePages(context.name));
after(async () => {
  await closeBrowser();
  await server.close();
});

const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`) });
const style = (page, selector, name) => page.locator(selector).first().evaluate((el, property) => getComputedStyle(el)[property], name);
const settings = async (page) => {
  await page.getByRole("button", { name: "Settings" }).click();
  await page.waitForSelector(".preferences");
};

async function passesAudit(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`));
  assert.deepEqual(found, [], name);
}

test("themes, sizes and fonts apply at once and are remembered", async () => {
  const page = await open(server, at(worker), { ...DESK, colorScheme: "light" });
  await page.waitForSelector(".item-turn");
  const height = (selector) => page.locator(selector).first().evaluate((el) => el.getBoundingClientRect().height);
  const before = { row: await height(".workers a"), size: parseFloat(await style(page, "body", "fontSize")), background: await style(page, "body", "backgroundColor") };
  assert.equal(before.size, 14);
  await settings(page);
  await shot(page, "settings-light");
  await page.getByLabel("Dark", { exact: true }).check();
  assert.notEqual(await style(page, "body", "backgroundColor"), before.background);
  await page.getByLabel("Largest", { exact: true }).check();
  assert.ok(parseFloat(await style(page, "body", "fontSize")) > 18);
  await page.getByLabel("Compact", { exact: true }).check();
  await page.getByLabel("Text font").fill("DejaVu Serif");
  await page.getByLabel("Code font").fill('Mono"; } body { display: none');
  await shot(page, "settings-dark-largest");
  for (const round of ["at once", "after a reload"]) {
    assert.match(await style(page, "body", "fontFamily"), /^"DejaVu Serif", /, round);
    assert.match(await style(page, ".item-assistant code", "fontFamily"), /^"Mono[^"]*", /, "a name of a font is a name");
    assert.notEqual(await style(page, "body", "backgroundColor"), before.background, round);
    await page.reload();
    await page.waitForSelector(".item-turn");
  }
  await shot(page, "largest-compact");
  await settings(page);
  for (const [label, checked] of [["Dark", true], ["Largest", true], ["Compact", true], ["Light", false]]) assert.equal(await page.getByLabel(label, { exact: true }).isChecked(), checked, label);
  await page.getByLabel("Small", { exact: true }).check();
  await page.keyboard.press("Escape");
  await eventually(page, () => !document.querySelector("dialog"));
  assert.ok((await height(".workers a")) < before.row - 8, "a compact row is lower");
  // Another tab of this browser follows.
  const other = await page.context().newPage();
  await other.goto(`${server.url}/#/`);
  await settings(page);
  await page.getByLabel("System", { exact: true }).check();
  await eventually(other, () => !("theme" in document.documentElement.dataset));
  await finish(page, server);
});

test("every text of the page follows the chosen size", async () => {
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  await page.waitForSelector(".panel-body > *");
  const sizes = () => page.evaluate(() => [...document.querySelectorAll("#app *")].filter((el) => el.checkVisibility() && [...el.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((el) => [el.className || el.tagName, parseFloat(getComputedStyle(el).fontSize)]));
  const normal = await sizes();
  await page.evaluate(() => { document.documentElement.dataset.size = "largest"; });
  const large = await sizes();
  const fixed = normal.filter(([name, size], index) => large[index]?.[0] === name && large[index][1] <= size).map(([name]) => name);
  assert.ok(normal.length > 20);
  assert.deepEqual([...new Set(fixed)], []);
  await finish(page, server);
});

test("settings and failures pass the audit in every colour scheme", async () => {
  for (const [name, view] of [["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["forced", { forcedColors: "active" }]]) {
    const page = await open(server, at(worker), { ...DESK, ...view, bypassCSP: true }, (made) => made.route(/\/queue$/, (route) => route.abort()));
    await page.waitForSelector(".trouble");
    await passesAudit(page, `${name} failure`);
    await shot(page, `failure-${name}`);
    await page.locator(".composer-box > textarea").pressSequentially("/");
    await page.waitForSelector(".completion li:visible");
    await passesAudit(page, `${name} suggestions`);
    await shot(page, `suggestions-${name}`);
    await page.keyboard.press("Escape");
    await settings(page);
    await passesAudit(page, `${name} settings`);
    await page.keyboard.press("Escape");
    await eventually(page, () => !document.querySelector("dialog"));
    await page.getByRole("button", { name: "Actions of this worker" }).click();
    await passesAudit(page, `${name} menu`);
    await page.keyboard.press("Escape");
    await page.locator(".scroller").focus();
    await page.keyboard.press("?");
    await page.waitForSelector(".help");
    await passesAudit(page, `${name} help`);
    await shot(page, `help-${name}`);
    await page.context().close();
  }
});

test("rows, states and messages have edges in forced colours", async () => {
  const failed = await server.worker("failed");
  await server.message(failed, "exit 3");
  await server.until(failed, "failed");
  const page = await open(server, at(worker), { ...DESK, forcedColors: "active" });
  await page.waitForSelector(".item-turn");
  await page.waitForSelector(".status-failed");
  assert.equal(await style(page, ".workers a[aria-current]", "outlineStyle"), "solid");
  assert.match(await style(page, ".status-failed .shape", "backgroundImage"), /gradient/);
  assert.equal(await style(page, ".bubble", "borderTopStyle"), "solid");
  await shot(page, "forced-colours");
  await finish(page, server);
});

test("a conversation is printed whole without controls", async () => {
  const long = await server.told("printed", "lines 150", "echo the last words");
  const page = await open(server, at(long), { ...DESK, colorScheme: "dark" });
  await page.waitForSelector('.item-assistant:has-text("the last words")');
  const drawn = () => page.locator(".item").count();
  assert.ok((await drawn()) < 100, "the screen has those that are near");
  await page.evaluate(() => window.addEventListener("beforeprint", () => { window.printed = document.querySelectorAll(".item").length; }));
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator(".sidebar").isVisible(), false);
  assert.equal(await page.locator(".composer-place").first().isVisible(), false);
  assert.equal(await style(page, "#app", "overflowY"), "visible");
  assert.equal(await style(page, "body", "backgroundColor"), "rgb(255, 255, 255)");
  await page.emulateMedia({ media: null });
  const pdf = await page.pdf({ path: join(SHOTS, "printed.pdf"), format: "A4" });
  assert.ok(await page.evaluate(() => window.printed > 150), "all of it is on the page when it is printed");
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? []).length;
  assert.ok(pages > 3, `${pages} pages`);
  await eventually(page, () => document.querySelectorAll(".item").length < 100);
  await finish(page, server);
});

test("a phone on its side shows list or conversation", async () => {
  const page = await open(server, at(worker), LYING);
  await page.waitForSelector(".item-turn");
  await shot(page, "lying-conversation");
  assert.equal(await page.locator(".sidebar").isVisible(), false);
  const scroller = await page.locator(".scroller").boundingBox();
  assert.ok(scroller.width > 800 && scroller.height > 180, JSON.stringify(scroller));
  await page.getByRole("link", { name: "All workers" }).tap();
  await page.waitForSelector(".workers a:visible");
  await shot(page, "lying-list");
  const name = await page.locator(".brand-name").evaluate((el) => el.getClientRects().length === 1 && el.getBoundingClientRect().height < 40);
  assert.ok(name, "the name is on one line");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await finish(page, server);
});

test("controls on a phone are as large as a finger", async () => {
  const asks = await server.told("a finger wide, with a name that is far longer than a phone is", "echo # Pears\n\n```sh\nls\n```");
  await server.message(asks, "permission");
  await server.until(asks, "waiting");
  const page = await open(server, "#/", PHONE);
  // Links in a sentence and the boxes of labels have the height of their lines and labels.
  const small = () => page.evaluate(() => {
    const top = document.querySelector("dialog[open]") ?? document;
    const all = [...top.querySelectorAll("a[href], button, select, textarea, summary, input:not([type=radio], [type=checkbox]), label:has(input)")];
    const least = (el) => (el.matches("a.time, .brand-name, .line-button, .hunk-discard, .about a, .home-note a, .file-tools *, .open-file, .markdown a") ? 24 : 44);
    const seen = all.filter((el) => el.checkVisibility() && !el.matches(".skip, .markdown p a, .visually-hidden"));
    const sized = seen.map((el) => {
      const box = el.getBoundingClientRect();
      // A row of a list or a field is wide enough.
      const side = Math.min(box.height, el.matches("button, .icon-button") ? box.width : box.height);
      return [`${el.localName}.${el.className} ${(el.getAttribute("aria-label") ?? el.textContent).slice(0, 30)}`, side, least(el)];
    });
    if (sized.length < 4) throw new Error(`${sized.length} controls were seen`);
    return sized.filter(([, side, min]) => side > 0 && side < min - 0.5).map(([name, side]) => `${name}: ${Math.round(side)}`);
  });
  const states = [["#/", ".workers a:visible"], ["#/overview", ".home-total"], ["#/inbox", ".prompt-card"], [at(asks), ".prompt-card"], [at(worker), ".item-turn"]];
  for (const [hash, ready] of states) {
    await page.evaluate((to) => { location.hash = to; }, hash);
    await page.waitForSelector(ready);
    assert.deepEqual(await small(), [], hash);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), hash);
  }
  await page.evaluate(() => { location.hash = "#/"; });
  await settings(page);
  assert.deepEqual(await small(), [], "settings");
  await page.getByRole("button", { name: "Close" }).click();
  await eventually(page, () => !document.querySelector("dialog"));
  await page.getByRole("button", { name: /New worker/ }).first().click();
  await page.waitForSelector(".cli");
  assert.deepEqual(await small(), [], "new worker");
  const wide = await page.evaluate(() => [...document.querySelectorAll("dialog .chip")].map((el) => el.getBoundingClientRect().right - document.querySelector("dialog").getBoundingClientRect().right));
  assert.ok(wide.length > 0 && wide.every((beyond) => beyond < 0), "long names of folders stay in the dialog");
  await server.api("POST", `/api/workers/${asks.id}/interrupt`);
  await server.until(asks, "idle");
  await finish(page, server);
});

test("a tablet's panel covers the rest until a touch beside", async () => {
  const page = await open(server, at(worker), TABLET);
  await page.waitForSelector(".item-turn");
  await page.getByRole("button", { name: /^Changes, usage and process/ }).tap();
  await page.waitForSelector(".panel:visible");
  await page.waitForTimeout(200);
  await shot(page, "tablet-panel");
  assert.equal(await page.locator(".main").evaluate((el) => el.inert), true);
  assert.match(await style(page, ".panel", "boxShadow"), /rgba\(0, 0, 0, 0\.38\)/);
  await page.touchscreen.tap(400, 700);
  await page.waitForSelector(".panel", { state: "hidden" });
  assert.equal(await page.locator(".main").evaluate((el) => el.inert), false);
  await finish(page, server);
});

test("a page that never had a request looks as designed", async () => {
  const own = await Server.start();
  try {
    const idle = await own.told("plain", 'tool Notebook {"path":"/p/a","mode":"fast"}');
    const page = await open(own, at(idle));
    await page.waitForSelector(".item-tool");
    await page.locator(".item-tool summary").first().click();
    await page.waitForSelector(".input-list");
    assert.equal(await style(page, ".input-list", "display"), "grid");
    await page.getByRole("button", { name: "New worker (n)" }).click();
    await page.waitForSelector(".cli");
    assert.equal(await style(page, "form.create fieldset", "borderTopStyle"), "none");
    assert.equal(await page.evaluate(() => [...document.styleSheets].some((sheet) => sheet.href?.includes("prompts"))), false);
    await finish(page, own);
  } finally {
    await own.close();
  }
});

test("the first run has words and a button everywhere", async () => {
  const own = await Server.start();
  try {
    for (const [name, view] of [["desk", DESK], ["phone", PHONE], ["lying", LYING]]) {
      const page = await open(own, "#/", view);
      await page.getByRole("heading", { name: "Welcome" }).waitFor();
      await shot(page, `first-run-${name}`);
      await page.locator(".welcome").getByRole("button", { name: "New worker" }).click();
      await page.waitForSelector("form.create");
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await finish(page, own);
    }
  } finally {
    await own.close();
  }
});

test("two tabs have their own drafts and share closed ones", async () => {
  const drafted = await server.worker("drafted");
  const page = await open(server, at(drafted));
  const area = (tab) => tab.locator(".composer-box > textarea");
  await area(page).fill("first tab");
  const other = await page.context().newPage();
  await other.goto(`${server.url}/${at(drafted)}`);
  await other.waitForSelector(".composer-box > textarea:focus");
  assert.equal(await area(other).inputValue(), "", "a draft of another tab is not taken");
  await area(other).fill("second tab");
  for (const [tab, text] of [[page, "first tab"], [other, "second tab"]]) {
    await tab.reload();
    await tab.waitForFunction((expected) => document.querySelector(".composer-box > textarea")?.value === expected, text);
  }
  await other.close({ runBeforeUnload: true });
  const third = await page.context().newPage();
  await third.waitForTimeout(200);
  await third.goto(`${server.url}/${at(drafted)}`);
  await third.waitForFunction(() => document.querySelector(".composer-box > textarea")?.value === "second tab");
  assert.equal(await area(page).inputValue(), "first tab");
  await finish(page, server);
});

test("times are the server's, whatever the reader's clock says", async () => {
  await server.message(worker, "echo now");
  await server.turns(worker, 4);
  for (const hours of [3, -3]) {
    const page = await open(server, "#/", DESK, (made) => made.addInitScript((ms) => {
      const { now } = Date;
      Date.now = () => now() + ms;
    }, hours * 3_600_000));
    await page.waitForFunction(() => [...document.querySelectorAll(".workers a")].find((el) => el.textContent.includes("orchard"))?.querySelector(".when").textContent === "now");
    await finish(page, server);
  }
});

test("the clock of a turn goes by the second", async () => {
  const busy = await server.worker("ticking");
  const page = await open(server, at(busy));
  await page.waitForSelector(".composer-box > textarea:focus");
  await say(page, "hang");
  const seen = new Set();
  for (const end = Date.now() + 20_000; seen.size < 4 && Date.now() < end; ) {
    seen.add(await page.locator(".since").innerText());
    await page.waitForTimeout(100);
  }
  seen.delete("");
  const seconds = [...seen].map((text) => Number(/^for (\d+) s$/.exec(text)?.[1]));
  assert.deepEqual(seconds, [...seconds].sort((a, b) => a - b));
  assert.ok(seconds.length >= 3 && seconds.every(Number.isInteger), JSON.stringify([...seen]));
  await finish(page, server);
});

test("the selected row is in view", async () => {
  const own = await Server.start();
  try {
    const workers = [];
    for (let n = 0; n < 40; n += 1) workers.push(await own.api("POST", "/api/workers", { name: `row ${n}`, project_path: own.project, ai_cli_type: "claude" }));
    const page = await open(own, at(workers[0]), { viewport: { width: 1200, height: 500 } });
    const inView = () => page.waitForFunction(() => {
      const row = document.querySelector(".workers [aria-current]")?.getBoundingClientRect();
      const list = document.querySelector(".workers").getBoundingClientRect();
      return row && row.top >= list.top - 1 && row.bottom <= list.bottom + 1;
    });
    await inView();
    for (let n = 0; n < 12; n += 1) await page.keyboard.press("Alt+ArrowUp");
    await inView();
    await finish(page, own);
  } finally {
    await own.close();
  }
});

test("slow links show no Markdown source before its format", async () => {
  const context = await (await launch()).newContext(DESK);
  const page = await context.newPage();
  await page.addInitScript(() => {
    window.sources = [];
    new MutationObserver(() => {
      const text = [...document.querySelectorAll(".item-assistant")].map((el) => el.innerText).join();
      if (/\*\*|# Pears/.test(text)) window.sources.push(text);
    }).observe(document, { childList: true, subtree: true, characterData: true });
  });
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: false, latency: 400, downloadThroughput: 1_000_000, uploadThroughput: 1_000_000 });
  await page.goto(`${server.url}/${at(worker)}`);
  await page.waitForSelector('.item-assistant strong:has-text("ripe")');
  assert.deepEqual(await page.evaluate(() => window.sources), []);
  await context.close();
});

test("a conversation that is being loaded says so", async () => {
  const held = [];
  const page = await open(server, at(worker), DESK, (made) => made.route(/messages\?types=all/, (route) => { held.push(route); }));
  await page.getByText("Loading the conversation").waitFor();
  await shot(page, "loading");
  for (const route of held) await route.continue();
  await page.waitForSelector(".item-turn");
  await page.getByText("Loading the conversation").waitFor({ state: "detached" });
  await finish(page, server);
});

test("no sign needs a font that bare systems lack", async () => {
  const page = await open(server, at(worker));
  await page.waitForSelector(".task-mark");
  assert.equal(await page.locator(".task-mark svg").count(), 2);
  const signs = await page.evaluate(() => document.body.innerText.match(/[\u2600-\u27bf\u{1f000}-\u{1faff}\u25a0-\u25ff]/gu) ?? []);
  assert.deepEqual(signs, []);
  await finish(page, server);
});

test("the help shows the server's version and links API documents", async () => {
  const page = await open(server);
  const { version } = await server.api("GET", "/api/health");
  await page.getByRole("button", { name: "Keys and help" }).click();
  await page.getByRole("dialog").getByText(`rs-worker ${version}`).waitFor();
  assert.equal((await fetch(await page.getByRole("link", { name: "API documents" }).evaluate((el) => el.href))).status, 200);
  await finish(page, server);
});

test("the link to waiting requests shows their number", async () => {
  const asks = await server.worker("asks");
  await server.message(asks, "permission");
  const page = await open(server);
  await page.getByRole("link", { name: /Waiting for you\s*1 request$/ }).waitFor();
  await server.api("POST", `/api/workers/${asks.id}/interrupt`);
  await finish(page, server);
});
