// The composer on phones of every shape, with the keyboard up, and the pictures of messages that wait.

import assert from "node:assert/strict";
import { test } from "node:test";
import { at, eventually, finish, open, say, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

const SIZES = [[360, 740], [390, 844], [740, 360], [844, 390], [360, 380], [390, 450], [740, 180], [844, 200]];
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
const picture = (n) => ({ name: `picture ${n}.png`, mimeType: "image/png", buffer: PIXEL });
const PICTURES = [1, 2, 3, 4, 5, 6].map(picture);

/** What of the composer can be operated and is not wholly in the window, within what scrolls. */
const cutOff = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll(".composer-place :is(button, select, textarea)")]
      .filter((el) => el.checkVisibility() && !el.closest(".thumbs, .queue"))
      .filter((el) => {
        const { top, bottom, left, right } = el.getBoundingClientRect();
        return top < -1 || left < -1 || bottom > innerHeight + 1 || right > innerWidth + 1;
      })
      .map((el) => el.getAttribute("aria-label") ?? el.className),
  );

const phone = (size, hash) => open(server, hash, { viewport: { width: size[0], height: size[1] }, hasTouch: true, isMobile: true });

test("the composer of a full draft fits every phone", async () => {
  const worker = await server.told("phone", "lines 40");
  for (const size of SIZES) {
    const page = await phone(size, at(worker));
    const area = page.locator(".composer-box textarea");
    assert.deepEqual(await area.waitFor().then(() => cutOff(page)), [], `${size}`);
    await area.fill("A long draft that goes on.\n".repeat(30));
    await area.focus();
    assert.deepEqual(await cutOff(page), [], `${size} with a long draft`);
    await page.locator('input[type="file"]').setInputFiles(PICTURES);
    await page.waitForSelector(`.thumbs li:nth-child(${PICTURES.length})`);
    assert.deepEqual(await cutOff(page), [], `${size} with pictures`);
    await area.fill("/");
    await page.waitForSelector(".completion [role=option], ul.completion li");
    assert.deepEqual(await cutOff(page), [], `${size} with suggestions`);
    const { y } = await page.locator("ul.completion").boundingBox();
    assert.ok(y >= -1, `${size}: suggestions begin at ${y}`);
    await finish(page, server);
  }
});

test("the composer of a busy worker fits every phone", async () => {
  const worker = await server.worker("busy");
  await server.message(worker, "hang");
  await server.until(worker, "busy");
  for (let n = 0; n < 5; n += 1) await server.message(worker, `echo waits ${n}`);
  for (const size of SIZES) {
    const page = await phone(size, at(worker));
    await page.waitForSelector(".queue li:nth-child(5)");
    assert.deepEqual(await cutOff(page), [], `${size}`);
    await finish(page, server);
  }
});

test("pictures of messages that wait are shown in the queue", async () => {
  const worker = await server.worker("waiting");
  await server.message(worker, "hang");
  await server.until(worker, "busy");
  const page = await open(server, at(worker));
  await page.locator(".composer-box textarea").waitFor();
  await page.locator('input[type="file"]').setInputFiles(PICTURES.slice(0, 2));
  await page.waitForSelector(".thumbs li:nth-child(2)");
  await say(page, "echo with pictures");
  const loaded = () => [...document.querySelectorAll('.queue [aria-label="Edit"]')].length === 1 &&
    [...document.querySelectorAll(".queue img")].filter((img) => img.complete && img.naturalWidth === 1).length === 2;
  await eventually(page, loaded);
  // They are those of the server, and in another tab and after a reload the same.
  await page.reload();
  await eventually(page, loaded);
  await page.locator(".queue .picture").first().click();
  await page.waitForSelector(".lightbox img, dialog img");
  await finish(page, server);
});
