// Every request of the page fails once: the failure is said, what was wanted is kept, and it can be tried again.

import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { api } from "../../static/js/lib/api.js";
import { failOnce, REFUSED, said, tryAgain, testRequests } from "./failing.mjs";
import { at, eventually, FAKE_CLI, finish, open, say, serverOfAllTests } from "./support.mjs";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

// An agent of the Agent Client Protocol, for forms and options.
const server = serverOfAllTests(async (running) => {
  const program = join(running.folder("bin"), "my-agent");
  writeFileSync(program, `#!/bin/sh\n[ "$1" = --acp ] && exec '${FAKE_CLI}' acp\n`);
  chmodSync(program, 0o755);
  writeFileSync(join(running.folder("adapters"), "my-agent.json"), JSON.stringify({ name: "My agent", family: "acp", command: [program, "--acp"] }));
  await running.down();
  await running.again();
});

let made = 0;
const newWorker = () => server.worker(`f${(made += 1)}`);
const told = (...messages) => server.told(`f${(made += 1)}`, ...messages);
const acp = async () => server.until(await server.api("POST", "/api/workers", { name: `f${(made += 1)}`, project_path: server.project, ai_cli_type: "my-agent" }), "idle");

const go = (page, worker) => page.goto(`${server.url}/${at(worker)}`);
const ready = async (page, worker) => {
  await go(page, worker);
  await page.waitForSelector(".composer-box > textarea:focus");
  await page.waitForSelector('.scroller[aria-busy="false"]');
};
const opened = async (page, make = newWorker) => {
  const worker = await make();
  await ready(page, worker);
  return worker;
};
const menu = async (page, name) => {
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name }).click();
};
const queued = async (page) => {
  const worker = await opened(page);
  await say(page, "hang");
  await page.waitForSelector(".interrupt:visible");
  await say(page, "echo later");
  await page.waitForSelector('.queue li:has-text("queued")');
  return worker;
};
const form = async (page) => {
  await page.goto(`${server.url}/#/`);
  await page.waitForSelector(".brand");
  await page.getByRole("button", { name: "New worker" }).first().click();
  await page.waitForSelector("form.create");
};
const panel = (tab) => async (page) => {
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  if (tab) await page.getByRole("tab", { name: tab }).click();
};
const gone = (selector) => (page) => page.waitForSelector(selector, { state: "detached" });
const seen = (selector) => (page) => page.waitForSelector(selector);
const asking = async () => {
  const worker = await newWorker();
  await server.message(worker, 'permission Bash {"command":"true"}');
  return server.until(worker, "waiting");
};

/**
 * Each kind of request of `lib/api.js`: method and path; where the page is before it (which gives the worker); what makes
 * the request; what proves that the second try has worked; and what tries again, where that is not a button "Try again".
 */
