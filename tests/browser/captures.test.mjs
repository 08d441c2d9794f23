// What the real CLI has printed, as the page shows it: the fake CLI plays the recordings.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, CAPTURES, open, serverOfAllTests } from "./support.mjs";

/** Recording, and what must be seen of it. */
const SHOWN = {
  hello: [".item-assistant .markdown", ".turn:has-text('Done')", ".turn:has-text('$')"],
  hello_no_partial: [".item-assistant .markdown", ".turn:has-text('Done')"],
  two_turns: [".item-turn >> nth=1"],
  stream_2000: [".item-assistant:has-text('w1999'), .item-assistant:has-text('1999')", ".turn:has-text('Done')"],
  tool_allowed: [".tool-execute code.object", ".turn:has-text('Done')"],
  tool_denied: [".item-tool.is-failed, .item-tool .is-failed", ".turn"],
  tool_denied_interrupt: [".item-tool.is-failed, .item-tool .is-failed", ".turn"],
  ask_user_question: [".prompt-card, .resolved"],
  subagent: [".item-agent.is-done", ".turn:has-text('Done')"],
  background_task: [".item-tool", ".turn"],
  interrupt: [".turn:has-text('Interrupted')"],
  api_error_401: [".item-turn.failed:has-text('401')"],
  api_error_429: [".item-turn.failed:has-text('429')"],
  api_error_500: [".item-turn.failed:has-text('500')"],
  api_retry_then_ok: [".item-notice, .item-assistant", ".turn:has-text('Done')"],
  queued_while_busy: [".item-turn >> nth=1"],
};

/** Recordings with a line that is left raw; docs/agents.md says why. */
const UNKNOWN = { hook_and_max_turns: ["Unknown event control_request"] };

const server = serverOfAllTests();

test("each recording is shown with its kinds of events", async () => {
  const recordings = readdirSync(CAPTURES).filter((name) => name.endsWith(".journal")).map((name) => name.slice(0, -".journal".length));
  assert.deepEqual(Object.keys(SHOWN).filter((name) => !recordings.includes(name)), []);
  const page = await open(server);
  await page.waitForSelector(".brand");
  for (const name of recordings) {
    const worker = await server.worker(name);
    await page.evaluate((hash) => {
      location.hash = hash;
    }, at(worker));
    await page.waitForSelector(`h1:has-text("${name}")`);
    await server.message(worker, `play ${join(CAPTURES, `${name}.journal`)}`);
    for (const selector of SHOWN[name] ?? [".item-user"]) {
      await page.locator(selector).first().waitFor({ state: "attached" }).catch(() => assert.fail(`${name}: ${selector}`));
    }
    assert.deepEqual(await page.$$eval(".item-unknown", (all) => all.map((el) => el.textContent)), UNKNOWN[name] ?? [], name);
    assert.ok(await page.evaluate(() => document.querySelector(".scroller").scrollWidth <= document.querySelector(".scroller").clientWidth + 1), name);
    assert.deepEqual(page.problems, [], name);
  }
  await page.context().close();
});
