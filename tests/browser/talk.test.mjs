// The conversation reads as people report it: plans, questions, sub-agents and failures once and as one, long outputs whole,
// and what can be chosen beside the composer.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, axePath, CAPTURES, DESK, eventually, FAKE_CLI, finish, open, PHONE, say, Server, serverOfAllTests, SHOTS } from "./support.mjs";

const server = serverOfAllTests();
const SESSION = "0a1b2c3d-0000-4000-8000-0000000000a7";
const PLAN = "# Move the shed\n\n1. **Empty** it\n2. Lift it\n\n| day | who |\n|---|---|\n| Monday | Ada |\n\nSee `docs/shed.md`.";

/** The lines that Claude Code prints for a call of a tool with its result. */
function called(id, name, input, content, more = {}) {
  const line = (type, blocks) => `${JSON.stringify({ type, session_id: SESSION, parent_tool_use_id: null, message: { id: `msg_${id}`, role: type, content: blocks } })}\n`;
  const use = line("assistant", [{ type: "tool_use", id, name, input }]);
  return content === null ? use : use + line("user", [{ type: "tool_result", tool_use_id: id, content, is_error: false, ...more }]);
}

const system = (subtype, facts) => `${JSON.stringify({ type: "system", subtype, session_id: SESSION, ...facts })}\n`;
const result = `${JSON.stringify({ type: "result", subtype: "success", is_error: false, duration_ms: 10, num_turns: 1, result: "", session_id: SESSION, total_cost_usd: 0, usage: { input_tokens: 20, output_tokens: 0 } })}\n`;

/** Has a worker's CLI print lines, so many milliseconds after each other. */
async function play(worker, lines, ms = 1) {
  const file = join(server.dir, `${worker.name}.jsonl`);
  writeFileSync(file, lines);
  await server.message(worker, `play ${file} ${ms}`);
}

const shot = (page, name) => page.screenshot({ path: join(SHOTS, `talk-${name}.png`) });
const times = async (page, selector, words) => (await page.locator(selector).innerText()).split(words).length - 1;

test("a plan is Markdown and approved in conversation or inbox", async () => {
  const worker = await server.worker("plans");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const ask = () => say(page, `permission ExitPlanMode ${JSON.stringify({ plan: PLAN })}`);
  await ask();
  const card = page.locator(".conversation .prompt-card");
  await card.getByText("Plan ready").waitFor();
  for (const selector of ["h2:has-text('Move the shed')", "li strong:has-text('Empty')", "td:has-text('Monday')", "code:has-text('docs/shed.md')"]) await card.locator(selector).waitFor();
  await shot(page, "plan");
  const said = await page.locator(".scroller").innerText();
  assert.doesNotMatch(said.replace(/.*permission ExitPlanMode.*/, ""), /ExitPlanMode|\*\*/);
  const other = await open(server, "#/inbox", PHONE);
  await other.locator(".inbox .prompt-card td:has-text('Ada')").waitFor();
  await shot(other, "plan-phone");
  await finish(other, server);
  await card.getByRole("button", { name: "Keep planning" }).click();
  await page.waitForSelector('.resolved.denied:has-text("Plan sent back")');
  await server.turns(worker, 1);
  await ask();
  await page.getByRole("button", { name: "Approve the plan", exact: true }).click();
  const kept = page.locator('.resolved:has-text("Plan approved")');
  await kept.locator("summary").click();
  await kept.locator("li strong:has-text('Empty')").waitFor();
  await page.reload();
  await page.locator('.resolved:has-text("Plan approved") summary').click();
  await page.locator(".resolved li strong:has-text('Empty')").waitFor();
  await finish(page, server);
});