const REQUESTS = {
  permissions: [/^GET .*\/api\/permissions$/, asking, (page) => page.goto(`${server.url}/#/`), seen(".inbox-link:visible")],
  history: [/^GET .*\/messages\?types=all/, () => told("echo quince"), go, seen('.item-assistant:has-text("quince")')],
  sessionFacts: [/^GET .*types=session/, (page) => opened(page, () => told("lines 300")), (page) => page.keyboard.type("/"), seen(".completion li:visible"), (page) => page.keyboard.type("com")],
  resultBlocks: [/^GET .*types=tool_result/, fetched, (page) => page.locator(".item-tool summary").first().click(), seen('.item-tool .card strong:has-text("bold")')],
  queue: [/^GET .*\/queue$/, newWorker, ready, gone(".trouble")],
  options: [/^GET .*\/options$/, newWorker, ready, gone(".trouble")],
  message: [/^POST .*\/messages$/, opened, picture, seen(".item-user .attachments")],
  editQueued: [/^PATCH .*\/queue\//, queued, async (page) => {
    await page.getByRole("button", { name: "Edit" }).click();
    await page.keyboard.type(" on");
    await page.keyboard.press("Enter");
  }, seen('.queue li:has-text("echo later on")')],
  removeQueued: [/^DELETE .*\/queue\//, queued, (page) => page.getByRole("button", { name: "Remove from the queue" }).click(), gone(".queue li")],
  act: [/^POST .*\/stop$/, opened, (page) => menu(page, "Stop"), seen(".head-status .status-stopped")],
  change: [/^PATCH .*\/api\/workers\/[^/]+$/, opened, async (page) => {
    await menu(page, "Rename");
    await page.locator("dialog input").fill("renamed after all");
    await page.keyboard.press("Enter");
  }, seen('h1:has-text("renamed after all")'), (page) => page.getByRole("button", { name: "Save" }).click()],
  remove: [/^DELETE .*\/api\/workers\/[^/]+$/, opened, async (page) => {
    await menu(page, "Delete");
    await page.getByRole("button", { name: /^Delete f/ }).click();
  }, (page) => page.waitForFunction(() => location.hash === "#/")],
  create: [/^POST .*\/api\/workers$/, form, async (page) => {
    await page.waitForSelector(".cli");
    await page.getByLabel("Project folder").fill(server.folder(`made${(made += 1)}`));
    await page.keyboard.press("Enter");
  }, (page) => page.waitForSelector(`h1:has-text("made${made}")`), (page) => page.getByRole("button", { name: "Create", exact: true }).click()],
  clis: [/^GET .*\/api\/ai-clis$/, newWorker, form, seen(".cli"), (page) => page.getByRole("button", { name: "Check again" }).click()],
  sessions: [/^GET .*\/api\/sessions$/, async () => null, async (page) => {
    await form(page);
    await page.getByText("More options").click();
  }, gone(".trouble")],
  paths: [/^GET .*\/api\/paths/, form, (page) => page.getByLabel("Project folder").pressSequentially(server.dir), (page) => page.waitForSelector('datalist option[value^="/"]', { state: "attached" }), (page) => page.keyboard.type("/")],
  files: [/^GET .*\/files\?/, async (page) => {
    const worker = await opened(page);
    writeFileSync(join(server.folder(worker.name), "harvest.rs"), "");
    return worker;
  }, (page) => page.keyboard.type("@harv"), seen('.completion li:has-text("harvest.rs")'), (page) => page.keyboard.type("e")],
  worker: [/^GET .*\/api\/workers\/[^/]+$/, opened, panel("Process"), seen('.panel dt:has-text("Process")')],
  search: [/^GET .*\/api\/search/, () => told("echo medlar"), async (page) => {
    await page.goto(`${server.url}/#/`);
    await page.waitForSelector(".workers a");
    await page.keyboard.press("s");
    await page.getByRole("searchbox", { name: "Words" }).fill("medlar");
  }, seen('.found mark:has-text("medlar")')],
  usage: [/^GET .*\/api\/usage/, newWorker, (page) => page.goto(`${server.url}/#/`), (page) => page.getByRole("link", { name: "Download as CSV" }).waitFor()],
  logins: [/^GET .*\/api\/logins$/, async () => null, async (page) => {
    await page.goto(`${server.url}/#/`);
    await page.getByRole("button", { name: "Settings" }).click();
  }, (page) => page.getByRole("button", { name: "Logins…" }).waitFor()],
  push: [/^GET .*\/api\/push$/, async () => null, async (page) => {
    await page.goto(`${server.url}/#/`);
    await page.getByRole("button", { name: /^Notifications/ }).first().click();
  }, (page) => page.getByRole("switch", { name: "Notify this device" }).waitFor()],
};
// Beside these: requests of a server that asks for a login have a test of their own (loginfailures.test.mjs). `workers` only finds out
// whether a login is needed, after a lost connection, of which the banner speaks. `health` adds the version to a line.
// An export is a download of the browser's, which says itself what becomes of it. `linkFailed` is not a request.
// Of `planBlocks` and `wholeText`, the text itself is on the page; both lines have a button, as `resultBlocks` has.
// The other requests of Web Push fail in the same dialog, in the same way, and their effects have tests of their own. The
// addresses of pictures and files are not requests, and without `fileText` an edit is shown without line numbers.
const ELSEWHERE = ["subscribePush", "removePush", "testPush", "imageUrl", "fileUrl", "fileText", "planBlocks", "wholeText", "login", "loginByCode", "endLogin", "endOtherLogins", "logout", "workers", "health", "exportUrl", "linkFailed"];

