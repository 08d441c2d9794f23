// Several attempts at one task: made from the form for a new worker, compared, checked, and one of them kept.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, DESK, finish, open, PHONE, serverOfAllTests } from "./support.mjs";
import { accessible, act, git, write } from "./work.mjs";

// The focus moves at once, but for the answers of a busy machine's server.
const SOON_MS = 15_000;
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});

/** A repository with a project file. */
function repository(name, fields = {}) {
  const folder = server.folder(name);
  git(folder, "init", "-q");
  write(folder, "a.txt", "one\n");
  git(folder, "add", ".");
  git(folder, "commit", "-q", "-m", "Begin");
  writeFileSync(join(server.folder("data/project-files"), `${name}.json`), JSON.stringify({ path: folder, ...fields }));
  return folder;
}

/** A group of two attempts that have done their turn, and its page. */
async function finished(name, view = DESK, fields = { check: ["grep good a.txt"] }) {
  const project = repository(name, fields);
  const attempts = [{ ai_cli_type: "claude", model: "opus" }, { ai_cli_type: "claude", model: "haiku" }];
  const group = await server.api("POST", "/api/groups", { name, project_path: project, prompt: "echo done", attempts });
  for (const worker of group.workers) await server.turns(worker, 1);
  const [first, second] = group.workers;
  const page = await open(server, at(first), view);
  await page.waitForSelector(".item-turn");
  await act(page, "Compare the attempts");
  await page.waitForSelector(".attempt-card");
  return { page, group, first, second, project };
}
const card = (page, worker) => page.locator(".attempt-card", { has: page.getByRole("heading", { name: worker.name }) });
const button = (page, name) => page.getByRole("button", { name });
const focused = (page, text) => page.waitForFunction((wanted) => document.activeElement.textContent.includes(wanted), text);

for (const [word, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`the form for new workers begins several attempts: ${word}`, async () => {
    await server.api("PUT", "/api/presets/thorough", { ai_cli_type: "claude", model: "opus", system_prompt: "Mind {{what}}", initial_message: "{{never}}" });
    const project = repository(`begun-${word}`);
    const page = await open(server, "#/", view);
    await button(page, "New worker").first().click();
    await page.waitForSelector("form.create .cli");
    await page.getByLabel("Project folder").fill(project);
    await page.getByLabel("First message").fill("echo a plum");
    await button(page, "Best of several").click();
    await page.waitForSelector(".attempt");
    assert.equal(await page.getByLabel("Project folder").inputValue(), project);
    assert.equal(await page.getByLabel("Prompt").inputValue(), "echo a plum");
    await page.getByLabel("CLI or preset").first().selectOption("preset:thorough");
    await page.getByLabel("what", { exact: true }).fill("the tests");
    assert.equal(await page.getByLabel("never").count(), 0);
    await page.getByLabel("Model").last().fill("haiku");
    await button(page, "Add an attempt").click();
    await button(page, "Remove").last().click();
    await focused(page, "Add an attempt");
    await accessible(page);
    await button(page, "Begin").click();
    await page.waitForSelector(".attempt-card >> nth=1");
    assert.equal(await page.locator(".attempt-card").count(), 2);
    await accessible(page);
    const { groups } = await server.api("GET", "/api/groups");
    assert.equal(groups[0].name, "echo a plum");
    const [first, second] = await Promise.all(groups[0].workers.map(({ id }) => server.api("GET", `/api/workers/${id}`)));
    assert.deepEqual([first.config.model, second.config.model], ["opus", "haiku"]);
    await finish(page, server);
  });

  test(`attempts are checked, compared and one is kept: ${word}`, async () => {
    const { page, first, second } = await finished(`kept-${word}`, view);
    write(first.project_path, "a.txt", "good\n");
    write(second.project_path, "a.txt", "bad\n");
    await button(page, "Run the check: grep good a.txt").click();
    await card(page, first).getByText("passed").waitFor();
    await card(page, second).getByText("failed, code 1").waitFor();
    await card(page, first).getByText("Output of the check").click();
    await card(page, first).locator("pre", { hasText: "good" }).waitFor();
    await accessible(page);
    await button(page, "Show the difference").click();
    await page.locator(".group-diff .row", { hasText: "bad" }).waitFor();
    await focused(page, `From ${first.name}`);
    await accessible(page);
    // The other one has work that is in no commit: it is left until somebody says that it can go.
    await card(page, first).getByRole("button", { name: "Keep" }).click();
    await button(page, "Delete 1 attempt").click();
    await page.getByText(`${second.name} is left`).waitFor();
    assert.ok(existsSync(second.project_path));
    await focused(page, "Discard their changes");
    await button(page, "Discard their changes").click();
    await button(page, "Delete 1 attempt").click();
    await page.getByText(`${first.name} is kept, 1 other attempt deleted.`).waitFor();
    assert.ok(!existsSync(second.project_path));
    await focused(page, "Land the work of");
    await button(page, "Land the work of").click();
    await page.waitForSelector(".land-part");
    await finish(page, server);
  });
}

