// The work loop on the page, from the first comment to the landing; with real git.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DESK, eventually, finish, PHONE, serverOfAllTests } from "./support.mjs";
import { accessible, act, card, CHANGED, CODE, git, line, read, state, workIn, write } from "./work.mjs";

// Commits are made by the server's user.
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun, changes, messages, turn } = workIn(server);

/** The landing dialog says that something is done. */
const done = (page, text) => page.locator(".land-done", { hasText: text }).waitFor();

for (const [device, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`a review on a ${device} is sent, committed and landed`, async () => {
    const { project, worker, folder } = await begun(`whole-${device}`);
    const page = await changes(worker, view);
    // A line by a click, a range by Shift, and all changes.
    if (view === PHONE) await page.locator('.row:has(.line-button[data-line="26"][data-side="new"]) > .no').last().tap();
    else await line(page, 26).click();
    await page.getByLabel("Comment on line 26 of src/code.rs", { exact: true }).last().fill("Why is this measured?");
    await page.getByRole("button", { name: "Add to the review" }).click();
    await state(page, "Why is this measured?", "draft");
    await line(page, 44).click();
    await page.keyboard.press("Escape");
    await page.waitForSelector(".comment-editor", { state: "detached" });
    await line(page, 46).click({ modifiers: ["Shift"] });
    await page.locator("textarea[aria-label='Comment on lines 44–46 of src/code.rs']").fill("These three belong together.");
    await page.keyboard.press("Control+Enter");
    await state(page, "belong together", "draft");
    await page.getByRole("button", { name: "Comment on all changes" }).click();
    await page.keyboard.type("Good otherwise.");
    await page.keyboard.press("Control+Enter");
    await state(page, "Good otherwise.", "draft");
    await page.getByLabel("Viewed").check();
    await page.getByText("1 of 1 viewed").waitFor();
    await accessible(page);

    await page.getByRole("button", { name: "Send review (3)" }).click();
    await page.getByLabel("To say about all of it").fill("Thanks.");
    await accessible(page);
    await page.getByRole("button", { name: "Send 3 comments" }).click();
    await server.turns(worker, 1);
    await state(page, "Good otherwise.", "sent");
    const [message] = await messages(worker);
    for (const part of ["src/code.rs", "26", "measure(25, 4)", "Why is this measured?", "belong together", "Good otherwise.", "Thanks."]) assert.ok(message.includes(part), `${part} in ${message}`);
    assert.equal(await page.getByRole("button", { name: /^Send review/ }).count(), 0);

    // The agent changes one of the lines: its comment is addressed.
    await turn(worker, () => write(folder, "src/code.rs", CHANGED.replace("measure(25, 4)", "compute(25, 5)")));
    await page.locator(".comment .tag:text-is('addressed'), .comment .tag:text-is('outdated')").first().waitFor();

    if (view === PHONE) await page.getByRole("button", { name: "Close the panel" }).click();
    await act(page, "Land the work");
    await page.getByText("1 file not committed").first().waitFor();
    await accessible(page);
    await page.getByLabel("Message of the commit").fill("Measure the steps");
    await page.getByRole("button", { name: `Commit 1 file to work-whole-${device}` }).click();
    await done(page, "1 file committed.");
    await page.getByRole("button", { name: "Squash 1 commit onto main" }).click();
    await done(page, "Landed on main");
    assert.equal(read(project, "src/code.rs"), CHANGED.replace("measure(25, 4)", "compute(25, 5)"));
    assert.equal(git(project, "status", "--porcelain"), "");
    assert.equal(git(project, "rev-list", "--count", "main"), "2");
    await finish(page, server);
  });
}

test("lines are commented on by keys alone", async () => {
  const { worker } = await begun("keys");
  const page = await changes(worker);
  await page.locator('.diff-rows .line-button[tabindex="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Shift+ArrowDown");
  await page.keyboard.press("Shift+ArrowDown");
  assert.equal(await page.locator(".row.picked").count(), 3);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".row.picked").count(), 0);
  await page.keyboard.press("Shift+ArrowUp");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".comment-editor textarea:focus");
  await page.keyboard.type("by keys");
  await page.keyboard.press("Control+Enter");
  await state(page, "by keys", "draft");
  await page.waitForSelector(".panel:visible");
  await finish(page, server);
});

