// The story from nothing to a notification on the real Claude Code, on a desk and on a phone, by keys alone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Model } from "./model.mjs";
import { PushService, until } from "./push-service.mjs";
import { serviceWorker } from "./service-worker.mjs";
import { CLAUDE, closeBrowser, closePages, DESK, eventually, finish, open, PHONE, repeat, Server, SHOTS } from "./support.mjs";

const BEFORE = "[plot]\nwidth = 640\ncolour = red\n";
const AFTER = "[plot]\nwidth = 640\ncolour = blue\n";
const PLAN = "# Recolour the plot\n\n1. Read `plot.ini`\n2. Set the **colour** to blue\n";
// More than the keys of any view have stops.
const TABS_MAX = 80;
// A picture is found again in the request by its size, since the page may encode it anew.
const SIDE = 24;

let model;
let service;
before(async () => {
  [model, service] = await Promise.all([Model.start(), PushService.start()]);
});
after(async () => {
  await closeBrowser();
  await Promise.all([model.close(), service.close()]);
});

/** A server on whose PATH there is git, and no CLI. */
async function bare() {
  const server = new Server();
  await server.begin({
    CLAUDE_BINARY: "claude", CODEX_BINARY: "/nowhere/codex", GEMINI_BINARY: "/nowhere/gemini", PATH: "/usr/bin:/bin",
    ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: "sk-ant-fake-0123456789abcdef", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_TELEMETRY: "1", CLAUDE_CODE_MAX_RETRIES: "1", STOP_GRACE_SECS: "2", PUSH_ALLOW_PRIVATE: "true",
  });
  const programs = server.folder("bin");
  await server.down();
  server.env.PATH = `${programs}:/usr/bin:/bin`;
  await server.again();
  return { server, programs };
}

