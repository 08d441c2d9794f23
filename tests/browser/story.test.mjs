// One whole story on the real Claude Code, against a model of our own.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { Model } from "./model.mjs";
import { CLAUDE, closeBrowser, closePages, eventually, open, say, Server, SHOTS } from "./support.mjs";

const BEFORE = `use std::io::{self, Write};

pub fn append(file: &mut impl Write, line: &[u8]) -> io::Result<()> {
    file.write_all(line)?;
    file.write_all(b"\\n")
}
`;
const OLD = '    file.write_all(line)?;\n    file.write_all(b"\\n")\n';
const NEW = '    // One write, so that a crash leaves no partial line.\n    let mut whole = line.to_vec();\n    whole.push(b\'\\n\');\n    file.write_all(&whole)\n';

let model;
let server;
before(async () => {
  model = await Model.start();
  server = await Server.start({
    CLAUDE_BINARY: CLAUDE, ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "sk-ant-fake-0123456789abcdef",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_TELEMETRY: "1", CLAUDE_CODE_MAX_RETRIES: "1", STOP_GRACE_SECS: "2",
  });
});
afterEach((context) => closePages(context.name));
after(async () => {
  await closeBrowser();
  await server.close();
  await model.close();
});

test("the real CLI, from the first message to the deletion", async () => {
  const project = server.folder("journal");
  const source = join(project, "append.rs");
  writeFileSync(source, BEFORE);
  // Other workers, so that the list looks as it does in use.
  for (const [name, text] of [["release notes", "Draft the notes of this release."], ["flaky tests", "Why is the slow test flaky?"]]) {
    model.answer({ text: "I have read the **history** and have a first draft." });
    await server.told(name, text);
  }
  const page = await open(server);
  await page.waitForSelector(".workers a");

  // Create, with a first message; a file is read without a question.
  model.answer(
    { thinking: "The two writes may be torn apart.", text: "Let me look at how lines are written.", tool: "Read", input: { file_path: source } },
    { text: "A line is written with **two** calls. When the process dies between them, the journal ends in a partial line:\n\n- `write_all(line)` may succeed alone\n- nothing repairs the end\n\nI will make it one write.", tool: "Edit", input: { file_path: source, old_string: OLD, new_string: NEW } },
  );
  await page.keyboard.press("n");
  await page.getByLabel("Project folder").fill(project);
  await page.getByLabel("Name", { exact: true }).fill("journal");
  await page.getByLabel("First message").fill("The journal ends in a torn line when the process is killed. Find out why and fix it.");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector('h1:has-text("journal")');
  await page.waitForSelector('.tool-read:has-text("append.rs")');
  await page.waitForSelector('.item-assistant strong:has-text("two")');

  // It asks before it edits, with the diff; nothing has changed yet.
  await page.waitForSelector('.prompt-card .row.added:has-text("let mut whole")');
  await page.waitForSelector('.prompt-card .row.removed:has-text("file.write_all(line)?;")');
  assert.equal(readFileSync(source, "utf8"), BEFORE);
  const foot = await page.locator(".composer-box").boundingBox();
  assert.ok(foot.y + foot.height > page.viewportSize().height - 40, "the composer stands at the bottom");
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(SHOTS, "story.png") });
  model.answer({ text: "Fixed: each line is **one write** now." });
  await page.getByRole("button", { name: "Allow once" }).click();
  await page.waitForSelector('.resolved:has-text("Allowed once")');
  await page.waitForSelector('.item-assistant strong:has-text("one write")');
  await page.waitForSelector('.item-turn:has-text("Done")');
  assert.equal(readFileSync(source, "utf8"), BEFORE.replace(OLD, NEW));
  await page.waitForSelector('.tool-edit .row.added:has-text("let mut whole")');

  // A command is denied with a reason, and the model hears it.
  model.answer({ tool: "Bash", input: { command: "touch made-by-agent", description: "Make a file" } }, { text: "Then I leave it." });
  await say(page, "Make a file.");
  await page.waitForSelector('.prompt-card:has-text("touch made-by-agent")');
  await page.getByRole("button", { name: "Deny with a reason" }).click();
  await page.getByLabel("Reason for denying").fill("not in this folder");
  await page.keyboard.press("Enter");
  await page.waitForSelector('.item-assistant:has-text("Then I leave it.")');
  assert.equal(existsSync(join(project, "made-by-agent")), false);

  // A question of the agent is answered with a click.
  model.answer(
    { tool: "AskUserQuestion", input: { questions: [{ question: "Which name shall it have?", header: "Name", multiSelect: false, options: [{ label: "append", description: "as it is" }, { label: "push", description: "as vectors have it" }] }] } },
    { text: "It keeps its name." },
  );
  await say(page, "Name it well.");
  await page.waitForSelector('.prompt-card:has-text("Which name shall it have?")');
  await page.locator(".prompt-card").getByText("as it is").click();
  if (await page.locator(".prompt-card").getByRole("button", { name: /Answer|Send/ }).count()) await page.locator(".prompt-card").getByRole("button", { name: /Answer|Send/ }).click();
  await page.waitForSelector('.item-assistant:has-text("It keeps its name.")');

  // A long answer is interrupted.
  model.answer({ text: "word ".repeat(400), holdAfter: 40 });
  await say(page, "Tell me a long story.");
  await page.waitForSelector('.item-assistant.live:has-text("word word")');
  await page.locator(".composer-box textarea").press("Escape");
  await page.keyboard.press("Escape");
  await page.waitForSelector('.turn:has-text("Interrupted")');
  model.release();

  // The server is killed in mid-turn; the agent works on, and nothing is lost or said twice.
  model.answer({ text: `The story goes on. ${"More of it. ".repeat(60)}The end of the story.`, holdAfter: 30 });
  await say(page, "Go on.");
  await page.waitForSelector('.item-assistant.live:has-text("The story goes on.")');
  await server.down("SIGKILL");
  await page.waitForSelector(".banner:visible");
  model.release();
  await server.again();
  await page.waitForSelector(".banner", { state: "hidden" });
  await page.waitForSelector('.item-assistant:not(.live):has-text("The end of the story.")');
  assert.equal(await page.locator('.item-assistant:has-text("The story goes on.")').count(), 1);
  await eventually(page, () => document.querySelector(".head-status .status-idle") !== null);

  // Deleted, after a confirmation that names it; the project stays.
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Delete journal" }).click();
  await page.waitForSelector('.workers a:has-text("journal")', { state: "detached" });
  assert.ok(existsSync(source));
  assert.deepEqual(page.problems, []);
  assert.deepEqual([...page.hosts].filter((host) => host !== server.url && host !== "null"), []);
  await page.context().close();
});
