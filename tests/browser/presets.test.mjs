// Presets in the dialog that makes a worker.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DESK, finish, open, PHONE, serverOfAllTests } from "./support.mjs";
import { accessible, git } from "./work.mjs";

const server = serverOfAllTests();

const FIX = {
  ai_cli_type: "claude", permission_mode: "plan", effort: "high", worktree: true, args: ["--verbose"], env: { SECRET_OF_PRESET: "hush" },
  initial_message: "echo Fix issue {{issue}}",
};
const put = (name, fields) => server.api("PUT", `/api/presets/${name}`, fields);
/** A folder under git, whose project file names this preset. */
function project(name, preset) {
  const folder = server.folder(name);
  git(folder, "init", "-q");
  git(folder, "commit", "-q", "--allow-empty", "-m", "Begin");
  if (preset) writeFileSync(join(server.folder("data/project-files"), `${name}.json`), JSON.stringify({ path: folder, preset }));
  return folder;
}
async function dialog(view = DESK) {
  const page = await open(server, "#/", view);
  await page.getByRole("button", { name: "New worker" }).first().click();
  await page.waitForSelector("form.create .cli");
  await page.locator("select[name=preset]").waitFor();
  return page;
}
const create = (page) => page.getByRole("button", { name: "Create", exact: true }).click();
const folder = (page, path) => page.getByLabel("Project folder").fill(path);
const focused = (page) => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent);

for (const [word, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`a preset fills the form and its placeholders: ${word}`, async () => {
    await put("fix", FIX);
    const page = await dialog(view);
    await folder(page, project(`filled-${word}`));
    await page.locator("select[name=preset]").selectOption("fix");
    assert.equal(await page.getByLabel("First message").inputValue(), FIX.initial_message);
    assert.equal(await page.locator("input[name=effort]").inputValue(), "high");
    await page.getByText("It sets also: 1 argument, the variables SECRET_OF_PRESET.").waitFor();
    assert.ok(!(await page.content()).includes("hush"));
    await accessible(page);
    // Nothing is made without a value.
    await create(page);
    await page.waitForSelector('input[data-placeholder="issue"][aria-invalid="true"]:focus');
    await page.keyboard.type("medlar");
    await create(page);
    await page.waitForSelector('.item-user:has-text("echo Fix issue medlar")');
    const { workers } = await server.api("GET", "/api/workers");
    const made = workers.find(({ name }) => name === `filled-${word}`);
    assert.ok(made.worktree);
    assert.equal(made.permission_mode, "plan");
    assert.equal(made.next_start.effort, "high");
    await page.locator(".settings", { hasText: "effort high" }).waitFor();
    await finish(page, server);
  });
}

test("a person's changes in the form win over the preset", async () => {
  await put("fix", FIX);
  const page = await dialog();
  await folder(page, project("changed"));
  await page.locator("select[name=preset]").selectOption("fix");
  await page.getByLabel("issue").fill("quince");
  await page.getByLabel("First message").fill("echo Look at {{issue}}");
  await page.getByText("More options").click();
  await page.getByLabel("Work in a new git worktree").uncheck();
  await create(page);
  await page.waitForSelector('.item-user:has-text("echo Look at quince")');
  const { workers } = await server.api("GET", "/api/workers");
  assert.equal(workers.find(({ name }) => name === "changed").worktree ?? null, null);
  await finish(page, server);
});

test("a typed message is kept when a preset is chosen", async () => {
  await put("fix", FIX);
  const page = await dialog();
  await page.getByLabel("First message").fill("mine");
  await page.locator("select[name=preset]").selectOption("fix");
  assert.equal(await page.getByLabel("First message").inputValue(), "mine");
  await page.locator("select[name=preset]").selectOption("");
  assert.equal(await page.getByLabel("First message").inputValue(), "mine");
  await finish(page, server);
});

