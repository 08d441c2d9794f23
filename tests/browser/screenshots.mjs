// Takes the pictures of README and docs anew: `make screenshots`. Workers of the fake CLI play scenes; the page, the
// server, and the changes in the repositories are real.

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { at, closeBrowser, FAKE_CLI, launch, Server } from "./support.mjs";
import { workIn } from "./work.mjs";

const images = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const DESK = { viewport: { width: 1360, height: 860 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, colorScheme: "dark" };

const OLD = "    file.write_all(line)?;\n    file.write_all(b\"\\n\")\n";
const NEW = "    // One write, so that a crash leaves no partial line.\n    let mut whole = line.to_vec();\n    whole.push(b'\\n');\n    file.write_all(&whole)\n";
const SOURCE = `use std::io::{self, Write};\n\npub fn append(file: &mut impl Write, line: &[u8]) -> io::Result<()> {\n${OLD}}\n`;

// The rest of the list: name, project, what it is asked, and what the fake CLI does then.
const OTHERS = [
  ["release notes", "website", "Draft the notes of 2.4.", "echo The notes of 2.4 are in `CHANGELOG.md`, newest first."],
  ["dark mode", "website", "Let the colours follow the system.", "echo The colours are variables now, and follow the system."],
  ["image sizes", "website", "Serve images in the size that is shown.", "hang"],
  ["login form", "shop", "Keep the name when a login fails.", 'permission Bash {"command":"npm run test:e2e -- login","description":"Run the tests of the login"}'],
  ["coupon codes", "shop", "Say why a coupon is refused.", "echo Expired coupons are refused with a message of their own."],
  ["slow checkout", "shop", "Find out why the checkout is slow.", "hang"],
  ["stock sync", "shop", "Retry the stock sync.", "exit 3"],
  ["flaky tests", "engine", "Why is the slow test flaky?", "echo The test waited for a port; it waits for the server's own word now."],
  ["query planner", "engine", "Use the index for ranges.", "hang"],
];
const FINDING = "The journal ends in a torn line when the process is killed. Fix it.";
const TESTING = "Now test it.";
const MEASURING = "Measure where the size counts.";

const text = (words) => ({ type: "text", text: words });
const call = (id, name, input) => ({ type: "tool_use", id, name, input });
const result = (id, content) => ({ type: "tool_result", tool_use_id: id, content });
const PLAN = ["Read how lines are written", "Make it one write", "Test a crash in between"];
const STATES = ["completed", "in_progress", "pending"];

/** What is printed for the message about the journal. */
const finding = [
  ["assistant", text("Let me look at how lines are written."), call("read", "Read", { file_path: "src/append.rs" })],
  ["user", result("read", SOURCE)],
  ["assistant", call("todo", "TodoWrite", { todos: PLAN.map((content, n) => ({ content, status: STATES[n], activeForm: content })) })],
  ["user", result("todo", "ok")],
  ["assistant", text("A line is written with **two** calls. When the process dies between them, the journal ends in a partial line:\n\n- `write_all(line)` may succeed alone\n- nothing repairs the end"), call("edit", "Edit", { file_path: "src/append.rs", old_string: OLD, new_string: NEW })],
  ["user", result("edit", "The file has been updated.")],
];

/** Writes lines that the fake CLI can play; gives its file. */
function recorded(server, contents) {
  const lines = contents.map(([role, ...content], n) => ({ type: role, parent_tool_use_id: null, message: { id: `msg_${n}`, role, content } }));
  const end = { type: "result", subtype: "success", is_error: false, result: "", duration_ms: 64_000, num_turns: 4, total_cost_usd: 0.21, usage: { input_tokens: 5200, output_tokens: 1840 } };
  const file = join(server.folder("scenes"), "finding.jsonl");
  writeFileSync(file, [...lines, end].map((line) => `${JSON.stringify(line)}\n`).join(""));
  return file;
}

/** The fake CLI behind a program that gives it its instruction for each message. */
function actor(server) {
  const said = { [FINDING]: `play ${recorded(server, finding)}`, [TESTING]: 'permission Bash {"command":"cargo test --lib journal","description":"Test a crash in between"}', [MEASURING]: "echo `compute` is `measure` where the size counts." };
  for (const [, , message, does] of OTHERS) said[message] = does;
  const escaped = (words) => JSON.stringify(words).slice(1, -1).replace(/[\\&|]/g, "\\$&");
  const rules = join(server.folder("scenes"), "rules.sed");
  writeFileSync(rules, Object.entries(said).map(([message, does]) => `s|"${message.replaceAll(".", "[.]").replaceAll("?", "[?]")}"|"${escaped(does)}"|\n`).join(""));
  const program = join(server.folder("scenes"), "claude");
  writeFileSync(program, `#!/bin/bash\nexec 3<&0\nexec '${FAKE_CLI}' "$@" < <(exec sed -u -f '${rules}' <&3)\n`);
  chmodSync(program, 0o755);
  return program;
}

const server = await Server.start();
const { begun } = workIn(server);

/** Plays the scenes; the two workers that are looked at. */
async function play() {
  await server.down();
  server.env = { CLAUDE_BINARY: actor(server) };
  await server.again();
  const overview = await opened("#/overview", DESK);
  const { worker: reviewed } = await begun("parser");
  await server.message(reviewed, MEASURING);
  await server.turns(reviewed, 1);
  for (const [name, project, message, does] of OTHERS) {
    const worker = await server.until(await server.api("POST", "/api/workers", { name, project_path: server.folder(project), ai_cli_type: "claude" }), "idle");
    await server.message(worker, message);
    const [word] = does.split(" ");
    if (word === "echo") await server.turns(worker, 1);
    else await server.until(worker, { hang: "busy", permission: "waiting", exit: "failed" }[word]);
  }
  const { worker: journal } = await begun("journal", (path) => writeFileSync(join(path, "src/append.rs"), SOURCE.replace(OLD, NEW)));
  await server.message(journal, FINDING);
  await server.turns(journal, 1);
  await server.message(journal, TESTING);
  await server.until(journal, "waiting");
  return { overview, journal, reviewed };
}

async function opened(hash, view) {
  const context = await (await launch()).newContext({ serviceWorkers: "block", reducedMotion: "reduce", ...view });
  const page = await context.newPage();
  await page.goto(`${server.url}/${hash}`);
  return page;
}

async function shoot(page, name, readies) {
  for (const ready of readies) await page.locator(ready).first().waitFor();
  await page.evaluate(() => document.fonts.ready);
  await page.waitForLoadState("networkidle");
  // The folder of this run has a name of chance.
  await page.evaluate((folder) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, "/home/ada/code");
  }, server.dir);
  await page.screenshot({ path: join(images, `${name}.png`), animations: "disabled", caret: "hide" });
  await page.context().close();
}

try {
  const { overview, journal, reviewed } = await play();
  await shoot(overview, "dashboard", [".workers .group", ".home-card.is-finished"]);
  await shoot(await opened(at(journal), DESK), "conversation", [".prompt-card", ".item-plan", ".row.added"]);
  const diff = await opened(at(reviewed), { ...DESK, colorScheme: "dark" });
  await diff.locator(".scroller").focus();
  await diff.keyboard.press("p");
  await shoot(diff, "diff", [".changes .row.added"]);
  await shoot(await opened(at(journal), PHONE), "phone", [".prompt-card"]);
} finally {
  await closeBrowser();
  await server.close();
}
