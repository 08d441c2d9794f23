// A conversation that is continued in another worker.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, finish, open, serverOfAllTests } from "./support.mjs";
import { accessible, act, CHANGED, CODE, read, workIn } from "./work.mjs";

// Commits are made by the server's user.
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun } = workIn(server);

for (const [words, isLeft] of [["with its uncommitted changes", false], ["without its uncommitted changes", true]])
  test(`a conversation moves to a copy ${words}`, async () => {
    const { worker } = await begun(`hands-${isLeft}`);
    await server.message(worker, "echo the plan is a plum");
    await server.turns(worker, 1);
    const page = await open(server, at(worker));
    await page.waitForSelector(".item-turn");
    await act(page, "Hand over");
    const along = page.getByLabel("With the changes that are not committed");
    assert.equal(await along.isVisible(), false);
    await page.getByLabel("In a new worktree that is a copy").check();
    if (isLeft) await along.uncheck();
    await page.getByLabel("Name").fill(`second hand ${isLeft}`);
    await accessible(page);
    await page.getByRole("button", { name: /^Hand over to .* in a copy/ }).click();
    await page.waitForSelector(`h1:has-text("second hand ${isLeft}")`);
    const { workers } = await server.api("GET", "/api/workers");
    const made = workers.find(({ name }) => name === `second hand ${isLeft}`);
    assert.notEqual(made.project_path, worker.project_path);
    assert.ok((await server.api("GET", `/api/workers/${made.id}/messages?types=user`)).messages[0].content.includes("plum"));
    assert.equal(read(made.project_path, "src/code.rs"), isLeft ? CODE : CHANGED);
    assert.equal(read(worker.project_path, "src/code.rs"), CHANGED);
    await finish(page, server);
  });

test("a hand-over in a running agent's folder needs confirmation", async () => {
  const { worker } = await begun("shares");
  await server.message(worker, "echo the plan is a plum");
  await server.turns(worker, 1);
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  await act(page, "Hand over");
  await page.getByLabel("Name").fill("same folder");
  await page.getByRole("button", { name: /^Hand over to/ }).click();
  await page.locator(".field-error", { hasText: "still runs in this folder" }).waitFor();
  await page.getByLabel("Although this worker still runs there").check();
  await page.getByRole("button", { name: /^Hand over to/ }).click();
  await page.waitForSelector('h1:has-text("same folder")');
  await finish(page, server);
});