test("a comment suggests a replacement, is edited, deleted and resolved", async () => {
  const { worker } = await begun("edits");
  const page = await changes(worker);
  await line(page, 26).click();
  await page.keyboard.type("Shorter");
  await page.getByRole("button", { name: "Suggest a replacement" }).click();
  assert.match(await page.getByLabel("Replace these lines by").inputValue(), /measure\(25, 4\)/);
  await page.getByLabel("Replace these lines by").fill("    let value_25 = 1;");
  await page.getByRole("button", { name: "Add to the review" }).click();
  await card(page, "Shorter").locator('.suggestion .row.added:has-text("let value_25 = 1;")').waitFor();
  // The server's event may show the card before the answer closes the editor in which it was written.
  await page.locator(".comment-editor").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Edit the comment on line 26" }).click();
  await page.locator(".comment-editor textarea").first().fill("Much shorter");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await state(page, "Much shorter", "draft");
  await page.getByRole("button", { name: "More for src/code.rs" }).click();
  await page.getByRole("menuitem", { name: "Comment on this file" }).click();
  await page.keyboard.type("The whole file");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("button", { name: "Delete the comment on the file src/code.rs" }).click();
  await card(page, "The whole file").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Send review (1)" }).click();
  await page.getByRole("button", { name: "Send 1 comment" }).click();
  await state(page, "Much shorter", "sent");
  assert.ok((await messages(worker))[0].includes("let value_25 = 1;"));
  await page.getByRole("button", { name: "Resolve the comment on line 26" }).click();
  await state(page, "Much shorter", "resolved");
  await page.getByRole("button", { name: "Open the comment on line 26" }).waitFor();
  await finish(page, server);
});

test("drafts show on every device and survive a reload", async () => {
  const { worker } = await begun("devices");
  const desk = await changes(worker);
  const phone = await changes(worker, PHONE);
  await line(desk, 26).click();
  await desk.keyboard.type("seen everywhere");
  await desk.keyboard.press("Control+Enter");
  await state(phone, "seen everywhere", "draft");
  await line(desk, 45).click();
  await desk.keyboard.type("half a sen");
  await desk.reload();
  await desk.waitForSelector(".comment-editor");
  const field = desk.getByLabel("Comment on line 45 of src/code.rs", { exact: true }).last();
  assert.equal(await field.inputValue(), "half a sen");
  await field.fill("half a sentence more");
  await desk.getByRole("button", { name: "Add to the review" }).click();
  await state(phone, "half a sentence more", "draft");
  // The other device may know of it before this one has its answer.
  await desk.locator(".comment-editor").waitFor({ state: "detached" });
  await desk.reload();
  await state(desk, "half a sentence more", "draft");
  assert.equal(await desk.locator(".comment-editor").count(), 0);
  for (const page of [desk, phone]) await finish(page, server);
});

test("a comment follows its line and shows old text later", async () => {
  const { worker, folder } = await begun("moves");
  const page = await changes(worker);
  for (const [number, text] of [[26, "stays"], [45, "goes"]]) {
    await line(page, number).click();
    await page.keyboard.type(text);
    await page.keyboard.press("Control+Enter");
    await state(page, text, "draft");
  }
  await turn(worker, () => write(folder, "src/code.rs", `// a new line\n${CHANGED.replace(/^.*measure\(44.*\n/m, "")}`));
  await page.locator('.row:has(.line-button[data-line="27"][data-side="new"]) + .threads .comment:has-text("stays")').waitFor();
  await state(page, "goes", "outdated");
  assert.match(await card(page, "goes").innerText(), /measure\(44, 4\)/);
  await finish(page, server);
});

test("a changed file loses its viewed mark", async () => {
  const { worker, folder } = await begun("viewed", (place) => {
    write(place, "src/code.rs", CHANGED);
    write(place, "notes.txt", "one\nthree\n");
  });
  const page = await changes(worker);
  await page.getByRole("checkbox", { name: "Viewed", exact: true }).first().check();
  await page.getByText("1 of 2 viewed").waitFor();
  await page.locator(".changes .file:not([open])").waitFor();
  await turn(worker, () => write(folder, "notes.txt", "one\nfour\n"));
  await page.getByText("0 of 2 viewed").waitFor();
  await finish(page, server);
});