test("a question is answered in free text or skipped", async () => {
  const worker = await server.worker("questions");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const ask = `permission AskUserQuestion ${JSON.stringify({ questions: [{ question: "Which colour?", header: "Colour", multiSelect: false, options: [{ label: "Red", description: "warm" }, { label: "Blue", description: "cold" }] }] })}`;
  await say(page, ask);
  const card = page.locator(".prompt-card");
  await card.getByText("Which colour?").waitFor();
  assert.equal(await page.locator(".conversation").getByText("AskUserQuestion").count(), 1, "only the words that made it");
  await shot(page, "question");
  await card.getByRole("button", { name: "Skip" }).click();
  await page.waitForSelector('.resolved.denied:has-text("Skipped"):has-text("Which colour?")');
  await server.turns(worker, 1);
  assert.equal((await server.api("GET", `/api/workers/${worker.id}`)).status, "idle", "a skipped question interrupts nothing");
  await say(page, ask);
  await card.getByPlaceholder("Answer in your own words").fill("Rather green");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.resolved.allowed:has-text("Answered"):has-text("Rather green")');
  await finish(page, server);
});

test("a permission prompt shows its effect once with all grants", async () => {
  const worker = await server.worker("grants");
  await server.message(worker, `play ${join(CAPTURES, "suggestions.journal")}`);
  const page = await open(server, at(worker));
  await page.waitForSelector(".prompt-card");
  const labels = await page.locator(".prompt-card .prompt-actions button").allInnerTexts();
  assert.ok(labels.length >= 3, labels.join(" | "));
  for (const label of labels) assert.ok(!/always.*and (accept|work)/i.test(label), label);
  assert.equal(await page.locator(".item-tool.is-waiting:visible").count(), 0);
  await finish(page, server);
});

test("calls of one kind in a row share a card", async () => {
  const worker = await server.worker("reads");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const read = (...names) => names.map((name) => called(`toolu_${name}`, "Read", { file_path: `${server.dir}/reads/${name}.rs` }, `1\tfn ${name}() {}\n`)).join("");
  const edit = called("toolu_x", "Edit", { file_path: `${server.dir}/reads/a.rs`, old_string: "one", new_string: "two" }, "ok");
  await play(worker, read("a", "b", "c", "d", "e") + edit + read("f", "g") + result, 250);
  const card = page.locator('.item-group:has-text("Read 5 files")');
  await card.waitFor();
  await card.locator('.object:has-text("a.rs, b.rs, c.rs, d.rs, …")').waitFor();
  await card.locator('.took:has-text("s")').waitFor();
  await page.waitForSelector(".item-turn");
  assert.equal(await card.locator(".item-tool").count(), 0);
  await card.locator("summary").first().focus();
  await page.keyboard.press("Enter");
  await eventually(page, () => document.querySelectorAll(".item-group")[0].querySelectorAll(".item-tool").length === 5);
  await card.locator(".item-tool summary").nth(1).click();
  await card.locator('.item-tool .output:has-text("fn b()")').waitFor();
  await shot(page, "group");
  await finish(page, server);
});

test("a sub-agent is one card without an internal name", async () => {
  const worker = await server.told("delegate", `play ${join(CAPTURES, "subagent.journal")}`);
  const page = await open(server, at(worker));
  const card = page.locator(".item-agent");
  await card.locator('.state-word.done:has-text("done")').waitFor();
  await card.locator('.fact:has-text("1 call")').waitFor();
  await card.locator('.fact:has-text("tokens")').waitFor();
  assert.equal(await page.locator(".item-agent").count(), 1);
  assert.doesNotMatch(await page.locator(".scroller").innerText(), /a30f4df21706289ec|task started|hand-back|tools-used/i);
  await card.locator('.agent-last:has-text("sub answer")').waitFor();
  await card.locator("summary").first().click();
  await card.locator('.item-tool code:has-text("echo from-sub")').waitFor();
  await card.locator('.card p:has-text("sub answer")').waitFor();
  await shot(page, "agent");
  await finish(page, server);
});

