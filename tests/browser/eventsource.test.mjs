// The browser's own EventSource on a worker's events: it connects again by itself, also to a server that was away, and
// sees each event once.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, eventually, finish, open, say, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("EventSource sees each event once over a killed server", async () => {
  const worker = await server.told("listened to", "echo one");
  const page = await open(server);
  await page.evaluate((id) => {
    globalThis.seen = [];
    globalThis.source = new EventSource(new URL(`api/workers/${id}/events?since=0`, document.baseURI));
    globalThis.source.onmessage = ({ data, lastEventId }) => {
      const { seq, content } = JSON.parse(data);
      globalThis.seen.push({ seq, lastEventId, type: content.type, text: content.content });
    };
  }, worker.id);
  const answered = (text) => eventually(page, (wanted) => globalThis.seen.some(({ type, text: said }) => type === "assistant" && said === wanted), text);
  await answered("one");
  await server.message(worker, "echo two");
  await answered("two");

  await server.down("SIGKILL");
  await server.again();
  await server.until(worker, "idle");
  await server.message(worker, "echo three");
  await answered("three");

  const seen = (await page.evaluate(() => globalThis.seen)).filter(({ seq }) => seq !== undefined);
  for (const [at, event] of seen.entries()) {
    assert.ok(event.lastEventId.startsWith(`${event.seq}.`), event.lastEventId);
    assert.ok(at === 0 || event.seq > seen[at - 1].seq, `${event.seq} came after ${seen[at - 1]?.seq}`);
  }
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?types=all&limit=1000`);
  const last = seen.at(-1).seq;
  assert.deepEqual(seen.map(({ seq }) => seq), messages.map(({ seq }) => seq).filter((seq) => seq <= last), "none is missing");
  await finish(page, server);
});

test("a message continues to stream over a killed server", async () => {
  const worker = await server.worker("written");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const heard = join(server.dir, "heard");
  await say(page, `deltas 20 60 ${heard}`);
  const grown = (count) => eventually(page, (word) => document.querySelector(".item-assistant.live")?.textContent.includes(word), `w${count} `);
  await grown(20);
  for (const count of [90, 170]) {
    await server.down("SIGKILL");
    await server.again();
    await grown(count);
    const text = await page.locator(".item-assistant.live").innerText();
    const words = text.match(/w\d+/g);
    assert.deepEqual(words, words.map((_, number) => `w${number}`), "each word is there once");
  }
  writeFileSync(heard, "");
  await page.waitForSelector(".item-turn");
  const words = (await page.locator(".item-assistant:not(.live)").innerText()).match(/w\d+/g);
  assert.ok(words.length > 190, `${words.length} words`);
  assert.deepEqual(words, words.map((_, number) => `w${number}`), "each word is there once");
  assert.equal(await page.locator(".item-assistant").count(), 1);
  await finish(page, server);
});
