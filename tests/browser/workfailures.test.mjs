// Every request of the work loop fails once: the failure is said, what was wanted is kept, and it can be tried again.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { work } from "../../static/js/lib/work.js";
import { failOnce, said, testRequests } from "./failing.mjs";
import { at, finish, open, serverOfAllTests } from "./support.mjs";
import { act, card, git, gitServer, line, panel, state, workIn, write } from "./work.mjs";

const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun, turn } = workIn(server);

let made = 0;
const fresh = (change) => begun(`f${(made += 1)}`, change);
const committed = (folder) => {
  write(folder, "mine.txt", "mine\n");
  git(folder, "add", ".");
  git(folder, "commit", "-qm", "Mine");
};

const go = async (page, worker) => {
  await page.goto(`${server.url}/${at(worker)}`);
  await page.waitForSelector(".composer");
  await page.waitForSelector('.scroller[aria-busy="false"]');
};
const changesOf = async (page, change) => {
  const found = await fresh(change);
  await go(page, found.worker);
  await panel(page);
  await page.waitForSelector(".changes .line-button");
  return found;
};
const comment = async (page) => {
  await line(page, 26).click();
  await page.keyboard.type("a medlar");
  await page.keyboard.press("Control+Enter");
};
const commented = async (page) => {
  const found = await changesOf(page);
  await comment(page);
  await state(page, "a medlar", "draft");
  return found;
};
const sent = async (page) => {
  const found = await commented(page);
  await page.getByRole("button", { name: "Send review (1)" }).click();
  await page.getByRole("button", { name: "Send 1 comment" }).click();
  await state(page, "a medlar", "sent");
  return found;
};
const landing = (change) => async (page) => {
  const found = await fresh(change);
  await go(page, found.worker);
  await act(page, "Land the work");
  await page.waitForSelector(".land-part");
  return found;
};
const turned = async (page) => {
  const found = await fresh(() => {});
  await go(page, found.worker);
  await turn(found.worker, () => write(found.folder, "notes.txt", "one\nof the turn\n"));
  await panel(page);
  return found;
};
const press = (name, exact = false) => (page) => page.getByRole("button", { name, exact }).first().click();
const words = (text) => (page) => page.getByText(text).first().waitFor();