test("a background sub-agent is one card before and after", async () => {
  const worker = await server.worker("background");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const began = called("toolu_bg", "Agent", { description: "look around", prompt: "Look", subagent_type: "Explore", run_in_background: true }, null) + system("task_started", { task_id: "abc123", tool_use_id: "toolu_bg", description: "look around", task_type: "local_agent" });
  const launched = `${JSON.stringify({ type: "user", session_id: SESSION, parent_tool_use_id: null, message: { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_bg", content: "Async agent launched successfully.", is_error: false }] }, tool_use_result: { status: "async_launched", agentId: "abc123" } })}\n`;
  const progress = system("task_progress", { task_id: "abc123", tool_use_id: "toolu_bg", description: "Reading a file", usage: { total_tokens: 1800, tool_uses: 3, duration_ms: 2600 } });
  await play(worker, began + launched + progress + result);
  const card = page.locator(".item-agent");
  await card.locator('.state-word.background:has-text("working in the background")').waitFor();
  await card.locator('.agent-last:has-text("Reading a file")').waitFor();
  await page.waitForSelector(".item-turn");
  await play(worker, system("task_updated", { task_id: "abc123", patch: { status: "completed" } }) + system("task_notification", { task_id: "abc123", tool_use_id: "toolu_bg", status: "completed", summary: "It is all there." }) + result);
  await card.locator('.state-word.done').waitFor();
  await card.locator('.agent-last:has-text("It is all there.")').waitFor();
  await page.waitForSelector('.item-task:has-text("look around"):has-text("done")');
  assert.equal(await page.locator(".item-notice").count(), 0);
  assert.doesNotMatch(await page.locator(".scroller").innerText(), /abc123/);
  await finish(page, server);
});

test("seven retries are one counted warning, not an error", async () => {
  const worker = await server.worker("retries");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const retries = [1, 2, 3, 4, 5, 6, 7].map((attempt) => system("api_retry", { attempt, max_retries: 10, retry_delay_ms: 500 * attempt, error_status: 529, error: "overloaded" })).join("");
  await play(worker, retries + result);
  await page.waitForSelector('.item-notice.warning:has-text("Trying again, 7 times"):has-text("retry 7 of 10")');
  assert.equal(await page.locator(".item-notice").count(), 1);
  assert.equal(await page.locator(".item-notice.error").count(), 0);
  await page.waitForSelector(".item-turn");
  await finish(page, server);
});

test("a crash is told once, with its error output", async () => {
  const worker = await server.worker("crash");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await say(page, "stderr ValueError: the shed is locked");
  await server.turns(worker, 1);
  await say(page, "exit 3");
  const card = page.locator(".item-failure.error");
  await card.waitFor();
  await card.getByText(/code 3/).first().waitFor();
  assert.equal(await times(page, ".main", "exited with code 3"), 1, await page.locator(".main").innerText());
  assert.equal(await page.locator(".item-failure, .item-exit, .item-notice").count(), 1);
  await shot(page, "crash");
  await finish(page, server);
});

test("a worker that cannot start says so once", async () => {
  const program = join(server.dir, "claude");
  const write = (first) => writeFileSync(program, `#!${first}\nexec '${FAKE_CLI}' "$@"\n`, { mode: 0o755 });
  write("/bin/sh");
  const own = await Server.start({ CLAUDE_BINARY: program });
  const page = await open(own, "#/");
  try {
    const worker = await own.told("homeless", "echo here");
    await own.api("POST", `/api/workers/${worker.id}/stop`);
    await own.until(worker, "stopped");
    write("/nowhere/sh");
    await page.goto(`${own.url}/${at(worker)}`);
    await page.waitForSelector(".item-turn");
    await own.api("POST", `/api/workers/${worker.id}/start`).catch(() => {});
    await own.until(worker, "failed");
    await page.waitForSelector(".item-failure.error");
    assert.equal(await times(page, ".main", "its first line names does not exist"), 1, await page.locator(".main").innerText());
    await shot(page, "no-start");
    assert.deepEqual(page.problems, []);
  } finally {
    await page.context().close();
    await own.close();
  }
});

