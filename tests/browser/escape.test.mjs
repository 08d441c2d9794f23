// Escape, pressed once and twice, wherever the focus is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { placesIn } from "./focusing.mjs";
import { DESK, finish, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests((running) => running.worker("stays"));
const { BEGIN, empty } = placesIn(server);

/** The status of a worker once nothing changes it any more: an interrupt takes a moment. */
async function settled(worker) {
  await new Promise((resolve) => setTimeout(resolve, 400));
  return (await server.api("GET", `/api/workers/${worker.id}`)).status;
}

/** Each landmark: how the focus gets there, and whether two Escapes interrupt from there. */
const LANDMARKS = [
  ["the filter", (page) => page.getByLabel("Filter workers").focus(), false],
  ["the menu of statuses", (page) => page.getByLabel("Show status").focus(), false],
  ["the list", (page) => page.locator(".workers a").first().focus(), false],
  ["the buttons above the list", (page) => page.getByRole("button", { name: "Notifications" }).focus(), false],
  ["the head of the worker", (page) => page.getByRole("button", { name: "Actions of this worker" }).focus(), false],
  ["the docked panel", (page) => page.locator('.panel [role="tab"]').first().focus(), false],
  ["the conversation beside a docked panel", (page) => page.locator(".scroller").focus(), false],
  ["a queued message that is edited", (page) => page.getByRole("button", { name: "Edit" }).click(), false],
  ["the conversation", (page) => page.locator(".scroller").focus(), true],
  ["the composer", (page) => page.locator(".composer-box > textarea").focus(), true],
  ["nothing", (page) => page.evaluate(() => document.activeElement.blur()), true],
];

for (const [name, go, interrupts] of LANDMARKS) {
  test(`Escape pressed twice ${interrupts ? "interrupts" : "does not interrupt"} a turn from ${name}`, async () => {
    const page = await empty(DESK);
    const worker = await (name.startsWith("a queued") ? BEGIN.queued(page) : BEGIN.busy(page));
    if (name.includes("docked")) {
      await page.getByRole("button", { name: /^Changes, usage and process/ }).click();
      await page.waitForSelector(".panel:visible");
    }
    await go(page);
    await page.keyboard.press("Escape");
    const asked = page.getByText("Press Esc again to interrupt");
    if (interrupts) await asked.waitFor();
    else assert.equal(await asked.count(), 0);
    assert.equal(await settled(worker), "busy");
    if (name.includes("docked")) assert.equal(await page.locator(".panel").isVisible(), false, "the panel closes first");
    if (interrupts) {
      await page.keyboard.press("Escape");
      await page.waitForSelector('.turn:has-text("Interrupted")');
    }
    await finish(page, server);
  });
}

test("a second Escape that comes late asks again", async () => {
  const page = await empty();
  const worker = await BEGIN.busy(page);
  await page.keyboard.press("Escape");
  await page.getByText("Press Esc again to interrupt").waitFor();
  await page.getByText("Press Esc again to interrupt").waitFor({ state: "detached" });
  await page.keyboard.press("Escape");
  await page.getByText("Press Esc again to interrupt").waitFor();
  assert.equal(await settled(worker), "busy");
  await finish(page, server);
});
