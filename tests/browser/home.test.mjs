// The first run, the dashboard and the palette, in a real browser against a real server.

import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { at, axePath, closePages, DESK, eventually, FAKE_CLI, finish, open, PHONE, Server, serverOfAllTests, SHOTS } from "./support.mjs";

const server = serverOfAllTests();
const NO_CLI = { CLAUDE_BINARY: "/nowhere/claude", OPENCODE_BINARY: "/nowhere/opencode", CODEX_BINARY: "/nowhere/codex", GEMINI_BINARY: "/nowhere/gemini" };

const done = (page) => finish(page, server);
afterEach((context) => closePages(context.name));

const axeSource = readFileSync(axePath, "utf8");

async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))]), []);
}

/** A server without workers and without any CLI. */
async function withNothing(act) {
  const bare = await Server.start(NO_CLI);
  try {
    await act(bare);
  } finally {
    await bare.close();
  }
}

test("the first run offers missing CLIs and finds them later", () =>
  withNothing(async (bare) => {
    const program = join(bare.dir, "claude");
    await bare.down();
    bare.env = { ...NO_CLI, CLAUDE_BINARY: program };
    await bare.again();
    for (const [name, view] of Object.entries({ desk: DESK, phone: PHONE })) {
      const page = await open(bare, "#/", { ...view, permissions: ["clipboard-read", "clipboard-write"] });
      await page.waitForSelector('.doctor-row.is-off:has-text("Claude Code"):has-text("Not installed")');
      await page.waitForSelector("text=No coding CLI can be used yet");
      const command = await page.locator('.doctor-row:has-text("Claude Code") code').innerText();
      assert.match(command, /npm install|curl/);
      await page.getByRole("button", { name: "Copy the command for Claude Code" }).click();
      await eventually(page, (text) => navigator.clipboard.readText().then((copied) => copied === text), command);
      await axe(page);
      await page.screenshot({ path: join(SHOTS, `first-run-${name}.png`), fullPage: true });
      await finish(page, bare);
    }
    const page = await open(bare, "#/", PHONE);
    await page.waitForSelector(".doctor-row.is-off");
    writeFileSync(program, `#!/bin/sh\nexec ${FAKE_CLI} "$@"\n`);
    chmodSync(program, 0o755);
    for (let tries = 0; tries < 100 && !(await page.locator('.doctor-row.is-note:has-text("Claude Code")').count()); tries += 1) {
      await page.getByRole("button", { name: "Check again" }).click();
      await page.waitForTimeout(200);
    }
    await page.waitForSelector('.doctor-row.is-note:has-text("Claude Code"):has-text("no login found") code:has-text("claude /login")');
    await page.getByRole("button", { name: "New worker" }).last().click();
    await page.waitForSelector('.cli:has-text("Claude Code")');
    await finish(page, bare);
  }));

test("the demo agent needs one click and no CLI", () =>
  withNothing(async (bare) => {
    const page = await open(bare, "#/");
    await page.getByRole("button", { name: "Try the demo agent" }).click();
    await page.waitForSelector('h1:has-text("Demo")');
    await page.waitForSelector('.prompt-card:has-text("echo hello")');
    await page.getByRole("button", { name: "Allow once" }).click();
    await page.waitForSelector('.item-assistant:has-text("To work with a real agent")');
    await page.waitForSelector(".item-turn");
    await page.screenshot({ path: join(SHOTS, "demo.png") });
    await finish(page, bare);
  }));

test("a new worker without any CLI is no dead end", () =>
  withNothing(async (bare) => {
    const page = await open(bare, "#/");
    await page.waitForSelector(".doctor-row");
    await page.keyboard.press("n");
    const dialog = page.locator("dialog");
    await dialog.locator("text=No CLI can be used on this server yet").waitFor();
    await dialog.locator('.doctor-row:has-text("Codex") code').waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Create", exact: true }).isDisabled(), true);
    assert.equal(await page.evaluate(() => document.activeElement.name), "project_path");
    await axe(page);
    await page.screenshot({ path: join(SHOTS, "create-no-cli.png") });
    await dialog.getByRole("button", { name: "Try the demo agent" }).click();
    await page.waitForSelector('h1:has-text("Demo")');
    await finish(page, bare);
  }));

