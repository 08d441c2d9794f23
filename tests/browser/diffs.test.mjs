// The changes of a project, and edits before they are allowed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, axePath, DESK, eventually, finish, open, PHONE, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();
const WIDE = { viewport: { width: 1900, height: 1000 } };

const CODE = Array.from({ length: 60 }, (_, n) => (n % 10 === 0 ? `fn step_${n}() {` : n % 10 === 9 ? "}" : `    let value_${n} = compute(${n}); // step ${n}`)).join("\n") + "\n";

/** A project under git with a change of every kind. */
function changed(name) {
  const project = server.folder(name);
  const git = (...args) => execFileSync("git", ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main", ...args], { cwd: project, stdio: "pipe" });
  const write = (file, text) => writeFileSync(join(project, file), text);
  git("init", "-q");
  write("code.rs", CODE);
  write("old.txt", "one\ntwo\n");
  write("before.txt", "a\nb\nc\nd\ne\nf\n");
  write("data.bin", Buffer.from([0, 1, 2, 3]));
  write("script.sh", "echo hi\n");
  git("add", ".");
  git("commit", "-q", "-m", "first");
  write("code.rs", CODE.replace("compute(25)", "measure(25, 4)").replace("    let value_44", `    let long = "${"wide ".repeat(60)}";\n    let value_44`));
  rmSync(join(project, "old.txt"));
  renameSync(join(project, "before.txt"), join(project, "after.txt"));
  git("add", "-A", "--", "before.txt", "after.txt");
  write("data.bin", Buffer.from([0, 9, 9, 9]));
  chmodSync(join(project, "script.sh"), 0o755);
  write("new.md", "# New\n\ntext\n");
  write("bad & <b>name.txt", "x\n");
}

async function panel(name, view = DESK) {
  changed(name);
  const worker = await server.worker(name);
  const page = await open(server, at(worker), view);
  await page.waitForSelector("h1");
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  await page.waitForSelector(".changes .file");
  return page;
}

const file = (page, name) => page.locator(`.changes .file:has(summary .path:has-text("${name}"))`);

test("a change shows its kind and its lines' place", async () => {
  const page = await panel("kinds");
  for (const [name, badge] of [["new.md", "new"], ["old.txt", "deleted"], ["data.bin", "binary"], ["script.sh", "executable"]]) {
    await file(page, name).locator(`summary .tag:has-text("${badge}")`).waitFor();
  }
  assert.match(await file(page, "data.bin").innerText(), /A binary file/);
  assert.match(await file(page, "script.sh").innerText(), /Only its mode has changed/);
  const code = await file(page, "code.rs").innerText();
  assert.match(code, /lines 23–29 · fn step_20\(\) \{/);
  assert.doesNotMatch(await page.locator(".changes").innerText(), /@@|\+0/);
  await file(page, "bad & <b>name.txt").waitFor();
  await finish(page, server);
});

test("changed words are marked and lines have their language's colours", async () => {
  const page = await panel("words");
  const words = (kind) => file(page, "code.rs").locator(`.row.${kind} .word`).allInnerTexts();
  assert.deepEqual([(await words("removed")).join(""), (await words("added")).join("").replace(/ /g, "")], ["compute", "measure,4"]);
  for (const [kind, text] of [["keyword", "let"], ["function", "measure"], ["number", "25"], ["comment", "// step 25"]]) {
    await file(page, "code.rs").locator(`.row.added .t-${kind}:has-text("${text}")`).first().waitFor();
  }
  await finish(page, server);
});

test("the panel of changes has no scroll areas inside", async () => {
  const page = await panel("scrolls");
  const boxes = () => page.locator(".changes .diff-rows").evaluateAll((all) => all.map((el) => [el.scrollHeight > el.clientHeight, el.scrollWidth > el.clientWidth]));
  assert.ok((await boxes()).every(([up]) => !up));
  assert.ok((await boxes()).some(([, sideways]) => sideways));
  await page.getByRole("button", { name: "Wrap" }).click();
  assert.ok((await boxes()).every(([up, sideways]) => !up && !sideways));
  await finish(page, server);
});

test("a wide panel shows both sides and keeps the choice", async () => {
  const page = await panel("sides", WIDE);
  const handle = page.getByRole("separator", { name: "Width of the panel" });
  await handle.focus();
  const width = () => page.locator(".panel").evaluate((el) => el.getBoundingClientRect().width);
  const before = await width();
  await page.keyboard.press("ArrowLeft");
  assert.equal(Math.round(await width()), Math.round(before) + 24);
  await page.keyboard.press("Home");
  await page.waitForSelector(".changes .diff-rows.split");
  const numbers = await file(page, "code.rs").locator(".row.pair:has(.word) .half .no").allInnerTexts();
  assert.deepEqual(numbers, ["26", "26"]);
  const [left, right] = await file(page, "code.rs").locator(".row.pair:has(.word) .half").evaluateAll((all) => all.map((el) => el.getBoundingClientRect().width));
  assert.ok(Math.abs(left - right) < 2);
  assert.ok(await page.locator(".file-list").isVisible());
  await page.getByRole("button", { name: "Unified" }).click();
  await page.waitForSelector(".changes .diff-rows.both");
  const kept = await width();
  await page.reload();
  await page.waitForSelector(".changes .diff-rows.both");
  assert.equal(Math.round(await width()), Math.round(kept));
  assert.equal(await page.locator(".changes .diff-rows.split").count(), 0);
  await page.getByRole("separator", { name: "Width of the panel" }).dblclick();
  await eventually(page, (was) => document.querySelector(".panel").getBoundingClientRect().width < was, kept);
  await finish(page, server);
});

test("the list of files stays, filters, and follows the keyboard", async () => {
  const page = await panel("lists", WIDE);
  await page.getByRole("separator", { name: "Width of the panel" }).focus();
  await page.keyboard.press("Home");
  const list = page.locator(".file-list");
  await list.waitFor();
  const top = await list.evaluate((el) => el.getBoundingClientRect().top);
  await page.locator(".panel-body").evaluate((el) => el.scrollTo(0, 500));
  assert.ok(Math.abs((await list.evaluate((el) => el.getBoundingClientRect().top)) - top) < 60);
  await page.getByLabel("Filter files").fill("rs");
  assert.deepEqual(await list.locator("li:visible .path").allInnerTexts(), ["code.rs"]);
  assert.equal(await page.locator(".changes .file:visible").count(), 1);
  await page.keyboard.press("Escape");
  assert.equal(await list.locator("li:visible").count(), 7);
  await list.getByRole("button", { name: "script.sh" }).focus();
  await page.keyboard.press("Enter");
  await eventually(page, () => document.activeElement?.matches("summary") && document.activeElement.textContent.includes("script.sh"));
  await finish(page, server);
});

test("opened parts stay open while the agent works", async () => {
  const page = await panel("stays");
  await file(page, "code.rs").locator("summary").click();
  await eventually(page, () => [...document.querySelectorAll(".changes .file")].some((el) => !el.open));
  const [id] = await page.evaluate(() => [location.hash.slice(4)]);
  writeFileSync(join(server.folder("stays"), "later.txt"), "x\n");
  await server.message({ id }, "echo done");
  await file(page, "later.txt").waitFor();
  assert.equal(await file(page, "code.rs").evaluate((el) => el.open), false);
  await finish(page, server);
});

test("a waiting edit has its file's line numbers or none", async () => {
  const worker = await server.worker("numbers");
  const path = join(server.folder("numbers"), "code.rs");
  writeFileSync(path, CODE);
  const edit = (before, after) => `permission Edit ${JSON.stringify({ file_path: path, old_string: before, new_string: after })}`;
  await server.message(worker, edit("    let value_44 = compute(44);", "    let value_44 = other(44);"));
  const page = await open(server, at(worker));
  const numbers = () => page.locator(".prompt-card .row:is(.added, .removed)").evaluateAll((rows) => rows.map((row) => row.querySelector(".no:not(.old)").textContent));
  await eventually(page, () => document.querySelector(".prompt-card .row.added .no:not(.old)")?.textContent === "45");
  assert.deepEqual(await numbers(), ["45", "45"]);
  await page.waitForSelector('.prompt-card .row.hunk:has-text("lines 42–48")');
  await page.locator(".prompt-card .primary").click();
  await server.turns(worker, 1);
  await server.message(worker, edit("compute(", "other("));
  await page.waitForSelector(".prompt-card .row.added");
  assert.deepEqual(await numbers(), ["", ""], "it is in the file more than once");
  await page.locator(".prompt-card .primary").click();
  await finish(page, server);
});

test("a phone shows changes in one column without scrolling sideways", async () => {
  changed("pocket");
  const worker = await server.worker("pocket");
  const page = await open(server, at(worker), PHONE);
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Changes, usage, process" }).click();
  await page.waitForSelector(".changes .file");
  assert.equal(await page.evaluate(() => document.querySelector(".panel").scrollWidth <= innerWidth), true);
  await page.getByRole("button", { name: "7 files" }).click();
  await page.locator(".file-list").getByRole("button", { name: "new.md" }).click();
  await eventually(page, () => document.activeElement?.textContent.includes("new.md"));
  await finish(page, server);
});

test("the panel of changes passes the audit in every layout", async () => {
  const page = await panel("rules", WIDE);
  await page.evaluate(readFileSync(axePath, "utf8"));
  const check = () => page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`));
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await check(), [], colorScheme);
    await page.getByRole("button", { name: "Side by side" }).click();
    assert.deepEqual(await check(), [], `${colorScheme}, side by side`);
    await page.getByRole("button", { name: "Unified" }).click();
  }
  await finish(page, server);
});
