// Where the focus is after every action of the work loop.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, finish, open, serverOfAllTests } from "./support.mjs";
import { act, git, line, panel, state, workIn, write } from "./work.mjs";

// The focus moves at once, but for the answers of a busy machine's server.
const SOON_MS = 15_000;
const server = serverOfAllTests(async (running) => {
  writeFileSync(join(running.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
const { begun, changes, turn } = workIn(server);

/** A name for what has the focus. */
const where = (page) => page.evaluate(() => {
  const el = document.activeElement;
  if (el.matches("body")) return "nothing";
  if (el.matches(".composer-box > textarea")) return "composer";
  return el.getAttribute("aria-label") ?? [...(el.labels?.[0]?.childNodes ?? [])].map((node) => node.textContent).find(Boolean) ?? el.dataset.path ?? el.textContent.trim();
});

let made = 0;
const fresh = (change) => begun(`w${(made += 1)}`, change);
const opened = async (change) => {
  const { worker, folder, project } = await fresh(change);
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer-box > textarea:focus");
  return { page, worker, folder, project };
};
const BEGIN = {
  changes: async () => changes((await fresh()).worker),
  draft: async () => {
    const page = await BEGIN.changes();
    await line(page, 26).click();
    await page.keyboard.type("quince");
    await page.keyboard.press("Control+Enter");
    await state(page, "quince", "draft");
    return page;
  },
  worker: async () => (await opened()).page,
  landing: async () => {
    const page = await BEGIN.worker();
    await act(page, "Land the work");
    await page.waitForSelector(".land-part");
    return page;
  },
  remote: async () => {
    const { page, project, folder } = await opened();
    git(folder, "branch", "-m", "steps");
    git(project, "remote", "add", "origin", "https://codeberg.org/ada/steps.git");
    await act(page, "Land the work");
    await page.locator("summary:text-is('Push')").click();
    return page;
  },
  files: async () => {
    const { page, worker, folder } = await opened(() => {});
    await turn(worker, () => write(folder, "notes.txt", "one\nthree\n"));
    await panel(page);
    await page.getByRole("tab", { name: "Files" }).click();
    await page.waitForSelector('[data-path="notes.txt"]');
    return page;
  },
  file: async () => {
    const page = await BEGIN.files();
    await page.locator('[data-path="notes.txt"]').click();
    await page.waitForSelector(".code-lines");
    return page;
  },
};
const press = (name) => (page) => page.getByRole("button", { name }).first().click();
const keys = (...all) => async (page) => {
  for (const key of all) await page.keyboard.press(key);
};
const gone = (page) => page.waitForSelector("dialog", { state: "detached" });
const file = "src/code.rs";

/** Each action: what it is, where it begins, what is done, and where the focus then is. */
const ACTIONS = [
  ["a line is chosen", "changes", (page) => line(page, 26).click(), `Comment on line 26 of ${file}`],
  ["a comment is left", "changes", async (page) => {
    await line(page, 26).click();
    await page.keyboard.press("Escape");
  }, `Comment on line 26 of ${file}`],
  ["a comment is added", "draft", keys(), `Comment on line 26 of ${file}`],
  ["a comment is edited", "draft", press("Edit the comment"), `Comment on line 26 of ${file}`],
  ["a comment is deleted", "draft", async (page) => {
    await press("Delete the comment")(page);
    await page.waitForSelector(".comment", { state: "detached" });
  }, `${file}+2 −2`],
  ["a comment on everything is begun", "changes", press("Comment on all changes"), "Comment on all changes"],
  ["a review is about to be sent", "draft", press(/^Send review/), "To say about all of it"],
  ["a review is not sent after all", "draft", async (page) => {
    await press(/^Send review/)(page);
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
  }, "Send review (1)"],
  ["a review is sent", "draft", async (page) => {
    await press(/^Send review/)(page);
    await press("Send 1 comment")(page);
    await state(page, "quince", "sent");
  }, "Comment on all changes"],
  ["a file is marked as viewed", "changes", (page) => page.getByLabel("Viewed").check(), "Viewed"],
  ["the menu of a file is opened", "changes", press(`More for ${file}`), "Comment on this file"],
  ["a file is mentioned", "changes", async (page) => {
    await press(`More for ${file}`)(page);
    await page.getByRole("menuitem", { name: "Mention" }).click();
  }, "composer"],
  ["a hunk is asked about", "changes", press("Discard the changes at line 23"), "Cancel"],
  ["a hunk is kept", "changes", async (page) => {
    await press("Discard the changes at line 23")(page);
    await press("Cancel")(page);
    await gone(page);
  }, `Discard the changes at line 23 of ${file}`],
  ["another scope is chosen", "changes", async (page) => {
    await page.getByLabel("Changes to show").focus();
    await page.getByLabel("Changes to show").selectOption("uncommitted");
  }, "Changes to show"],
  ["the landing is opened", "landing", keys(), "Close"],
  ["the landing is closed", "landing", keys("Escape"), "Actions of this worker"],
  ["files are committed", "landing", async (page) => {
    await page.getByLabel("Message of the commit").fill("Measure");
    await press("Commit 1 file")(page);
    await page.getByText("1 file committed.").waitFor();
  }, "Land on main"],
  ["a push is not confirmed", "remote", async (page) => {
    await press("Push steps to origin")(page);
    await press("Cancel")(page);
    await page.getByRole("button", { name: "Cancel" }).waitFor({ state: "detached" });
  }, "Push steps to origin"],
  ["a pull request is asked for", "remote", async (page) => {
    await page.locator("summary:text-is('Pull request')").click();
    await press("Open a pull request")(page);
    await page.locator('a[href^="https://codeberg.org/"]').waitFor();
  }, "Open a pull request at origin"],
  ["a folder is opened", "files", async (page) => {
    await page.locator('[data-path="src"]').click();
    await page.waitForSelector('[data-path="src/code.rs"]');
  }, "src"],
  ["a file is opened", "file", keys(), "notes.txt"],
  ["a file is left", "file", keys("Escape"), "notes.txt"],
  ["an open file is mentioned", "file", press("Mention in the message"), "composer"],
  ["the history of a file is closed", "file", async (page) => {
    await press("History")(page);
    await page.waitForSelector(".file-history li");
    await page.keyboard.press("Escape");
  }, "History"],
  ["a hand-over is begun", "worker", (page) => act(page, "Hand over"), "CLI"],
  ["a hand-over is left", "worker", async (page) => {
    await act(page, "Hand over");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
  }, "Actions of this worker"],
];

for (const [name, begin, make, expected] of ACTIONS) {
  test(`this work step leaves the focus in place: ${name}: ${expected}`, async () => {
    const page = await BEGIN[begin]();
    await make(page);
    for (const end = Date.now() + SOON_MS; (await where(page)) !== expected && Date.now() < end; ) await page.waitForTimeout(25);
    assert.equal(await where(page), expected);
    // It stays there.
    await page.waitForTimeout(150);
    assert.equal(await where(page), expected);
    await finish(page, server);
  });
}