test("the overview shows waiting, working and finished workers with costs", async () => {
  const asks = await server.worker("asks something");
  await server.message(asks, "permission");
  await server.until(asks, "waiting");
  const busy = await server.worker("works on");
  await server.message(busy, "hang");
  await server.until(busy, "busy");
  const worker = await server.worker("has finished");
  const page = await open(server);
  await page.waitForSelector('.home-card.is-waiting:has-text("asks something")');
  await page.waitForSelector('.home-card.is-running:has-text("works on")');
  await server.message(worker, "echo All tests pass.");
  await page.waitForSelector('.home-card.is-finished:has-text("has finished"):has-text("All tests pass.")');
  await page.waitForSelector(".home-total b:has-text('$')");
  await page.getByRole("button", { name: "7 days" }).click();
  await page.waitForSelector('.home-tables tr:has-text("claude") td:has-text("$")');
  await axe(page);
  await page.screenshot({ path: join(SHOTS, "overview.png") });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(SHOTS, "overview-dark.png") });
  const phone = await open(server, "#/overview", PHONE);
  await phone.waitForSelector('.home-card.is-waiting:has-text("asks something")');
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await phone.screenshot({ path: join(SHOTS, "overview-phone.png") });
  await done(phone);
  await server.api("POST", `/api/workers/${asks.id}/interrupt`);
  await server.api("POST", `/api/workers/${busy.id}/interrupt`);
  await done(page);
});

test("focus and selected text on the overview outlast events", async () => {
  const kept = await server.told("kept in focus", "echo Some words to select.");
  const other = await server.worker("comes later");
  const page = await open(server, "#/overview");
  await server.message(kept, "permission");
  const link = page.locator(`.home-card.is-waiting a[href="#/w/${kept.id}"]`);
  await link.focus();
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector(".home-note")));
  const before = await page.evaluate(() => getSelection().toString());
  await server.message(other, "permission");
  await page.waitForSelector('.home-card.is-waiting:has-text("comes later")');
  assert.equal(await link.evaluate((el) => el === document.activeElement), true, "the link of the same worker has the focus");
  assert.equal(await page.evaluate(() => getSelection().toString()), before);
  assert.match(before, /Download as CSV/);
  await page.getByRole("button", { name: "7 days" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector('.home-choice button:text-is("7 days")[aria-pressed="true"]');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "7 days");
  for (const worker of [kept, other]) await server.api("POST", `/api/workers/${worker.id}/interrupt`);
  await done(page);
});

test("costs of a turn show although no event follows it", async () => {
  const worker = await server.worker("costs soon");
  const page = await open(server, "#/overview");
  await page.waitForSelector(".home-total");
  const turns = () => page.locator(".home-total").innerText().then((text) => Number(/(\d+) turn/.exec(text)[1]));
  const before = await turns();
  await server.message(worker, "echo Done.");
  await eventually(page, (count) => Number(/(\d+) turn/.exec(document.querySelector(".home-total").innerText)[1]) > count, before);
  await done(page);
});

test("costs that cannot be loaded are reported and tried again", async () => {
  await server.worker("any");
  let refused = 0;
  const page = await open(server, "#/", DESK, (fresh) =>
    fresh.route("**/api/usage?*", (route) => {
      refused += 1;
      return refused <= 3 ? route.fulfill({ status: 500, json: { detail: "no tallies" } }) : route.continue();
    }));
  await page.waitForSelector("text=The costs could not be loaded: no tallies");
  await page.locator(".home-costs").getByRole("button", { name: "Try again" }).click();
  await page.waitForSelector(".home-total");
  assert.equal(await page.evaluate(() => document.activeElement.closest(".home-costs") !== null), true, "the focus stays near the button that is gone");
  await done(page);
});

test("the palette opens workers, runs actions, and returns the focus", async () => {
  const worker = await server.worker("palette target");
  const page = await open(server);
  await page.waitForSelector('.workers a:has-text("palette target")');
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Worker or command" }).fill("palta");
  await page.waitForSelector('.palette-list [aria-selected="true"]:has-text("palette target")');
  await axe(page);
  await page.screenshot({ path: join(SHOTS, "palette.png") });
  await page.keyboard.press("Enter");
  await page.waitForSelector('h1:has-text("palette target")');
  await eventually(page, () => document.activeElement.tagName === "TEXTAREA");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Worker or command" }).fill("stop palette");
  await page.keyboard.press("Enter");
  await server.until(worker, "stopped");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Worker or command" }).fill("words of nobody");
  await page.keyboard.press("Enter");
  await page.getByRole("searchbox", { name: "Words" }).waitFor();
  assert.equal(await page.getByRole("searchbox", { name: "Words" }).inputValue(), "words of nobody");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.keyboard.press("Control+k");
  // Its code is loaded, and the dialog opens, a moment after the key.
  await page.getByRole("combobox", { name: "Worker or command" }).waitFor();
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.goto(`${server.url}/${at(worker)}`);
  await done(page);
});