/** A conversation with the page that a tool has fetched. */
async function fetched(page) {
  const worker = await newWorker();
  const line = (type, content) => `${JSON.stringify({ type, session_id: "s", parent_tool_use_id: null, message: { id: `msg_${type}`, role: type, content } })}\n`;
  const file = join(server.dir, "fetched.jsonl");
  writeFileSync(file, line("assistant", [{ type: "tool_use", id: "toolu_page", name: "WebFetch", input: { url: "https://example.com/" } }]) + line("user", [{ type: "tool_result", tool_use_id: "toolu_page", content: "It is a **bold** page.", is_error: false }]));
  await server.message(worker, `play ${file} 1`);
  await ready(page, worker);
  await page.waitForSelector(".item-tool.is-done");
  return worker;
}

async function picture(page) {
  await page.evaluate((data) => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], "dot.png", { type: "image/png" }));
    document.querySelector(".composer-box > textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true }));
  }, PIXEL);
  await page.waitForSelector(".thumbs img");
  await say(page, "echo with a picture");
}

testRequests(server, "the page", REQUESTS, Object.keys(api).filter((name) => !ELSEWHERE.includes(name)));

for (const name of ["history", "message", "act", "search"]) {
  test(`an unsent request is reported and kept for a retry: ${name}`, async () => {
    const [pattern, begin, act, check] = REQUESTS[name];
    const page = await open(server, "health");
    const worker = await begin(page);
    const failed = await failOnce(page, pattern, (route) => route.abort());
    await act(page, worker);
    await said(page, "The server cannot be reached.");
    assert.equal(failed.count, 1);
    await tryAgain(page);
    await check(page, worker);
    await finish(page, server);
  });
}

test("a failed older page does not count as the beginning", async () => {
  const worker = await told("lines 600");
  const page = await open(server, at(worker));
  await page.waitForSelector('.item-assistant:has-text("600 lines")');
  const failed = await failOnce(page, /before=/, (route) => route.abort());
  const toTop = () => page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
  for (let tries = 0; tries < 100 && !failed.count; tries += 1) {
    await toTop();
    await page.waitForTimeout(50);
  }
  await toTop();
  await said(page, "Earlier messages could not be loaded");
  assert.equal(await page.getByText("Beginning of the conversation").count(), 0);
  await tryAgain(page);
  for (let tries = 0; tries < 200 && !(await page.getByText("Beginning of the conversation").count()); tries += 1) {
    await toTop();
    await page.waitForTimeout(50);
  }
  await page.locator(".item-assistant .markdown").filter({ hasText: /^line 1$/ }).waitFor();
  await finish(page, server);
});

