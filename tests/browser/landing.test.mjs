// Commit, update and landing on the page, with real git.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, DESK, eventually, finish, open, PHONE, serverOfAllTests } from "./support.mjs";
import { accessible, act, git, gitServer, read, workIn, write } from "./work.mjs";

// Commits are made by the server's user.
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun, messages } = workIn(server);

/** The landing dialog says that something is done. */
const done = (page, text) => page.locator(".land-done", { hasText: text }).waitFor();

test("a conflict is shown, handed to the agent, and landed", async () => {
  const { project, worker, folder } = await begun("conflict", (place) => {
    write(place, "notes.txt", "one\nmine\n");
    git(place, "commit", "-qam", "Mine");
  });
  write(project, "notes.txt", "one\ntheirs\n");
  git(project, "commit", "-qam", "Theirs");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await act(page, "Land the work");
  await page.locator('.land-summary .land-paths:has-text("notes.txt")').waitFor();
  const before = git(folder, "rev-parse", "HEAD");
  await page.getByRole("button", { name: "Merge 1 commit of main" }).click();
  await page.locator('.conflicts:has-text("notes.txt")').waitFor();
  assert.equal(git(folder, "rev-parse", "HEAD"), before);
  assert.equal(git(folder, "status", "--porcelain"), "");
  await accessible(page);
  await page.getByRole("button", { name: "Put it into the message" }).click();
  assert.match(await page.locator(".composer-box > textarea").inputValue(), /notes\.txt/);
  await page.locator(".composer-box > textarea").fill("");
  await act(page, "Land the work");
  await page.getByRole("button", { name: "Merge 1 commit of main" }).click();
  await page.getByRole("button", { name: "Ask the agent to resolve" }).click();
  await server.turns(worker, 1);
  assert.match((await messages(worker))[0], /notes\.txt/);
  try {
    git(folder, "merge", "main");
  } catch {
    // It conflicts: that is what the agent resolves.
  }
  write(folder, "notes.txt", "one\nmine and theirs\n");
  git(folder, "commit", "-qam", "Resolve");
  await act(page, "Land the work");
  await page.getByRole("button", { name: "Squash 2 commits onto main" }).click();
  await done(page, "Landed on main");
  assert.equal(read(project, "notes.txt"), "one\nmine and theirs\n");
  await finish(page, server);
});

test("a dirty target is refused with its files", async () => {
  const { project, worker } = await begun("dirty", (place) => {
    write(place, "notes.txt", "one\nmine\n");
    git(place, "commit", "-qam", "Mine");
  });
  write(project, "src/code.rs", "dirty\n");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await act(page, "Land the work");
  await page.locator('.land-warning:has-text("src/code.rs")').waitFor();
  assert.equal(await page.locator('[data-name="land"]').isDisabled(), true);
  assert.equal(read(project, "src/code.rs"), "dirty\n");
  await finish(page, server);
});

test("a branch is updated, rebased and landed with its worker", async () => {
  const { project, worker, folder } = await begun("rebases", (place) => {
    write(place, "mine.txt", "mine\n");
    git(place, "add", ".");
    git(place, "commit", "-qm", "Mine");
  });
  write(project, "theirs.txt", "theirs\n");
  git(project, "add", ".");
  git(project, "commit", "-qm", "Theirs");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await act(page, "Land the work");
  // What is chosen first is still chosen when the dry run is made again.
  await page.getByRole("radio", { name: "Rebase –" }).check();
  await page.getByLabel("Delete the worker and its worktree").check();
  await page.locator("summary:has-text('Bring 1 commit of main')").click();
  await page.locator("[data-part=update]").getByRole("button", { name: "Rebase 1 commit onto main" }).click();
  await done(page, "1 commit rebased onto main.");
  assert.ok(existsSync(join(folder, "theirs.txt")));
  await page.getByRole("button", { name: "Rebase 1 commit onto main, then delete rebases" }).click();
  await page.getByText("The worker is deleted.").waitFor();
  assert.equal(git(project, "log", "--format=%s", "main").split("\n")[0], "Mine");
  assert.equal(existsSync(folder), false);
  await finish(page, server);
});