test("an interrupted turn is reported once, without a price", async () => {
  const worker = await server.worker("stopped");
  await server.message(worker, `play ${join(CAPTURES, "interrupt.journal")}`);
  const page = await open(server, at(worker));
  await page.waitForSelector('.item-turn:has-text("Interrupted")');
  assert.equal(await times(page, ".scroller", /interrupted/i), 1);
  const other = await server.worker("free");
  await play(other, result);
  await page.goto(`${server.url}/${at(other)}`);
  await page.waitForSelector('.item-turn:has-text("20 in")');
  assert.doesNotMatch(await page.locator(".item-turn").last().innerText(), /\$/);
  await finish(page, server);
});

test("a truncated output says so and is loaded whole", async () => {
  const worker = await server.worker("floods");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const lines = Array.from({ length: 120_000 }, (_, number) => `line ${number} ${"x".repeat(30)}`);
  await play(worker, called("toolu_long", "Bash", { command: "seq" }, lines.join("\n")) + called("toolu_one", "Bash", { command: "one" }, "y".repeat(20_000)) + result);
  const card = page.locator('.item-tool:has-text("seq")');
  await card.locator('.cut-head:has-text("The first 32 KiB of 4.")').waitFor();
  // One line of many rows is as high as eight lines are.
  const high = (name) => page.locator(`.item-tool:has-text("${name}") .tool-preview .output`).evaluate((el) => el.getBoundingClientRect().height);
  assert.ok((await high("one")) < 200, `${await high("one")} px`);
  await shot(page, "cut");
  let fails = true;
  await page.route("**/messages/*/text", (route) => {
    if (fails) route.abort();
    else route.continue();
  });
  await card.getByRole("button", { name: "Load all" }).click();
  await card.getByText("The server cannot be reached.").waitFor();
  fails = false;
  await card.getByRole("button", { name: "Try again" }).click();
  await card.locator('.output.open:has-text("line 2000 ")').waitFor();
  const more = card.locator('.tool-preview button:has-text("Show more")');
  while (await more.count()) await more.click();
  await eventually(page, (last) => document.querySelector(".item-tool .output.open").textContent.endsWith(last), lines.at(-1));
  await finish(page, server);
});

for (const [size, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`the context's number is shown and room made: ${size}`, async () => {
    const worker = await server.worker(`context-${size}`);
    const page = await open(server, at(worker), view);
    const meter = page.locator(".context-meter");
    await meter.waitFor();
    assert.match(await meter.getAttribute("aria-label"), /Context: nothing is known yet/);
    await server.message(worker, "echo hello");
    await page.waitForSelector(".item-turn");
    await page.waitForSelector('.context-meter:has-text("%")');
    assert.ok(await meter.isVisible());
    // The parts of the foot are beside each other, also while the agent works.
    await server.message(worker, "hang");
    await page.locator(".interrupt").waitFor();
    const boxes = await page.$$eval(".composer-foot :is(.icon-button, select, .context-meter, .interrupt, .send)", (all) => all.filter((el) => el.offsetParent).map((el) => el.getBoundingClientRect().toJSON()));
    boxes.forEach(({ left, right }, place) => assert.ok(right <= view.viewport.width && left >= (boxes[place - 1]?.right ?? 0) - 1, JSON.stringify(boxes)));
    await server.api("POST", `/api/workers/${worker.id}/interrupt`);
    await page.locator(".interrupt").waitFor({ state: "hidden" });
    await meter.click();
    const sheet = page.locator(".context-sheet");
    await sheet.getByText("of 200,000 tokens").waitFor();
    await shot(page, `context-${size}`);
    await sheet.getByRole("button", { name: "Compact" }).click();
    await page.waitForSelector('.item-user:has-text("/compact")');
    await sheet.waitFor({ state: "hidden" });
    await finish(page, server);
  });
}

