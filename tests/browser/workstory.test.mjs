// The work loop with the real Claude Code, all on the page: from a worktree that is set up to two workers' work on main.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Model } from "./model.mjs";
import { CLAUDE, closeBrowser, closePages, DESK, finish, open, PHONE, Server, SHOTS } from "./support.mjs";
import { accessible, act, CHANGED, CODE, git, line, panel, read, state, write } from "./work.mjs";

const FINAL = CHANGED.replace("measure(25, 4)", "compute(25, 5)");
const RESOLVED = FINAL.replace("compute(25, 5)", "guess(25)");
const COMMENTS = [[26, "Why is this measured?"], [45, "Is four enough here?"], [46, "Does this belong together?"]];
// A build folder, as a repository that can't be built without it would have.
const SETUP = "test -f .env.local && mkdir -p built && echo ready > built/ready";

let model;
let server;
before(async () => {
  model = await Model.start();
  server = await Server.start({
    CLAUDE_BINARY: CLAUDE, ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "sk-ant-fake-0123456789abcdef",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", DISABLE_TELEMETRY: "1", CLAUDE_CODE_MAX_RETRIES: "1", STOP_GRACE_SECS: "2",
  });
  // Commits are made by the server's user.
  writeFileSync(join(server.dir, ".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n");
});
after(async () => {
  await closeBrowser();
  await server.close();
  await model.close();
});

for (const [device, view] of [["desk", DESK], ["phone", PHONE]])
  test(`two real workers' work is reviewed, resolved and landed: ${device}`, async (context) => {
    try {
      await story(device, view);
    } finally {
      await closePages(context.name);
    }
  });

async function story(device, view) {
  const project = repository(`steps-${device}`);
  const page = await open(server, "#/", view);
  const shot = (name) => page.screenshot({ path: join(SHOTS, `work-${device}-${name}.png`) });
  const first = await created(page, project, `first-${device}`);
  const second = await created(page, project, `second-${device}`);
  for (const { project_path: tree } of [first, second]) {
    assert.equal(read(tree, "built/ready"), "ready\n");
    assert.equal(read(tree, ".env.local"), "KEY=1\n");
  }

  // The first one writes code, after it was allowed to.
  await go(page, first);
  model.answer(reads(first), edits(first, "compute(25)", "measure(25, 4)"), edits(first, "compute(44)", "measure(44, 4)"), { text: "It is **measured** now." });
  await told(page, view, "Measure the steps.");
  await allowed(page, "measure(25, 4)");
  await allowed(page, "measure(44, 4)");
  await page.waitForSelector('.item-assistant strong:has-text("measured")');
  assert.equal(read(first.project_path, "src/code.rs"), CHANGED);

  // It gets three comments in one message, and answers them.
  await panel(page);
  await page.waitForSelector(".changes .line-button");
  for (const [number, text] of COMMENTS) {
    if (view === PHONE) await page.locator(`.row:has(.line-button[data-line="${number}"][data-side="new"]) > .no`).last().tap();
    else await line(page, number).click();
    await page.getByLabel(`Comment on line ${number} of src/code.rs`, { exact: true }).last().fill(text);
    await page.getByRole("button", { name: "Add to the review" }).click();
    await state(page, text, "draft");
  }
  await shot("review");
  let heard = "";
  model.answer(
    (asked) => {
      heard = asked;
      return reads(first);
    },
    edits(first, "measure(25, 4)", "compute(25, 5)"),
    { text: "Answered: it is computed again, four is **enough**, and they belong together." },
  );
  await page.getByRole("button", { name: "Send review (3)" }).click();
  await page.getByRole("button", { name: "Send 3 comments" }).click();
  await state(page, COMMENTS[2][1], "sent");
  if (view === PHONE) await page.getByRole("button", { name: "Close the panel" }).click();
  await allowed(page, "compute(25, 5)");
  await page.waitForSelector('.item-assistant strong:has-text("enough")');
  for (const [, text] of COMMENTS) assert.ok(heard.includes(text), `${text} reached the model`);
  const messages = await server.api("GET", `/api/workers/${first.id}/messages?types=user`);
  assert.equal(messages.messages.length, 2, "three comments are one message");
  assert.equal(read(first.project_path, "src/code.rs"), FINAL);
  if (view === PHONE) await panel(page);
  await page.locator('.comment:has-text("Why is this measured?") .tag:text-is("addressed"), .comment:has-text("Why is this measured?") .tag:text-is("outdated")').first().waitFor();
  if (view === PHONE) await page.getByRole("button", { name: "Close the panel" }).click();

  // The second one has changed one of the same lines meanwhile.
  await go(page, second);
  model.answer(reads(second), edits(second, "compute(25)", "guess(25)"), { text: "It is **guessed** now." });
  await told(page, view, "Guess the step.");
  await allowed(page, "guess(25)");
  await page.waitForSelector('.item-assistant strong:has-text("guessed")');

  // The first one's work is one commit of main, whose files follow.
  await go(page, first);
  await committed(page, "Measure the steps");
  await page.getByRole("button", { name: "Squash 1 commit onto main" }).click();
  await page.locator(".land-done", { hasText: "Landed on main" }).waitFor();
  await shot("landed");
  assert.equal(read(project, "src/code.rs"), FINAL);
  assert.equal(git(project, "rev-list", "--count", "main"), "2");
  await page.keyboard.press("Escape");

  // The second one's is refused, with the conflict, which its agent is asked to resolve.
  await go(page, second);
  await committed(page, "Guess the step");
  await page.locator('.land-summary .land-paths:has-text("src/code.rs")').waitFor();
  assert.equal(await page.locator('[data-name="land"]').isDisabled(), true);
  await accessible(page);
  await page.getByRole("button", { name: "Merge 1 commit of main" }).click();
  await page.locator('.conflicts:has-text("src/code.rs")').waitFor();
  await shot("conflict");
  assert.equal(git(second.project_path, "status", "--porcelain"), "");
  model.answer({ tool: "Bash", input: { command: "git merge -q -X ours -m Resolve main", description: "Merge main" } }, { text: "It is **resolved**." });
  await page.getByRole("button", { name: "Ask the agent to resolve" }).click();
  await allowed(page, "git merge");
  await page.waitForSelector('.item-assistant strong:has-text("resolved")');
  await act(page, "Land the work");
  await page.getByRole("button", { name: "Squash 2 commits onto main" }).click();
  await page.locator(".land-done", { hasText: "Landed on main" }).waitFor();
  assert.equal(read(project, "src/code.rs"), RESOLVED);
  assert.deepEqual(git(project, "log", "--format=%an", "main").split("\n"), ["Ada", "Ada", "n"]);
  assert.equal(git(project, "status", "--porcelain"), "");
  await finish(page, server);
}

/** A repository that can't be worked in without a setup, and the operator's file about it. */
function repository(name) {
  const folder = server.folder(name);
  git(folder, "init", "-q");
  mkdirSync(join(folder, "src"));
  write(folder, "src/code.rs", CODE);
  write(folder, ".gitignore", ".env.local\nbuilt/\n");
  write(folder, ".worktreeinclude", ".env.local\n");
  git(folder, "add", ".");
  git(folder, "commit", "-q", "-m", "Begin");
  write(folder, ".env.local", "KEY=1\n");
  writeFileSync(join(server.folder("data/project-files"), `${name}.json`), JSON.stringify({ path: folder, setup: [SETUP] }));
  return folder;
}

/** A worker in a new worktree, made by the form, once it is set up. */
async function created(page, project, name) {
  await page.goto(`${server.url}/#/`);
  await page.getByRole("button", { name: "New worker" }).first().click();
  await page.locator('dialog .cli:has-text("Claude Code")').waitFor();
  await page.getByLabel("Project folder").fill(project);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByText("More options").click();
  await page.getByLabel("Work in a new git worktree of the project").check();
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.waitForSelector(`h1:has-text("${name}")`);
  await page.locator(".conversation", { hasText: "The worktree is set up" }).waitFor();
  const { workers } = await server.api("GET", "/api/workers");
  const made = await server.until(workers.find((worker) => worker.name === name), "idle");
  assert.ok(existsSync(made.project_path) && made.project_path !== project);
  return made;
}

async function go(page, worker) {
  await page.goto(`${server.url}/#/w/${worker.id}`);
  await page.waitForSelector(`h1:has-text("${worker.name}")`);
}

async function told(page, view, text) {
  const composer = page.locator(".composer-box > textarea");
  await composer.fill(text);
  // Where fingers type, Enter alone is a new line.
  await composer.press(view === PHONE ? "Control+Enter" : "Enter");
}

const reads = ({ project_path: tree }) => ({ tool: "Read", input: { file_path: join(tree, "src/code.rs") } });
const edits = ({ project_path: tree }, from, to) => ({ tool: "Edit", input: { file_path: join(tree, "src/code.rs"), old_string: from, new_string: to } });

/** Allows what has this text. */
async function allowed(page, text) {
  const card = page.locator(".conversation .prompt-card", { hasText: text });
  await card.waitFor();
  await card.getByRole("button", { name: "Allow once" }).click();
  await card.waitFor({ state: "detached" });
}

/** Opens the dialog of landing, and commits all. */
async function committed(page, message) {
  await act(page, "Land the work");
  await page.getByLabel("Message of the commit").fill(message);
  await page.getByRole("button", { name: /^Commit 1 file/ }).click();
  await page.locator(".land-done", { hasText: "1 file committed." }).waitFor();
}