test("the agent's answer becomes the message of a commit", async () => {
  const { worker, folder } = await begun("asks");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  await act(page, "Land the work");
  await page.getByRole("button", { name: "Ask the agent for a message" }).click();
  await eventually(page, () => /** @type {HTMLTextAreaElement} */ (document.querySelector('[data-name="commit-message"]'))?.value.startsWith("You said:"));
  await page.getByRole("button", { name: "Commit 1 file" }).click();
  await done(page, "1 file committed.");
  assert.match(git(folder, "log", "-1", "--format=%s"), /^You said:/);
  await finish(page, server);
});

for (const [kind, view] of [["desk", DESK], ["phone", PHONE]])
  test(`a branch is pushed to the shown address: ${kind}`, async () => {
    const { project, worker, folder } = await begun(`pushes-${kind}`, (place) => {
      write(place, "mine.txt", "mine\n");
      git(place, "add", ".");
      git(place, "commit", "-qm", "Mine");
    });
    const remotes = await gitServer(server.folder(`remotes-${kind}`));
    const { path, url } = remotes.bare("work.git");
    git(project, "remote", "add", "origin", url);
    git(project, "remote", "add", "hub", "https://ada:secret@codeberg.org/ada/steps.git");
    const page = await open(server, at(worker), view);
    await page.waitForSelector(".composer");
    await act(page, "Land the work");
    await page.locator("summary:text-is('Push')").click();
    const push = page.locator("[data-part=push]");
    await push.getByText(`at ${url}`).waitFor();
    await accessible(page);
    await page.getByRole("button", { name: `Push work-pushes-${kind} to origin` }).click();
    const question = page.locator("dialog", { hasText: "Push to origin?" });
    await question.getByText(url).waitFor();
    await accessible(page);
    await question.getByRole("button", { name: "Cancel" }).click();
    assert.equal(git(path, "for-each-ref"), "");
    // An agent that changes the address meanwhile gets nothing.
    git(project, "remote", "set-url", "origin", remotes.bare("other.git").url);
    await page.getByRole("button", { name: `Push work-pushes-${kind} to origin` }).click();
    await question.getByRole("button", { name: "Push", exact: true }).click();
    await push.getByText("look again").waitFor();
    git(project, "remote", "set-url", "origin", url);
    await page.getByRole("button", { name: `Push work-pushes-${kind} to origin` }).click();
    await question.getByRole("button", { name: "Push", exact: true }).click();
    await done(page, `Pushed to work-pushes-${kind} of origin.`);
    assert.equal(git(path, "log", "-1", "--format=%s", `work-pushes-${kind}`), "Mine");
    // Commits there that are not here are replaced only after they were named.
    git(path, "update-ref", `refs/heads/work-pushes-${kind}`, git(path, "commit-tree", "-p", `work-pushes-${kind}`, "-m", "Theirs", `work-pushes-${kind}^{tree}`));
    git(folder, "commit", "-q", "--amend", "-m", "Again");
    await page.getByRole("button", { name: "Close" }).click();
    await act(page, "Land the work");
    await page.locator("summary:text-is('Push')").click();
    await page.getByRole("button", { name: `Push work-pushes-${kind} to origin` }).click();
    await question.getByRole("button", { name: "Push", exact: true }).click();
    await push.getByText("has commits that are not here").waitFor();
    await page.getByRole("button", { name: "Replace what is there" }).click();
    const replace = page.locator("dialog", { hasText: "of origin?" });
    await replace.getByText(url).waitFor();
    await replace.getByRole("button", { name: "Replace", exact: true }).click();
    await eventually(page, (text) => document.querySelector(".land-done")?.textContent.startsWith(text), "Pushed to");
    assert.equal(git(path, "log", "-1", "--format=%s", `work-pushes-${kind}`), "Again");
    await page.locator("summary:text-is('Pull request')").click();
    const request = page.locator("[data-part=pull-request]");
    await request.getByLabel("Remote").selectOption("hub");
    await request.getByText("at https://codeberg.org/ada/steps.git").waitFor();
    await page.getByRole("button", { name: "Open a pull request at hub" }).click();
    await request.locator(`a[href="https://codeberg.org/ada/steps/compare/main...work-pushes-${kind}"]`).waitFor();
    await accessible(page);
    assert.ok(!(await page.content()).includes("secret"));
    await finish(page, server);
  });
