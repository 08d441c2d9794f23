// Forms that agents ask to be filled in, and agents that have lost their session.

import assert from "node:assert/strict";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { FAKE_CLI, at, eventually, finish, open, say, serverOfAllTests } from "./support.mjs";

// An agent of the Agent Client Protocol, declared in a file.
async function declareAgent(server) {
  const program = join(server.folder("bin"), "my-agent");
  writeFileSync(program, `#!/bin/sh\n[ "$1" = --acp ] && exec '${FAKE_CLI}' acp\n`);
  chmodSync(program, 0o755);
  const file = { name: "My agent", family: "acp", command: [program, "--acp"] };
  writeFileSync(join(server.folder("adapters"), "my-agent.json"), JSON.stringify(file));
  await server.down();
  await server.again();
}

const server = serverOfAllTests(declareAgent);

async function asked() {
  const worker = await server.api("POST", "/api/workers", { name: "forms", project_path: server.project, ai_cli_type: "my-agent" });
  await server.until(worker, "idle");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await say(page, "form");
  const form = page.locator("form.question");
  await form.getByText("Who are you?").waitFor();
  return { page, form };
}

test("an agent's form is filled by keyboard and answered typed", async () => {
  const { page, form } = await asked();
  assert.equal(await form.locator("input[type=number]").inputValue(), "3", "the preset is there");
  await form.locator("input[type=number]").focus();
  await page.keyboard.press("Enter");
  await form.getByRole("alert").getByText("an answer is needed").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.type), "radio", "the focus is on what is missing");
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowDown");
  assert.ok(await form.getByLabel("Blue").isChecked());
  await page.keyboard.press("Tab");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("7");
  await page.keyboard.press("Tab");
  await page.keyboard.type("Ada");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.item-assistant:has-text("form:")');
  const said = await page.locator(".item-assistant").last().textContent();
  const answer = JSON.parse(said.slice(said.indexOf("{"), said.lastIndexOf("}") + 1));
  assert.deepEqual(answer, { action: "accept", content: { name: "Ada", count: 7, color: "b", sure: true } });
  await finish(page, server);
});

test("a form that is declined is declined", async () => {
  const { page, form } = await asked();
  await form.getByRole("button", { name: "Decline" }).click();
  await page.waitForSelector('.item-assistant:has-text("decline")');
  await finish(page, server);
});

test("a lost session gets its conversation once, if wanted", async () => {
  const worker = await server.told("forgets", "echo rhubarb");
  const page = await open(server, at(worker));
  await page.waitForSelector('.item-assistant:has-text("rhubarb")');
  const { session_id: session } = await server.api("GET", `/api/workers/${worker.id}`);
  await server.api("POST", `/api/workers/${worker.id}/stop`);
  await server.until(worker, "stopped");
  rmSync(join(server.dir, ".fake_cli", session));
  await say(page, "echo after the loss");
  await page.waitForSelector('.item-assistant:has-text("after the loss")');
  const offer = page.locator(".forgotten");
  await offer.getByText("does not know this conversation").waitFor();
  await offer.getByRole("checkbox").check();
  await say(page, "echo and on");
  await eventually(page, () => document.querySelector(".forgotten").hidden);
  await server.turns(worker, 3);
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?types=user`);
  const last = messages[messages.length - 1].content;
  assert.match(last, /rhubarb[\s\S]*after the loss[\s\S]*echo and on$/);
  await page.reload();
  await page.waitForSelector('.item-user:has-text("and on")');
  assert.ok(await offer.isHidden(), "the choice is remembered");
  await finish(page, server);
});
