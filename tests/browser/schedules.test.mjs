// Schedules: made in the form, run at once, paused, looked at and removed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { at, finish, open, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("a schedule is made, run, paused, removed by page", async () => {
  const worker = await server.worker("scheduled");
  const page = await open(server, at(worker));
  await page.keyboard.press("ControlOrMeta+k");
  await page.getByPlaceholder("Worker or command").fill("schedules of");
  await page.keyboard.press("Enter");
  const dialog = page.locator('dialog[aria-label="Schedules"]');
  await dialog.getByLabel("Name").fill("nightly");
  await dialog.getByLabel("Receiver").selectOption({ label: "scheduled" });
  await dialog.getByLabel("Message, with").fill("echo swept");
  const cron = dialog.getByLabel("Or by cron");
  await cron.fill("61 * * * *");
  await dialog.getByText("cron cannot be read").waitFor();
  await cron.fill("0 2 29 2 *");
  await dialog.getByText("Next: ").waitFor();
  await dialog.getByRole("button", { name: "Create schedule" }).click();
  const row = dialog.locator('li:has-text("nightly")');
  await row.getByText("0 2 29 2 *").waitFor();

  await row.getByRole("button", { name: "Run nightly now" }).click();
  await server.until(worker, "idle");
  const [schedule] = (await server.api("GET", "/api/schedules")).schedules;
  for (let run; run?.state !== "completed"; )
    [run] = (await server.api("GET", `/api/schedules/${schedule.id}/runs`)).runs;
  await row.getByRole("button", { name: "History of nightly" }).click();
  await row.getByText("swept", { exact: true }).waitFor();

  await row.getByRole("button", { name: "Pause nightly" }).click();
  await row.getByText("Paused").waitFor();
  assert.equal((await server.api("GET", "/api/schedules")).schedules[0].paused, true);
  await row.getByRole("button", { name: "Remove nightly" }).click();
  await page.locator('dialog[aria-label="Remove schedule"]').getByRole("button", { name: "Remove" }).click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual((await server.api("GET", "/api/schedules")).schedules, []);
  await finish(page, server);
});