test("the project's preset is selected until a person chooses", async () => {
  await put("usual", { initial_message: "echo usual" });
  const [with_, without] = [project("with-preset", "usual"), project("without-preset")];
  const page = await dialog();
  const choice = page.locator("select[name=preset]");
  const is = (value) => page.waitForFunction((wanted) => document.querySelector("select[name=preset]").value === wanted, value);
  await folder(page, with_);
  await is("usual");
  await page.getByText("The preset of this project.").waitFor();
  await folder(page, without);
  await is("");
  assert.equal(await page.getByLabel("First message").inputValue(), "");
  await folder(page, with_);
  await is("usual");
  await choice.selectOption("");
  await folder(page, `${with_}/`);
  await page.waitForLoadState("networkidle");
  assert.equal(await choice.inputValue(), "");
  await finish(page, server);
});

test("a filled form is saved as a preset and deleted", async () => {
  await put("fix", FIX);
  const page = await dialog();
  await page.locator("select[name=preset]").selectOption("fix");
  await page.getByText("Save as preset").click();
  const name = page.getByLabel("Name of the preset");
  await name.fill("Not A Name");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("A name has 1 to 64 lower-case letters").waitFor();
  await name.fill("copied");
  await page.keyboard.press("Enter");
  await page.getByText("copied is saved.").waitFor();
  assert.equal(await focused(page), "Name of the preset");
  const copied = await server.api("GET", "/api/presets/copied");
  assert.deepEqual([copied.args, copied.env, copied.worktree], [FIX.args, ["SECRET_OF_PRESET"], true]);
  await page.getByLabel("First message").fill("echo other");
  await page.getByRole("button", { name: "Replace copied" }).click();
  await page.waitForFunction(async () => (await (await fetch("api/presets/copied")).json()).initial_message === "echo other");
  await page.getByRole("button", { name: "Delete copied" }).click();
  await page.locator("dialog").last().getByRole("button", { name: "Delete copied" }).click();
  await page.getByText("copied is deleted.").waitFor();
  assert.equal(await focused(page), "Name of the preset");
  const { presets } = await server.api("GET", "/api/presets");
  assert.ok(!presets.some((one) => one.name === "copied"));
  await finish(page, server);
});

test("a broken preset is named and cannot be chosen", async () => {
  writeFileSync(join(server.folder("data/presets"), "broken.json"), '{"modle": "x"}');
  const page = await dialog();
  const option = page.locator("select[name=preset] option", { hasText: "broken" });
  assert.ok((await option.textContent()).includes("modle: unknown field"));
  assert.ok(await option.isDisabled());
  await finish(page, server);
});

test("a person or a preset gives an agent its token", async () => {
  await put("lead", { ai_cli_type: "claude", mcp: true });
  const page = await dialog();
  await folder(page, project("lead"));
  await page.getByText("More options").click();
  const box = page.getByRole("checkbox", { name: "Its agent may start workers (MCP)" });
  assert.equal(await box.isChecked(), false);
  await page.getByText("It gets a token that reaches only the workers it makes.").waitFor();
  await accessible(page);
  await page.locator("select[name=preset]").selectOption("lead");
  assert.equal(await box.isChecked(), true);
  await page.locator("select[name=preset]").selectOption("");
  assert.equal(await box.isChecked(), false);
  await box.check();
  await create(page);
  const made = async () => (await server.api("GET", "/api/workers")).workers.find(({ name }) => name === "lead");
  await page.waitForFunction(() => !document.querySelector("form.create"));
  const { config } = await server.api("GET", `/api/workers/${(await made()).id}`);
  assert.equal(config.mcp, true);
  await finish(page, server);
});

test("a person takes the token of a preset away", async () => {
  await put("lead", { ai_cli_type: "claude", mcp: true });
  const page = await dialog();
  await folder(page, project("alone"));
  await page.locator("select[name=preset]").selectOption("lead");
  await page.getByText("More options").click();
  await page.getByRole("checkbox", { name: "Its agent may start workers (MCP)" }).uncheck();
  await create(page);
  await page.waitForFunction(() => !document.querySelector("form.create"));
  const { workers } = await server.api("GET", "/api/workers");
  const { config } = await server.api("GET", `/api/workers/${workers.find(({ name }) => name === "alone").id}`);
  assert.equal(config.mcp, false);
  await finish(page, server);
});