/** Each request: method and path, what comes before it, what makes it, what proves the second try, and what tries again. */
const REQUESTS = {
  diff: [/^GET .*\/diff(\?|$)/, async (page) => {
    const found = await fresh();
    await go(page, found.worker);
    return found;
  }, panel, (page) => page.waitForSelector(".changes .line-button")],
  review: [/^GET .*\/review$/, async (page) => {
    const found = await fresh();
    await go(page, found.worker);
    return found;
  }, panel, (page) => page.waitForSelector(".changes .line-button")],
  addComment: [/^POST .*\/review$/, changesOf, comment, (page) => state(page, "a medlar", "draft")],
  changeComment: [/^PATCH .*\/review\//, sent, press("Resolve the comment"), (page) => state(page, "a medlar", "resolved"), press("Resolve the comment")],
  removeComment: [/^DELETE .*\/review\//, commented, press("Delete the comment"), (page) => card(page, "a medlar").waitFor({ state: "detached" }), press("Delete the comment")],
  sendReview: [/^POST .*\/review\/send$/, async (page) => {
    const found = await commented(page);
    await press("Send review (1)")(page);
    return found;
  }, press("Send 1 comment"), (page) => state(page, "a medlar", "sent")],
  setViewed: [/^PUT .*\/viewed$/, changesOf, (page) => page.getByLabel("Viewed").first().click(), words("1 of 1 viewed")],
  discard: [/^POST .*\/discard$/, async (page) => {
    const found = await changesOf(page);
    await press("Discard the changes at line 23")(page);
    return found;
  }, press("Discard these lines"), words("Discarded.")],
  landing: [/^GET .*\/api\/.*\/land(\?|$)/, async (page) => {
    const found = await fresh();
    await go(page, found.worker);
    return found;
  }, (page) => act(page, "Land the work"), (page) => page.waitForSelector(".land-part")],
  commit: [/^POST .*\/commit$/, landing(), async (page) => {
    await page.getByLabel("Message of the commit").fill("A medlar");
    await press("Commit 1 file")(page);
  }, words("1 file committed."), press("Commit 1 file")],
  bringUp: [/^POST .*\/update$/, async (page) => {
    const found = await fresh(committed);
    write(found.project, "theirs.txt", "theirs\n");
    git(found.project, "add", ".");
    git(found.project, "commit", "-qm", "Theirs");
    await go(page, found.worker);
    await act(page, "Land the work");
    await page.locator("summary:has-text('Bring 1 commit of main')").click();
    return found;
  }, press("Merge 1 commit of main"), words("1 commit of main merged."), press("Merge 1 commit of main")],
  land: [/^POST .*\/land$/, landing(committed), press("Squash 1 commit onto main"), words("Landed on main"), press("Squash 1 commit onto main")],
  push: [/^POST .*\/push$/, async (page) => {
    const found = await fresh(committed);
    const { url } = (await gitServer(server.folder(`remotes${made}`))).bare("work.git");
    git(found.project, "remote", "add", "origin", url);
    await go(page, found.worker);
    await act(page, "Land the work");
    await page.locator("summary:text-is('Push')").click();
    return found;
  }, async (page) => {
    await press(/^Push work-/)(page);
    await press("Push", true)(page);
  }, words("of origin."), async (page) => {
    await press(/^Push work-/)(page);
    await press("Push", true)(page);
  }],
  pullRequest: [/^POST .*\/pull-request$/, async (page) => {
    const found = await fresh(committed);
    git(found.project, "remote", "add", "origin", "https://codeberg.org/ada/steps.git");
    await go(page, found.worker);
    await act(page, "Land the work");
    await page.locator("summary:text-is('Pull request')").click();
    return found;
  }, press("Open a pull request"), (page) => page.locator('a[href^="https://codeberg.org/ada/steps/compare/main...work-f"]').waitFor(), press("Open a pull request")],
  restorable: [/^GET .*\/restore\?/, async (page) => {
    const found = await turned(page);
    await page.getByLabel("Changes to show").selectOption({ index: 2 });
    return found;
  }, press("Restore to before this turn"), (page) => page.getByRole("button", { name: "Restore 1 file" }).waitFor()],
  restore: [/^POST .*\/restore$/, async (page) => {
    const found = await turned(page);
    await page.getByLabel("Changes to show").selectOption({ index: 2 });
    await press("Restore to before this turn")(page);
    return found;
  }, press("Restore 1 file"), words("Restored.")],
  tree: [/^GET .*\/tree/, turned, (page) => page.getByRole("tab", { name: "Files" }).click(), (page) => page.waitForSelector('[data-path="notes.txt"]')],
  file: [/^GET .*\/blob\?/, async (page) => {
    const found = await turned(page);
    await page.getByRole("tab", { name: "Files" }).click();
    return found;
  }, (page) => page.locator('[data-path="notes.txt"]').click(), (page) => page.waitForSelector('.code-lines:has-text("of the turn")')],
  fileHistory: [/^GET .*\/file-history\?/, async (page) => {
    const found = await turned(page);
    await page.getByRole("tab", { name: "Files" }).click();
    await page.locator('[data-path="notes.txt"]').click();
    return found;
  }, press("History"), (page) => page.waitForSelector(".file-history li")],
  handOver: [/^POST .*\/handover$/, async (page) => {
    const found = await fresh();
    await server.message(found.worker, "echo a medlar");
    await server.turns(found.worker, 1);
    await go(page, found.worker);
    await act(page, "Hand over");
    await page.getByLabel("In a new worktree that is a copy").check();
    await page.getByLabel("Name").fill(`handed ${found.worker.name}`);
    return found;
  }, press(/^Hand over to/), (page, { worker }) => page.waitForSelector(`h1:has-text("handed ${worker.name}")`)],
};

testRequests(server, "the work loop", REQUESTS, Object.keys(work));

test("a comment that is not sent stays in its field", async () => {
  const page = await open(server, "health");
  const { worker } = await changesOf(page);
  await failOnce(page, /^POST .*\/review$/, (route) => route.abort());
  await comment(page);
  await said(page, "The server cannot be reached.");
  await page.reload();
  await page.waitForSelector(".comment-editor");
  assert.equal(await page.locator(".comment-editor textarea").first().inputValue(), "a medlar");
  await page.getByRole("button", { name: "Add to the review" }).click();
  await state(page, "a medlar", "draft");
  const { comments } = await server.api("GET", `/api/workers/${worker.id}/review`);
  assert.equal(comments.length, 1);
  await finish(page, server);
});