function git(folder, ...args) {
  execFileSync("git", ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", ...args], { cwd: folder });
}

/** Presses a key until an element has the focus. */
async function reach(page, wanted, key = "Tab") {
  await wanted.first().waitFor();
  for (let count = 0; count < TABS_MAX; count += 1) {
    const has = await wanted.evaluateAll((all) => all.some((el) => el === document.activeElement));
    if (has) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${wanted} is not reached by ${key}: the focus is at ${await page.evaluate(() => document.activeElement.outerHTML.slice(0, 200))}`);
}

async function press(page, wanted, key = "Enter") {
  await reach(page, wanted);
  await page.keyboard.press(key);
}

const button = (page, name, within = page) => within.getByRole("button", { name });
const hide = (page, hidden) =>
  page.evaluate((is) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (is ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

/** The page with the stand-in for the browser's push service, and no pointer at all. */
function opened(server, view, receiver) {
  const options = { ...view, serviceWorkers: "allow", permissions: ["notifications", "clipboard-read", "clipboard-write"] };
  return open(server, "#/", options, (page) =>
    page.addInitScript((subscription) => {
      const kept = "test.subscribed";
      const made = () => ({ options: {}, toJSON: () => subscription, unsubscribe: async () => localStorage.removeItem(kept) });
      PushManager.prototype.subscribe = async () => {
        localStorage.setItem(kept, "yes");
        return made();
      };
      PushManager.prototype.getSubscription = async () => (localStorage.getItem(kept) ? made() : null);
      for (const type of ["pointerdown", "touchstart"]) addEventListener(type, ({ isTrusted }) => { globalThis.pointed = isTrusted; }, true);
    }, receiver.subscription));
}

/** Puts a picture into the clipboard, as a screenshot tool does. */
const copyPicture = (page) =>
  page.evaluate(async (side) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
    const context = canvas.getContext("2d");
    context.fillStyle = "#c00";
    context.fillRect(0, 0, side, side);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
  }, SIDE);

/** What the browser shows of a push, after it was delivered to the service worker. */
async function notified(page, server, message) {
  const { deliver, notes } = await serviceWorker(page, server);
  await deliver(message);
  return until("the notification", async () => {
    const shown = await notes();
    return shown.length ? shown : null;
  });
}

for (const [device, view] of Object.entries({ desk: DESK, phone: PHONE })) {
  test(`keys alone lead to a notification on a ${device}`, async () => {
    const { server, programs } = await bare();
    try {
      await story(server, programs, device, view);
    } finally {
      // Before its workers are gone, for the picture.
      await closePages(device);
      await server.close();
    }
  });
}

async function story(server, programs, device, view) {
  const project = server.folder("plots");
  const settings = join(project, "plot.ini");
  writeFileSync(settings, BEFORE);
  git(project, "init", "-q", "-b", "main");
  git(project, "add", ".");
  git(project, "commit", "-q", "-m", "Begin");
  const receiver = service.receiver(device);
  const page = await opened(server, view, receiver);
  const shot = (name) => page.screenshot({ path: join(SHOTS, `closing-${device}-${name}.png`) });

  // There is no CLI: the doctor has the command, and finds what it installs.
  const row = page.locator('.doctor-row:has-text("Claude Code")');
  await row.filter({ hasText: "Not installed" }).waitFor();
  await press(page, button(page, "Copy the command for Claude Code"));
  await eventually(page, () => navigator.clipboard.readText().then((text) => text === "npm install -g @anthropic-ai/claude-code"));
  await shot("doctor");
  symlinkSync(CLAUDE, join(programs, "claude"));
  // An answer is good for a second, and nobody installs a CLI faster.
  const found = row.filter({ hasText: /\d+\.\d+\.\d+/ });
  await repeat(page, async () => !(await found.count()), () => press(page, button(page, "Check again")), 500);

  // This device is notified.
  await press(page, button(page, "Notifications"));
  await press(page, page.getByRole("switch", { name: "Notify this device" }), "Space");
  await page.locator('.devices li:has-text("(this device)")').waitFor();
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });

  // A worker that makes a plan first.
  await page.keyboard.press("n");
  const dialog = page.locator("dialog");
  await dialog.locator('.cli:has-text("Claude Code")').waitFor();
  await reach(page, dialog.getByLabel("Project folder"));
  await page.keyboard.type(project);
  await press(page, dialog.getByText("More options"));
  await reach(page, dialog.getByLabel("Permission mode"));
  await page.keyboard.type("Plan");
  await eventually(page, () => document.querySelector("dialog select[name=permission_mode]").value === "plan");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector('h1:has-text("plots")');

  // A picture is pasted, and reaches the model.
  // Where fingers type, Enter alone is a new line.
  const send = view === PHONE ? "Control+Enter" : "Enter";
  const composer = page.locator(".composer-box > textarea");
  await copyPicture(page);
  await reach(page, composer);
  await page.keyboard.press("Control+v");
  await page.waitForSelector(".composer .attachment img, .composer img");
  await page.keyboard.type("The plot looks like this. Make it blue.");
  await shot("picture");
  // It writes the plan into the file that the CLI has named, and asks for approval.
  model.answer((asked) => ({ tool: "Write", input: { file_path: /[^\s"'`]+\/\.claude\/plans\/[^\s"'`\\]+\.md/.exec(asked)[0], content: PLAN } }), { tool: "ExitPlanMode", input: {} });
  await page.keyboard.press(send);
  const card = page.locator(".conversation .prompt-card");
  await card.filter({ hasText: "Plan ready" }).waitFor();
  await card.locator("strong", { hasText: "colour" }).waitFor();
  const pictures = model.pictures();
  assert.equal(pictures.length, 1, "one picture reached the model");
  const [type, data] = pictures[0].split(",");
  assert.match(type, /^image\//);
  const size = await page.evaluate(async (url) => {
    const picture = Object.assign(new Image(), { src: url });
    await picture.decode();
    return [picture.naturalWidth, picture.naturalHeight];
  }, `data:${type};base64,${data}`);
  assert.deepEqual(size, [SIDE, SIDE]);
  await shot("plan");

  // The plan is approved by its button, for which no single key may do; the edit is allowed by the key on its card.
  model.answer({ tool: "Read", input: { file_path: settings } }, { tool: "Edit", input: { file_path: settings, old_string: "colour = red", new_string: "colour = blue" } });
  await press(page, button(page, "Approve the plan", card).first());
  await card.locator('.row.added:has-text("colour = blue")').waitFor();
  assert.equal(readFileSync(settings, "utf8"), BEFORE);
  await shot("edit");
  model.answer({ text: "The plot is **blue** now." });
  await key(page, card, "blue", /allow/i);
  await page.waitForSelector('.item-assistant strong:has-text("blue")');
  await page.waitForSelector(".item-turn");
  assert.equal(readFileSync(settings, "utf8"), AFTER);

  // The diff is read.
  await leaveComposer(page);
  await page.keyboard.press("p");
  await page.waitForSelector('.panel .row.removed:has-text("colour = red")');
  await page.waitForSelector('.panel .row.added:has-text("colour = blue")');
  await reach(page, page.locator(".panel .file, .panel .file *"));
  await shot("diff");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".panel", { state: "hidden" });

  // The server is killed in the middle of an answer, and comes back.
  await reach(page, composer, "Shift+Tab");
  model.answer({ text: `It begins. ${"More of it. ".repeat(60)}It ends.`, holdAfter: 30 });
  await page.keyboard.type("Describe it.");
  await page.keyboard.press(send);
  await page.waitForSelector('.item-assistant.live:has-text("It begins.")');
  await server.down("SIGKILL");
  await page.waitForSelector(".banner:visible");
  await shot("killed");
  model.release();
  await server.again();
  await page.waitForSelector(".banner", { state: "hidden" });
  await page.waitForSelector('.item-assistant:not(.live):has-text("It ends.")');
  assert.equal(await page.locator('.item-assistant:has-text("It begins.")').count(), 1);

  // The agent asks while nobody looks: a push, whose message a browser shows.
  const before = service.of(receiver).length;
  model.answer({ tool: "Bash", input: { command: "touch made-by-agent", description: "Make a file" } }, { text: "It is there." });
  await page.keyboard.type("Make a file.");
  await hide(page, true);
  await page.keyboard.press(send);
  const sent = await until("a push for the prompt", () => service.messages(receiver).slice(before).find(({ kind }) => kind === "permission"));
  assert.equal(sent.name, "plots");
  const [note] = await notified(page, server, sent);
  assert.deepEqual([note.title, note.body], ["plots", "wants your permission"]);
  await hide(page, false);
  await key(page, card, "touch made-by-agent", /allow/i);
  await page.waitForSelector('.item-assistant:has-text("It is there.")');
  assert.equal(execFileSync("ls", [project], { encoding: "utf8" }), "made-by-agent\nplot.ini\n");
  assert.equal(await page.evaluate(() => globalThis.pointed), undefined, "no pointer was used");
  await finish(page, server);
}

/** Answers the card that has this text by the key that is printed on its button. */
async function key(page, card, text, label) {
  const asked = card.filter({ hasText: text });
  await asked.waitFor();
  const choice = asked.locator("button[aria-keyshortcuts]").filter({ hasText: label }).first();
  const shortcut = await choice.getAttribute("aria-keyshortcuts");
  await leaveComposer(page);
  // A card that has just appeared takes no key yet.
  await until(`an answer by ${shortcut}`, async () => {
    await page.keyboard.press(shortcut);
    return asked.waitFor({ state: "detached", timeout: 1500 }).then(() => true, () => false);
  });
}

/** Keys are text in the composer: Escape leaves it once it is not at work, Shift+Tab always. */
async function leaveComposer(page) {
  while (await page.evaluate(() => document.activeElement.matches("textarea"))) await page.keyboard.press("Shift+Tab");
}
