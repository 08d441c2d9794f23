// Budgets: the list with a new one, and the card of a budget that is used up.

import assert from "node:assert/strict";
import { test } from "node:test";

import { at, finish, open, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("a used-up budget asks and is raised, changed, removed", async () => {
  const worker = await server.worker("limited");
  await server.until(worker, "idle");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await page.keyboard.press("ControlOrMeta+k");
  await page.getByPlaceholder("Worker or command").fill("budgets");
  await page.keyboard.press("Enter");
  const dialog = page.locator('dialog[aria-label="Budgets"]');
  await dialog.getByText("No budgets.").waitFor();
  await dialog.getByText("New budget…").click();
  await dialog.getByLabel("Name").fill("few turns");
  await dialog.getByLabel("For").selectOption("worker");
  assert.equal(await dialog.getByLabel("Folder, preset or worker id").inputValue(), worker.id);
  await dialog.getByLabel("Turns", { exact: true }).fill("1");
  await dialog.getByRole("button", { name: "Add budget" }).click();
  await dialog.getByText("0 % used: 0 turns of 1 turns").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });

  await server.message(worker, "echo first");
  const card = page.locator(".prompt-card");
  await card.getByText("The budget \"few turns\" is used up").waitFor();
  assert.equal(await card.getByRole("button", { name: "Always do this…" }).count(), 0);
  assert.equal(await card.getByRole("button", { name: "Deny with a reason…" }).count(), 0);
  await server.message(worker, "echo second");
  await card.getByRole("button", { name: "One more turn" }).click();
  await page.locator('.resolved:has-text("One more turn")').waitFor();
  await page.locator('.item-assistant:has-text("second")').waitFor();

  await server.message(worker, "echo third");
  await page.locator(".prompt-card").getByRole("button", { name: "Raise to 3 turns" }).click();
  await page.locator('.item-assistant:has-text("third")').waitFor();

  await page.keyboard.press("ControlOrMeta+k");
  await page.getByPlaceholder("Worker or command").fill("budgets");
  await page.keyboard.press("Enter");
  const row = page.locator(".budgets li");
  await row.getByText("100 % used: 3 turns of 3 turns").waitFor();
  await row.getByText("Change the limits").click();
  await row.getByLabel("Turns", { exact: true }).fill("6");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByText("50 % used: 3 turns of 6 turns").waitFor();
  await row.getByRole("button", { name: "Remove few turns" }).click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual((await server.api("GET", "/api/budgets")).budgets, []);
  await finish(page, server);
});
