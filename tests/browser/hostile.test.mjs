// Hostile output: nothing of it is executed, and the layout stays intact.

import assert from "node:assert/strict";
import { test } from "node:test";
import { at, open, serverOfAllTests } from "./support.mjs";

const EVIL = [
  "<script>window.hacked = 1</script>",
  '<img src=x onerror="window.hacked = 1">',
  "[a](javascript:window.hacked=1) [b](data:text/html,<script>1</script>)",
  "![p](https://evil.example/p.png) <https://evil.example>",
  '"><svg onload="window.hacked = 1">',
  "| <iframe srcdoc=x> | b |\\n|---|---|\\n| [c](JaVaScRiPt:1) | d |",
  "\u202egnp.exe \u2066x",
  "[".repeat(5000),
];
const server = serverOfAllTests();

async function intact(page) {
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(page.problems, []);
  assert.deepEqual([...page.hosts].filter((host) => host !== server.url), []);
  assert.deepEqual(await page.$$eval(".item script, .item img, .item iframe, .item svg[onload], .item object, .item style", (all) => all.map((el) => el.outerHTML)), []);
  assert.deepEqual(await page.$$eval(".item a", (all) => all.map((el) => el.getAttribute("href")).filter((href) => !/^(https?:|mailto:|#\/)/.test(href))), []);
  assert.deepEqual(await page.$$eval(".item *", (all) => all.flatMap((el) => [...el.attributes].map((one) => one.name).filter((name) => name.startsWith("on")))), []);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.ok(await page.evaluate(() => {
    const el = document.querySelector(".scroller");
    return el.scrollWidth <= el.clientWidth + 1;
  }));
}

test("markup, links, marks and reordering characters stay text", async () => {
  const worker = await server.worker("evil <b>name</b> \u202e");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  for (const [count, evil] of EVIL.entries()) {
    await server.message(worker, `echo ${evil}`);
    await server.turns(worker, count + 1);
  }
  await server.message(worker, `permission Bash ${JSON.stringify({ command: "\u001b[2Jecho <script>window.hacked=1</script>\u202e", description: "<img src=x onerror=window.hacked=1>" })}`);
  await page.waitForSelector(".prompt-card");
  assert.match(await page.locator(".prompt-card").innerText(), /\[U\+202E\]/);
  assert.doesNotMatch(await page.locator(".prompt-card").innerText(), /\u001b/);
  await page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
  await intact(page);
  await page.context().close();
});

test("five MiB on one line fold, and the page continues", async () => {
  const worker = await server.worker("long");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await server.message(worker, `long ${5 * 1024 * 1024}`);
  await page.waitForSelector(".fold");
  await server.message(worker, "echo still here");
  await page.waitForSelector('.item-assistant:has-text("still here")');
  await intact(page);
  await page.context().close();
});
