// Markdown of messages and fetched pages, while it comes and after.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, finish, open, say, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

const SESSION = "0a1b2c3d-0000-4000-8000-0000000000a1";

test("streamed text is shown before the server has parsed it", async () => {
  const worker = await server.worker("unparsed");
  const page = await open(server, at(worker), undefined, (page) =>
    page.routeWebSocket(/\/ws$/, (socket) => {
      const upstream = socket.connectToServer();
      upstream.onMessage((text) => {
        const frame = JSON.parse(text);
        delete frame.content?.blocks;
        socket.send(JSON.stringify(frame));
      });
    }));
  await page.waitForSelector(".composer");
  const seen = join(server.dir, "seen");
  await say(page, `deltas 20 60 ${seen}`);
  await page.waitForSelector('.item-assistant.live p:has-text("w9 w10")');
  writeFileSync(seen, "");
  await page.waitForSelector(".item-turn");
  const shown = page.locator(".item-assistant .markdown").last();
  const words = (await shown.innerText()).trim().split(" ");
  assert.ok(words.length > 30, `${words.length} words`);
  assert.deepEqual(words, words.map((_, number) => `w${number}`));
  assert.equal(await shown.locator("p").count(), 1);
  await finish(page, server);
});

const streamed = (event) => `{"type":"stream_event","session_id":"${SESSION}","parent_tool_use_id":null,"event":${JSON.stringify(event)}}\n`;

/** The lines in which Claude Code prints a message in parts, and then as a whole. */
function messageInParts(id, parts) {
  const message = (content) => ({ id, role: "assistant", content });
  return [
    streamed({ type: "message_start", message: message([]) }),
    streamed({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
    ...parts.map((text) => streamed({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
    `${JSON.stringify({ type: "assistant", session_id: SESSION, parent_tool_use_id: null, message: message([{ type: "text", text: parts.join("") }]) })}\n`,
  ];
}

test("Markdown is formatted while it streams, without uploads", async () => {
  const worker = await server.worker("streamed");
  const page = await open(server, at(worker));
  const requests = [];
  page.on("request", (request) => {
    if (request.method() !== "GET") requests.push(`${request.method()} ${request.url()} ${request.postData()}`);
  });
  await page.waitForSelector(".composer");
  const lines = Array.from({ length: 40 }, (_, number) => `let line_${number} = ${number};\n`);
  const head = ["# Head", "ing\n\nSome **bo", "ld** words.\n\n- one\n", "- two\n\n```rust\n"];
  const printedLines = messageInParts("msg_streamed", [...head, ...lines, "```\n\nThe end of it."]);
  // Some lines come only when the page has shown those before them.
  const gates = [0, 6, 12, 18, 24, 30, 36].map((number) => ({ number, path: join(server.dir, `shown-${number}`) }));
  for (const { number, path } of gates.toReversed()) printedLines.splice(2 + head.length + number + 1, 0, `#wait ${path}\n`);
  const file = join(server.dir, "streamed.jsonl");
  writeFileSync(file, printedLines.join(""));
  await server.message(worker, `play ${file} 60`);
  const live = ".item-assistant.live";
  await page.waitForSelector(`${live} h2:has-text("Heading")`);
  await page.waitForSelector(`${live} li:has-text("two")`);
  await page.waitForSelector(`${live} .code-block .t-keyword:has-text("let")`);
  // Whoever replaced an element would lose the mark on it, a selection, and the place in the code.
  await page.evaluate(() => {
    for (const selector of ["h2", "strong", "ul", "li", ".code-block", ".code-block pre"])
      document.querySelector(`.item-assistant ${selector}`).dataset.mark = selector;
    const code = document.querySelector(".item-assistant .code-block code");
    window.heights = [];
    new MutationObserver(() => window.heights.push(code.innerText.length)).observe(code, { childList: true, characterData: true, subtree: true });
  });
  for (const { number, path } of gates) {
    await page.waitForSelector(`${live} .code-block code:has-text("line_${number} ")`);
    writeFileSync(path, "");
  }
  await page.waitForSelector('.item-assistant:not(.live) p:has-text("The end of it.")');
  assert.equal(await page.locator(".item-assistant [data-mark]").count(), 6);
  const heights = await page.evaluate(() => window.heights);
  assert.ok(heights.length > 5 && heights.every((length, at) => at === 0 || length >= heights[at - 1]), `the code only grows: ${heights}`);
  assert.equal(await page.locator(".item-assistant .code-block code").innerText(), lines.join("").trimEnd());
  assert.deepEqual(requests, []);
  await finish(page, server);
});

test("a fetched page is Markdown when its card opens", async () => {
  const worker = await server.worker("fetched");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const line = (type, content) => `${JSON.stringify({ type, session_id: SESSION, parent_tool_use_id: null, message: { id: `msg_${type}`, role: type, content } })}\n`;
  const file = join(server.dir, "fetched.jsonl");
  writeFileSync(file, line("assistant", [{ type: "tool_use", id: "toolu_page", name: "WebFetch", input: { url: "https://example.com/" } }]) + line("user", [{ type: "tool_result", tool_use_id: "toolu_page", content: "It is a **bold** page.", is_error: false }]));
  await server.message(worker, `play ${file} 1`);
  await page.locator(".item-tool.is-done summary").first().click();
  await page.waitForSelector('.item-tool .card strong:has-text("bold")');
  await finish(page, server);
});

test("a link with a late address becomes a link", async () => {
  const worker = await server.worker("late");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const parts = ["See [the guide][g].\n\n", "A second part.\n\n", "A third part.\n\n", "A fourth part.\n\n", "[g]: https://example.com/guide\n"];
  const seen = join(server.dir, "guide-seen");
  const file = join(server.dir, "late.jsonl");
  writeFileSync(file, messageInParts("msg_late", parts).toSpliced(-2, 0, `#wait ${seen}\n`).join(""));
  await server.message(worker, `play ${file}`);
  await page.waitForSelector('.item-assistant.live p:has-text("A fourth part.")');
  await page.waitForSelector('.item-assistant.live p:has-text("See [the guide][g].")');
  writeFileSync(seen, "");
  await page.waitForSelector('.item-assistant:not(.live) a[href="https://example.com/guide"]:has-text("the guide")');
  assert.equal(await page.locator('.item-assistant p:has-text("A second part.")').count(), 1);
  await finish(page, server);
});