test("the difference needs two attempts, and equal ones have none", async () => {
  const { page, first, second } = await finished("equal");
  await button(page, "Show the difference").click();
  await page.getByText("Their files are the same.").waitFor();
  await card(page, second).getByLabel("Compare").uncheck();
  assert.ok(await button(page, "Show the difference").isDisabled());
  await card(page, first).getByRole("button", { name: "Open" }).click();
  await page.waitForSelector("dialog", { state: "detached" });
  await page.waitForSelector(`h1:has-text("${first.name}")`);
  await finish(page, server);
});

test("a check's output is shown as text", async () => {
  const { page, first } = await finished("hostile", DESK, { check: ["printf '<img src=x onerror=alert(1)>\\033[31m\\n'; false"] });
  await button(page, "Run the check").click();
  await card(page, first).getByText("Output of the check").click();
  const shown = await card(page, first).locator("pre").textContent();
  assert.ok(shown.includes("<img src=x") && !shown.includes("\u001b"), shown);
  await finish(page, server);
});

test("groups are listed in the palette", async () => {
  const { page, group } = await finished("listed");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.keyboard.press("Control+k");
  await page.waitForSelector(".palette");
  await page.keyboard.type("groups of");
  await page.keyboard.press("Enter");
  await page.locator(".groups button", { hasText: group.name }).click();
  await page.waitForSelector(".attempt-card");
  await finish(page, server);
});

/** A name for what has the focus. */
const where = (page) => page.evaluate(() => {
  const el = document.activeElement;
  return el.getAttribute("aria-label") ?? [...(el.labels?.[0]?.childNodes ?? [])].map((node) => node.textContent).find(Boolean) ?? el.textContent.trim();
});
const settles = async (page, expected) => {
  for (const end = Date.now() + SOON_MS; (await where(page)) !== expected && Date.now() < end; ) await page.waitForTimeout(25);
  assert.equal(await where(page), expected);
  // It stays there.
  await page.waitForTimeout(150);
  assert.equal(await where(page), expected);
};

test("the form for several attempts receives and returns the focus", async () => {
  const page = await open(server, "#/");
  await button(page, "New worker").first().click();
  await page.waitForSelector("form.create .cli");
  await button(page, "Best of several").click();
  await page.waitForSelector(".attempt");
  await settles(page, "Project folder");
  await button(page, "Add an attempt").click();
  await settles(page, "CLI or preset");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await settles(page, "New worker (n)");
  await finish(page, server);
});

test("the comparison keeps the focus and returns it to menus", async () => {
  const { page, second } = await finished("focused");
  await settles(page, "Close");
  await card(page, second).getByRole("button", { name: "Keep" }).click();
  await page.waitForSelector("dialog >> nth=1");
  await page.keyboard.press("Escape");
  await settles(page, "Keep");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await settles(page, "Actions of this worker");
  await finish(page, server);
});