test("model, mode and effort are menus of the agent's choices", async () => {
  const worker = await server.told("chooses", "echo ready");
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  const options = (label) => page.getByLabel(label).locator("option").allInnerTexts();
  await eventually(page, () => document.querySelectorAll('select[aria-label="Model"] option').length > 1);
  const { options: own } = await server.api("GET", `/api/workers/${worker.id}/options`);
  const named = own.find(({ category }) => category === "model").choices.map(({ name }) => name);
  for (const name of named) assert.ok((await options("Model")).includes(name), name);
  assert.ok((await options("Model")).includes("Other…"));
  assert.ok((await options("Permission mode")).includes("Plan only"));
  await finish(page, server);
});

test("a wide table scrolls, and a diagram's source is copied", async () => {
  const worker = await server.told("wide", `echo ${"| column ".repeat(30)}|\n${"|---".repeat(30)}|\n${"| some long value ".repeat(30)}|\n\n\`\`\`mermaid\ngraph TD; a-->b\n\`\`\``);
  const page = await open(server, at(worker), PHONE);
  await page.locator(".table-scroll").waitFor();
  assert.ok(await page.locator(".table-scroll").evaluate((el) => el.scrollWidth > el.clientWidth));
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.locator('.code-block:has-text("mermaid")').getByRole("button", { name: "Copy code" }).waitFor();
  await finish(page, server);
});

test("Escape closes the context's sheet and interrupts nothing", async () => {
  const worker = await server.worker("escapes");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await server.message(worker, "hang");
  await server.until(worker, "busy");
  await page.locator(".context-meter").click();
  await page.locator(".context-sheet").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".context-sheet").waitFor({ state: "hidden" });
  assert.match(await page.evaluate(() => document.activeElement.className), /context-meter/);
  assert.equal((await server.api("GET", `/api/workers/${worker.id}`)).status, "busy");
  await server.api("POST", `/api/workers/${worker.id}/interrupt`);
  await finish(page, server);
});

for (const [size, view] of [["desk", { ...DESK, colorScheme: "dark" }], ["phone", PHONE], ["forced colours", { ...DESK, forcedColors: "active" }]]) {
  test(`${size}: cards that are open pass the audit of accessibility`, async () => {
    const worker = await server.worker(`audited-${size.split(" ")[0]}`);
    const page = await open(server, at(worker), { ...view, bypassCSP: true });
    await page.waitForSelector(".composer");
    const read = (name) => called(`toolu_${name}`, "Read", { file_path: `/p/${name}.rs` }, "1\tfn x() {}\n");
    const agent = called("toolu_bg", "Agent", { description: "look around", prompt: "Look", subagent_type: "Explore" }, null) + system("task_started", { task_id: "t", tool_use_id: "toolu_bg", description: "look around", task_type: "local_agent" });
    const retries = [1, 2].map((attempt) => system("api_retry", { attempt, max_retries: 10, retry_delay_ms: 500, error_status: 529, error: "overloaded" })).join("");
    await play(worker, read("a") + read("b") + agent + retries + called("toolu_long", "Bash", { command: "seq" }, "line\n".repeat(20_000)) + result);
    await page.waitForSelector(".item-turn");
    await page.locator(".item-group summary").first().click();
    await page.locator(".item-agent summary").first().click();
    await server.message(worker, `permission ExitPlanMode ${JSON.stringify({ plan: PLAN })}`);
    await page.locator(".prompt-card").getByText("Plan ready").waitFor();
    await page.locator(".context-meter").click();
    await page.locator(".context-sheet button").first().waitFor();
    await page.waitForTimeout(200);
    await shot(page, `audit-${size.split(" ")[0]}`);
    await page.evaluate(readFileSync(axePath, "utf8"));
    const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`));
    assert.deepEqual(found, []);
    await finish(page, server);
  });
}
