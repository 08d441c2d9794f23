// Keys that are typed while the code of what they are for is still on its way: they end there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { at, eventually, finish, open, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

// What a slow link takes to bring a module.
const SLOW_MS = 400;
const LATER = /\/static\/(.*\/)?(js\/views\/(palette|search|create|dialogs)|js\/pages\/(listing|worker)|css\/(?!list)|js\/joined\/worker)/;

/** A page whose later modules come late. */
const slow = (hash) =>
  open(server, hash, undefined, async (page) => {
    await page.addInitScript(() => { globalThis.requestIdleCallback = () => {}; });
    await page.route(LATER, async (route) => {
      await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
      await route.continue();
    });
  });

const FIELDS = [
  ["the palette", "Control+k", ".palette input"],
  ["the search", "s", 'dialog input[type="search"], dialog input'],
  ["the form of a new worker", "n", 'dialog input:focus'],
];

for (const [name, key, field] of FIELDS) {
  test(`keys typed while ${name} loads end in its field`, async () => {
    const page = await slow("#/");
    await page.waitForSelector(".welcome");
    await page.locator("body").press(key);
    await page.keyboard.type("wordx");
    await page.keyboard.press("Backspace");
    await page.waitForSelector(field);
    await eventually(page, (selector) => document.querySelector(selector)?.value === "word", field);
    // Nothing was taken for a shortcut: no other dialog is open.
    assert.equal(await page.locator("dialog[open]").count(), 1);
    await finish(page, server);
  });
}

test("escape typed while the palette loads closes it", async () => {
  const page = await slow("#/");
  await page.waitForSelector(".welcome");
  await page.evaluate(() => {
    new MutationObserver(() => {
      if (document.querySelector(".palette-list")) document.documentElement.dataset.seen = "yes";
    }).observe(document.body, { childList: true, subtree: true });
  });
  await page.locator("body").press("Control+k");
  await page.keyboard.type("word");
  await page.keyboard.press("Escape");
  await eventually(page, () => document.documentElement.dataset.seen === "yes" && !document.querySelector("dialog"));
  assert.equal(await page.locator("dialog[open]").count(), 0);
  await finish(page, server);
});

test("enter typed while the palette loads chooses what was typed", async () => {
  const worker = await server.worker("chosen");
  const page = await slow("#/");
  await page.waitForSelector(".workers a");
  await page.locator("body").press("Control+k");
  await page.keyboard.type("chosen");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/${at(worker)}`);
  await finish(page, server);
});

test("text typed while a worker loads reaches the composer", async () => {
  await server.worker("composed");
  const page = await slow("#/");
  await page.locator(".workers a", { hasText: "composed" }).press("Enter");
  await page.keyboard.type("hello there");
  await eventually(page, () => document.querySelector(".composer-box textarea")?.value === "hello there");
  await finish(page, server);
});