test("a link to an early message survives a failed page", async () => {
  const worker = await told("lines 600");
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?since=0&limit=20`);
  const early = messages.find((event) => event.content === "line 3");
  const page = await open(server);
  await failOnce(page, /before=/);
  await page.goto(`${server.url}/${at(worker)}/m/${early.seq}`);
  await said(page);
  await page.evaluate(() => document.querySelector(".scroller").scrollTo(0, 0));
  await tryAgain(page);
  await page.waitForSelector('.item.target:has-text("line 3")');
  await finish(page, server);
});

/** Commands of the WebSocket: type, where the page is, what sends it, what proves that the second try has worked. */
const COMMANDS = {
  subscribe: [newWorker, ready, async (page, worker) => {
    await server.message(worker, "echo live");
    await page.waitForSelector('.item-assistant:has-text("live")');
  }],
  message: [opened, (page) => say(page, "echo damson"), seen('.item-assistant:has-text("damson")')],
  interrupt: [async (page) => {
    const worker = await opened(page);
    await say(page, "hang");
    return worker;
  }, (page) => page.getByRole("button", { name: "Interrupt" }).click(), seen('.turn:has-text("Interrupted")')],
  permission: [async (page) => {
    const worker = await asking();
    await go(page, worker);
    await page.waitForSelector(".prompt-card");
    return worker;
  }, (page) => page.getByRole("button", { name: "Allow once" }).click(), seen('.resolved:has-text("Allowed")'), (page) => page.getByRole("button", { name: "Allow once" }).click()],
  answer: [async (page) => {
    const worker = await opened(page, acp);
    await say(page, "form");
    await page.locator("form.question").getByText("Who are you?").waitFor();
    await page.locator("form.question").getByLabel("Blue").check();
    await page.locator("form.question").locator("input[type=text]").fill("Ada");
    return worker;
  }, (page) => page.getByRole("button", { name: "Answer" }).click(), seen('.resolved:has-text("Answered")'), (page) => page.getByRole("button", { name: "Answer" }).click()],
  set_permission_mode: [opened, (page) => page.getByLabel("Permission mode").selectOption("plan"), (page, worker) => untilFact(worker, "permission_mode", "plan")],
  set_model: [opened, async (page) => {
    await page.locator('.composer select[title="Model"]').selectOption({ index: 1 });
  }, gone(".trouble")],
  set_option: [(page) => opened(page, acp), (page) => page.getByLabel("Fast").click(), gone(".trouble")],
};

async function untilFact(worker, fact, value) {
  for (let tries = 0; tries < 400; tries += 1) {
    if ((await server.api("GET", `/api/workers/${worker.id}`))[fact] === value) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail(`${fact} is not ${value}`);
}

for (const [type, [begin, act, check, again = tryAgain]] of Object.entries(COMMANDS)) {
  test(`a failed command is reported and kept for a retry: ${type}`, async () => {
    const state = { armed: false, failed: 0 };
    const page = await open(server, "health", undefined, (made) => made.routeWebSocket(/\/ws$/, (socket) => {
      const upstream = socket.connectToServer();
      socket.onMessage((text) => {
        const frame = JSON.parse(text);
        if (!state.armed || frame.type !== type) return upstream.send(text);
        state.armed = false;
        state.failed += 1;
        return socket.send(JSON.stringify({ type: "error", ref: frame.ref, worker_id: frame.worker_id, content: REFUSED, code: "unavailable" }));
      });
    }));
    const worker = await begin(page);
    state.armed = true;
    await act(page, worker);
    await said(page);
    assert.equal(state.failed, 1);
    await again(page);
    await check(page, worker);
    await eventually(page, (text) => !document.body.innerText.includes(text), REFUSED);
    await finish(page, server);
  });
}

test("a failed part of the page can be tried again", async () => {
  const page = await open(server);
  await page.waitForSelector(".brand");
  await page.waitForLoadState("networkidle");
  await failOnce(page, /\/views\/search\.js/, (route) => route.abort());
  await page.keyboard.press("s");
  await said(page, "The search could not be opened");
  await tryAgain(page);
  await page.getByRole("searchbox", { name: "Words" }).waitFor();
  await finish(page, server);
});

test("failing changes and colours leave the conversation readable", async () => {
  const line = (type, blocks) => `${JSON.stringify({ type, session_id: "s", parent_tool_use_id: null, message: { id: `m${type}`, role: type, content: blocks } })}\n`;
  const file = join(server.dir, "edited.jsonl");
  const input = { file_path: "a.rs", old_string: "let a = 1;", new_string: "let a = 2;" };
  writeFileSync(file, line("assistant", [{ type: "text", text: "```rust\nfn main() {}\n```" }, { type: "tool_use", id: "e1", name: "Edit", input }]) + line("user", [{ type: "tool_result", tool_use_id: "e1", content: "done" }]) + `${JSON.stringify({ type: "result", subtype: "success", session_id: "s", result: "" })}\n`);
  const worker = await told(`play ${file} 1`);
  let isDown = true;
  const page = await open(server, at(worker), undefined, (made) => made.route(/\/(edits|highlight|joined\/cards)\.js/, (route) => (isDown ? route.abort() : route.continue())));
  await said(page, "The changes could not be shown");
  assert.equal(await page.locator(".code-block code").innerText(), "fn main() {}");
  isDown = false;
  await tryAgain(page);
  await page.waitForSelector('.item-tool .row.added:has-text("let a = 2;")');
  await page.waitForSelector(".item-tool .t-keyword");
  await page.waitForSelector(".code-block .t-keyword");
  await finish(page, server);
});
