// Loading the page over slow links, measured in the browser and printed. What must hold on any machine: a reload takes
// every file from the cache, and the document links each module that the first view imports.

import assert from "node:assert/strict";
import { test } from "node:test";
import { at, DESK, launch, serverOfAllTests } from "./support.mjs";

// Round trip in milliseconds, and bytes a second.
const LINKS = {
  "100 ms, 10 Mbit/s": { latency: 100, downloadThroughput: 1_250_000, uploadThroughput: 1_250_000 },
  "slow 3G (400 ms, 400 kbit/s)": { latency: 400, downloadThroughput: 50_000, uploadThroughput: 50_000 },
};
const ROUNDS = 3;

const server = serverOfAllTests();

const median = (times) => Math.round(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]);

/** A page with an empty cache on such a link, and the files of the page that came over it. */
async function pageOn(link) {
  const context = await (await launch()).newContext(DESK);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: false, ...link });
  const fetched = [];
  const urls = new Map();
  session.on("Network.responseReceived", ({ requestId, response }) => urls.set(requestId, response.url));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength: bytes }) => {
    const url = urls.get(requestId);
    // From the cache come 0 bytes; a file that is validated costs its head.
    if (url && bytes > 0 && /\/static\/|\/$/.test(new URL(url).pathname)) fetched.push({ url, bytes });
  });
  return { page, context, fetched };
}

async function seconds(act) {
  const begin = performance.now();
  await act();
  return performance.now() - begin;
}

const shown = (page, selector) => page.waitForSelector(selector);
const isFile = ({ url }) => url.includes("/static/");

test("a reload requests the document alone", async () => {
  await server.worker("listed");
  const worker = await server.told("read", "echo hi");
  for (const [name, link] of Object.entries(LINKS)) {
    const times = { first: [], again: [], reader: [], readerAgain: [] };
    let bytes = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { page, context, fetched } = await pageOn(link);
      times.first.push(await seconds(async () => {
        await page.goto(server.url);
        await shown(page, ".workers a");
      }));
      bytes = fetched.reduce((sum, file) => sum + file.bytes, 0);
      // Modules of later views are loaded when the page is idle.
      await page.waitForSelector('link:is([rel="later"], [rel="last"])', { state: "detached" });
      await page.waitForLoadState("networkidle");
      fetched.length = 0;
      times.again.push(await seconds(async () => {
        await page.reload();
        await shown(page, ".workers a");
      }));
      assert.deepEqual(fetched.filter(isFile), []);
      await context.close();
      const reader = await pageOn(link);
      times.reader.push(await seconds(async () => {
        await reader.page.goto(`${server.url}/${at(worker)}`);
        await shown(reader.page, ".item-turn");
      }));
      times.readerAgain.push(await seconds(async () => {
        await reader.page.reload();
        await shown(reader.page, ".item-turn");
      }));
      await reader.context.close();
    }
    console.log(`measured: ms to the list, ${name}: first ${median(times.first)}, reload ${median(times.again)}; ${bytes} bytes on the wire`);
    console.log(`measured: ms to a conversation, ${name}: first ${median(times.reader)}, reload ${median(times.readerAgain)}`);
  }
});

test("the document links exactly the first view's modules", async () => {
  const { page, context, fetched } = await pageOn(LINKS["100 ms, 10 Mbit/s"]);
  // Modules of later views are loaded when the page is idle, which never happens here.
  await page.addInitScript(() => { globalThis.requestIdleCallback = () => {}; });
  await page.goto(server.url);
  await shown(page, ".workers a");
  await page.waitForLoadState("networkidle");
  const linked = await page.locator('link[rel="modulepreload"], script[src]').evaluateAll((all) => all.map((el) => el.href || el.src));
  const modules = fetched.map(({ url }) => url).filter((url) => url.endsWith(".js"));
  assert.deepEqual(modules.toSorted(), linked.toSorted());
  // All modules of the view are joined in one file; the other script sets the theme before anything is drawn.
  assert.equal(linked.length, 2);
  await context.close();
});
