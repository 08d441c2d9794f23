// Rules that answer requests: made from a request, named in the history, and revoked.

import assert from "node:assert/strict";
import { test } from "node:test";

import { at, finish, open, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("a rule made from a request answers and is revoked", async () => {
  const worker = await server.worker("ruled");
  const ask = () => server.message(worker, 'permission Bash {"command":"git status"}');
  await ask();
  await server.until(worker, "waiting");
  const page = await open(server, at(worker));
  await page.locator(".prompt-card").getByRole("button", { name: "Always do this…" }).click();
  const dialog = page.locator('dialog[aria-label="Always do this"]');
  await dialog.getByText("Runs git status, with exactly these words").waitFor();
  await dialog.getByLabel("Name of the rule").fill("status of git");
  await dialog.getByRole("button", { name: "Allow now and always" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.locator(".resolved.allowed").first().waitFor();
  await server.until(worker, "idle");

  await ask();
  await page.locator('.resolved:has-text("by the rule “status of git”")').waitFor();
  await server.until(worker, "idle");

  await page.keyboard.press("ControlOrMeta+k");
  await page.getByPlaceholder("Worker or command").fill("rules that");
  await page.keyboard.press("Enter");
  const row = page.locator('.rules li:has-text("status of git")');
  await row.getByRole("button", { name: "Revoke status of git" }).click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual((await server.api("GET", "/api/rules")).rules, []);
  await finish(page, server);
});

test("a request that no rule can allow says so", async () => {
  const worker = await server.worker("unruled");
  await server.message(worker, 'permission Bash {"command":"echo $(id)"}');
  await server.until(worker, "waiting");
  const page = await open(server, at(worker));
  await page.locator(".prompt-card").getByRole("button", { name: "Always do this…" }).click();
  await page.locator("dialog").getByText("no rule can allow this safely").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.locator(".prompt-card").getByRole("button", { name: "Allow once" }).waitFor();
});