test("a scope shows one commit, one turn, or uncommitted work", async () => {
  const { worker, folder } = await begun("scopes", (place) => {
    write(place, "src/code.rs", CHANGED);
    git(place, "commit", "-qam", "Measure");
  });
  const page = await changes(worker);
  await turn(worker, () => write(folder, "notes.txt", "one\nof the turn\n"));
  await page.locator('.changes .file:has-text("notes.txt")').waitFor();
  const scope = page.getByLabel("Changes to show");
  const names = () => page.locator(".changes .file .file-name .path").allInnerTexts();
  await scope.selectOption({ label: "Measure" });
  await eventually(page, () => document.querySelectorAll(".changes .file").length === 1);
  assert.deepEqual(await names(), ["src/code.rs"]);
  await scope.selectOption("uncommitted");
  await page.locator('.changes .row.added:has-text("of the turn")').waitFor();
  await eventually(page, () => document.querySelectorAll(".changes .file").length === 1);
  assert.deepEqual(await names(), ["notes.txt"]);
  await scope.selectOption({ label: await page.locator("option[value^='turn:']").first().innerText() });
  await page.getByRole("button", { name: "Restore to before this turn" }).waitFor();
  assert.deepEqual(await names(), ["notes.txt"]);
  await page.getByRole("button", { name: "Restore to before this turn" }).click();
  await page.locator("dialog .row.removed:has-text('of the turn')").waitFor();
  await accessible(page);
  await page.getByRole("button", { name: "Restore 1 file" }).click();
  await page.getByText("Restored.").waitFor();
  assert.equal(read(folder, "notes.txt"), "one\ntwo\n");
  await accessible(page);
  // What was overwritten can be had again.
  await page.getByRole("button", { name: "Undo…" }).click();
  await page.locator("dialog .row.added:has-text('of the turn')").waitFor();
  await page.getByRole("button", { name: "Restore 1 file" }).click();
  await eventually(page, () => !document.querySelector("dialog"));
  assert.equal(read(folder, "notes.txt"), "one\nof the turn\n");
  await finish(page, server);
});

test("a hunk or file is discarded after showing its lines", async () => {
  const { worker, folder } = await begun("discards");
  const page = await changes(worker);
  await page.getByRole("button", { name: "Discard the changes at line 23" }).click();
  assert.match(await page.locator("dialog").innerText(), /measure\(25, 4\)[\s\S]*recorded first|recorded first[\s\S]*measure\(25, 4\)/);
  assert.doesNotMatch(await page.locator("dialog").innerText(), /measure\(44/);
  await accessible(page);
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(read(folder, "src/code.rs"), CHANGED);
  await page.getByRole("button", { name: "Discard the changes at line 23" }).click();
  await page.getByRole("button", { name: "Discard these lines" }).click();
  await page.getByText("Discarded.").waitFor();
  assert.equal(read(folder, "src/code.rs"), CODE.replace("compute(44)", "measure(44, 4)"));
  await page.locator(".changes .row.added").first().waitFor();
  await page.getByRole("button", { name: "More for src/code.rs" }).click();
  await page.getByRole("menuitem", { name: "Discard all changes" }).click();
  await page.getByRole("button", { name: "Discard src/code.rs" }).click();
  await page.getByText("No changes in the project.").waitFor();
  assert.equal(read(folder, "src/code.rs"), CODE);
  await finish(page, server);
});

test("a menu and the focus outlast an agent's changes", async () => {
  const { worker, folder } = await begun("outlasts");
  const page = await changes(worker);
  const more = page.getByRole("button", { name: "More for src/code.rs" });
  await more.click();
  const item = page.getByRole("menuitem", { name: "Mention in the message" });
  await item.waitFor();
  await turn(worker, () => write(folder, "src/code.rs", CHANGED.replace("measure(25, 4)", "compute(25, 5)")));
  await page.locator(".changes .row.added", { hasText: "compute(25, 5)" }).waitFor();
  assert.ok(await item.isVisible());
  await accessible(page);
  await page.keyboard.press("Escape");
  assert.ok(await more.evaluate((button) => button === document.activeElement));
  await turn(worker, () => write(folder, "src/code.rs", CHANGED.replace("measure(25, 4)", "compute(25, 6)")));
  await page.locator(".changes .row.added", { hasText: "compute(25, 6)" }).waitFor();
  assert.ok(await more.evaluate((button) => button === document.activeElement));
  await more.click();
  await item.click();
  assert.match(await page.getByRole("textbox", { name: /Message/ }).first().inputValue(), /@src\/code\.rs/);
  await finish(page, server);
});
