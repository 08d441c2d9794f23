// The files of a project on the page, and their history over the turns.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, DESK, finish, open, PHONE, serverOfAllTests } from "./support.mjs";
import { accessible, panel, read, workIn, write } from "./work.mjs";

// Commits are made by the server's user.
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun, turn } = workIn(server);

for (const [device, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`files are looked at, mentioned and restored on a ${device}`, async () => {
    const { worker, folder } = await begun(`files-${device}`, () => {});
    const page = await open(server, at(worker), view);
    await page.waitForSelector(".composer");
    await turn(worker, () => write(folder, "notes.txt", "one\nwritten\n"));
    await panel(page);
    await page.getByRole("tab", { name: "Files" }).click();
    await page.locator('[role="treeitem"][data-path="src"]').focus();
    await page.keyboard.press("ArrowRight");
    await page.locator('[role="treeitem"][data-path="src/code.rs"]').waitFor();
    await accessible(page);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.locator('.code-lines .t-keyword:has-text("fn")').first().waitFor();
    assert.match(await page.locator(".file-head").innerText(), /2\.1 KiB/);
    await accessible(page);
    await page.keyboard.press("Escape");
    await page.waitForSelector('[data-path="src/code.rs"]:focus');
    await page.keyboard.press("n");
    await page.waitForSelector('[data-path="notes.txt"]:focus');
    await page.keyboard.press("Enter");
    await page.locator('.code-lines:has-text("written")').waitFor();
    await page.getByRole("button", { name: "History" }).click();
    await page.getByRole("button", { name: /^Changes of/ }).click();
    await page.locator(".file-change .row.added:has-text('written')").waitFor();
    await accessible(page);
    await page.getByRole("button", { name: /^Restore to before/ }).click();
    await page.getByRole("button", { name: "Restore 1 file" }).click();
    await page.getByText("Restored.").waitFor();
    assert.equal(read(folder, "notes.txt"), "one\ntwo\n");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Mention in the message" }).click();
    assert.equal(await page.locator(".composer-box > textarea").inputValue(), "@notes.txt ");
    await finish(page, server);
  });
}
