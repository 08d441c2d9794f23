// States that a worker comes into by itself: it sleeps, it is followed, it has a plan, it is at a limit, it calls for
// somebody who looks elsewhere.

import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, CAPTURES, DEADLINE_MS, DESK, eventually, finish, open, PHONE, repeat, say, Server, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

const SESSION = "0a1b2c3d-0000-4000-8000-0000000000a1";

/** A line of a session's file, as Claude Code writes it. */
const written = (uuid, role, text) => {
  const message = { user: { role, content: text }, assistant: { id: `msg_${uuid}`, role, model: "m", content: [{ type: "text", text }], stop_reason: "end_turn" } }[role];
  return `${JSON.stringify({ type: role, uuid, isSidechain: false, sessionId: SESSION, timestamp: "2026-01-10T12:00:00.000Z", cwd: "/project", message })}\n`;
};

/** A line that Claude Code prints. */
const printed = (value) => `raw ${JSON.stringify({ session_id: SESSION, parent_tool_use_id: null, ...value })}`;

test("an idle worker sleeps, says so, and wakes on messages", async () => {
  const own = await Server.start({ IDLE_STOP_SECS: "1" });
  const page = await open(own, "#/");
  try {
    const worker = await own.api("POST", "/api/workers", { name: "dozer", project_path: own.folder("dozer"), ai_cli_type: "claude" });
    await page.waitForSelector('.workers li:has-text("dozer") .status-asleep:has-text("asleep")');
    await page.locator('.home-asleep:text-is("1 worker asleep. A message wakes each.")').waitFor({ state: "attached" });
    await page.locator('.workers a:has-text("dozer")').click();
    await page.waitForSelector('.worker-note[data-level="info"]:has-text("a message starts it again")');
    await page.waitForSelector(".head-status .status-asleep");
    await say(page, "echo awake again");
    await page.waitForSelector('.item-assistant:has-text("awake again")');
    await page.waitForSelector('.item-turn:has-text("Done")');
    assert.equal((await own.api("GET", `/api/workers/${worker.id}`)).turns, 1);
    assert.deepEqual(page.problems, []);
  } finally {
    await page.context().close();
    await own.close();
  }
});

test("a session from elsewhere is followed and taken over", async () => {
  const folder = join(server.dir, ".claude/projects/-project");
  const file = join(folder, `${SESSION}.jsonl`);
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(server.dir, ".fake_cli"), { recursive: true });
  writeFileSync(join(server.dir, ".fake_cli", SESSION), "");
  writeFileSync(file, written("p1", "user", "What is one and one?") + written("a1", "assistant", "It is **two**."));
  const worker = await server.api("POST", "/api/workers", { name: "followed", project_path: server.project, ai_cli_type: "claude", follow_session: SESSION });
  const page = await open(server, at(worker));
  await page.waitForSelector('.item-assistant strong:has-text("two")');
  await page.waitForSelector("text=followed here, read-only");
  assert.equal(await page.locator(".composer-box").isVisible(), false, "there is nothing to write in");
  appendFileSync(file, written("p2", "user", "And two?") + written("a2", "assistant", "It is four."));
  await page.waitForSelector('.item-assistant:has-text("It is four.")');
  // What has just been written is in use: it is asked whether to take it all the same. It stays so, however slow this is.
  const later = new Date(Date.now() + 2 * DEADLINE_MS);
  utimesSync(file, later, later);
  await page.getByRole("button", { name: "Take over" }).click();
  await page.getByRole("dialog").getByText(/written/).waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Take over anyway" }).click();
  await page.waitForSelector(".composer-box:visible");
  await server.until(worker, "idle");
  await say(page, "echo mine now");
  await page.waitForSelector('.item-assistant:has-text("mine now")');
  assert.equal((await server.api("GET", `/api/workers/${worker.id}`)).read_only, false);
  await finish(page, server);
});

test("a plan is a checklist ticked off in place", async () => {
  const worker = await server.worker("planner");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const todos = (id, ...states) => [
    printed({ type: "assistant", message: { id: `msg_${id}`, role: "assistant", content: [{ type: "tool_use", id, name: "TodoWrite", input: { todos: ["Dig", "Sow", "Water"].map((content, n) => ({ content, status: states[n], activeForm: content })) } }] } }).slice("raw ".length),
    printed({ type: "user", message: { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: "ok" }] } }).slice("raw ".length),
  ];
  const dug = join(server.dir, "dug");
  const lines = [...todos("t1", "in_progress", "pending", "pending"), `#wait ${dug}`, ...todos("t2", "completed", "in_progress", "pending")];
  const file = join(server.dir, "plan.jsonl");
  writeFileSync(file, `${lines.join("\n")}\n`);
  await server.message(worker, `play ${file}`);
  await page.waitForSelector('.item-plan:has-text("0 of 3 done") li.in_progress:has-text("Dig") [aria-label="in progress"]');
  writeFileSync(dug, "");
  await page.waitForSelector('.item-plan:has-text("1 of 3 done") li.completed:has-text("Dig") [aria-label="done"]');
  await page.waitForSelector('.item-plan li.in_progress:has-text("Sow")');
  assert.equal(await page.locator(".item-plan").count(), 1);
  await finish(page, server);
});

test("a usage limit is shown with its end", async () => {
  const worker = await server.worker("rationed");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const resets = Math.floor(Date.now() / 1000) + 7200;
  await server.message(worker, printed({ type: "rate_limit_event", uuid: "r1", rate_limit_info: { status: "allowed_warning", resetsAt: resets, rateLimitType: "five_hour" } }));
  await page.waitForSelector('.item-notice.warning:has-text("The usage limit is near. It starts anew at ")');
  await page.waitForSelector('.worker-note[data-level="info"]:has-text("The usage limit is near")');
  await server.message(worker, printed({ type: "rate_limit_event", uuid: "r2", rate_limit_info: { status: "rejected", resetsAt: resets, rateLimitType: "five_hour" } }));
  await page.waitForSelector('.item-notice.error:has-text("The usage limit is reached. It starts anew at ")');
  await finish(page, server);
});

test("prompts stay within a phone whatever their length", async () => {
  const worker = await server.worker("narrow");
  await server.message(worker, `play ${join(CAPTURES, "tool_allowed.journal")}`);
  for (const hash of [at(worker), "#/inbox"]) {
    const page = await open(server, hash, PHONE);
    await page.waitForSelector('.prompt-card button:has-text("Always allow")');
    const wide = await page.$$eval(".prompt-card button, .prompt-card pre", (all) => all.filter((el) => el.getBoundingClientRect().right > innerWidth).map((el) => el.textContent));
    assert.deepEqual(wide, [], hash);
    await finish(page, server);
  }
});

test("readers elsewhere are notified only if they want it", async () => {
  const worker = await server.worker("caller");
  const page = await open(server, "#/", { ...DESK, permissions: ["notifications"] });
  await page.waitForSelector('.workers a:has-text("caller")');
  assert.equal(await page.evaluate(() => Notification.permission), "granted");
  // The browser's own notifications, each of them noted; and a page that is looked at or is not, as the test says.
  await page.evaluate(() => {
    window.told = [];
    window.looked = false;
    const Real = window.Notification;
    window.Notification = class extends Real {
      constructor(title, options) {
        super(title, options);
        window.told.push({ title, body: options.body, note: this });
        this.addEventListener("close", () => {
          this.gone = true;
        });
      }
    };
    Object.defineProperty(document, "visibilityState", { get: () => (window.looked ? "visible" : "hidden") });
  });
  const told = () => page.evaluate(() => window.told.map(({ title, body }) => `${title}: ${body}`));
  await server.message(worker, "echo unheard");
  await server.turns(worker, 1);
  await page.waitForSelector('.workers li.is-unread:has-text("caller") .status-idle');
  const bell = page.getByRole("button", { name: "Notifications" });
  assert.equal(await bell.getAttribute("aria-pressed"), "false");
  const turn = async () => {
    await bell.click();
    await page.getByRole("switch", { name: "Notify this device" }).click();
    await page.keyboard.press("Escape");
  };
  await turn();
  await page.waitForSelector('.bell[aria-pressed="true"]');
  assert.deepEqual(await told(), [], "nothing is told before it is wanted");

  await server.message(worker, 'permission Bash {"command":"true"}');
  await eventually(page, () => window.told.some(({ title, body }) => title === "caller" && body === "wants to use Bash"));
  const { permissions } = await server.api("GET", "/api/permissions");
  const { request_id: request } = permissions.find((one) => one.worker_id === worker.id);
  await server.api("POST", `/api/workers/${worker.id}/permissions/${request}`, { decision: "allow" });
  await eventually(page, () => window.told.some(({ title, body }) => title === "caller" && body === "Turn ended"));
  const before = (await told()).length;
  await page.evaluate(() => window.told.find(({ body }) => body === "Turn ended").note.dispatchEvent(new Event("click")));
  await page.waitForSelector('h1:has-text("caller")');

  // Who looks at the page is not notified, and a switch that is off is silent.
  await page.evaluate(() => {
    window.looked = true;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await server.message(worker, "echo seen");
  await page.waitForSelector('.item-assistant:has-text("seen")');
  await server.turns(worker, 3);
  await page.waitForSelector(".head-status .status-idle");
  assert.deepEqual((await told()).slice(before), []);
  await turn();
  await page.waitForSelector('.bell[aria-pressed="false"]');
  await finish(page, server);
});

test("a session found on this machine is continued", async () => {
  const id = "5c3e0d4a-0000-4000-8000-00000000cafe";
  const project = server.folder("vineyard");
  const folder = join(server.dir, ".claude/projects/-vineyard");
  mkdirSync(folder, { recursive: true });
  const line = { type: "user", uuid: "u1", sessionId: id, cwd: project, timestamp: "2026-01-01T00:00:00.000Z", message: { role: "user", content: "prune the vines" } };
  writeFileSync(join(folder, `${id}.jsonl`), `${JSON.stringify(line)}\n`);
  // The fake CLI resumes what it remembers; and nobody has written the file just now.
  mkdirSync(join(server.dir, ".fake_cli"), { recursive: true });
  writeFileSync(join(server.dir, ".fake_cli", id), "");
  utimesSync(join(folder, `${id}.jsonl`), new Date("2026-01-01"), new Date("2026-01-01"));
  const page = await open(server);
  await page.waitForSelector(".brand");
  await page.keyboard.press("n");
  await page.waitForSelector("dialog");
  const choice = page.getByLabel("Resume a session");
  await eventually(page, () => [...document.querySelectorAll("dialog option")].some((el) => el.textContent.includes("prune the vines")));
  await page.locator('dialog summary:has-text("More options")').click();
  await choice.selectOption({ value: id });
  await eventually(page, (path) => [...document.querySelectorAll("dialog input")].some((el) => el.value === path), project);
  await page.getByRole("button", { name: "Create", exact: false }).last().click();
  await eventually(page, () => location.hash.startsWith("#/w/"));
  const { workers } = await server.api("GET", "/api/workers");
  const made = workers.find((worker) => worker.project_path === project);
  assert.equal((await server.api("GET", `/api/workers/${made.id}`)).config.resume_session, id);
  await finish(page, server);
});

test("images are pasted, dropped, previewed and sent with the message", async () => {
  const worker = await server.worker("pictures");
  const page = await open(server, at(worker));
  await page.waitForSelector(".composer");
  const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const give = (type, name, media) => page.evaluate(([type, name, media, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const files = new DataTransfer();
    files.items.add(new File([bytes], name, { type: media }));
    const area = document.querySelector(".composer-box textarea");
    const event = type === "paste"
      ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true })
      : new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
    area.dispatchEvent(event);
  }, [type, name, media, pixel]);
  await give("paste", "pasted.png", "image/png");
  await page.waitForSelector('.composer img[alt="pasted.png"]');
  await give("drop", "dropped.png", "image/png");
  await page.waitForSelector('.composer img[alt="dropped.png"]');
  await give("drop", "notes.txt", "text/plain");
  await page.waitForSelector("text=notes.txt: only PNG");
  await page.getByRole("button", { name: "Remove dropped.png" }).click();
  await eventually(page, () => document.querySelectorAll(".composer img").length === 1);
  await page.locator(".composer-box textarea").fill("echo look");
  await page.keyboard.press("Enter");
  await server.turns(worker, 1);
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?types=user`);
  assert.equal(messages[0].attachments.length, 1);
  assert.equal(messages[0].attachments[0].media_type, "image/png");
  await eventually(page, () => !document.querySelector(".composer img"));
  await finish(page, server);
});

test("slash commands of the CLI are completed", async () => {
  const worker = await server.told("commands", "echo ready");
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  const area = page.locator(".composer-box textarea");
  await area.pressSequentially("/com");
  await page.waitForSelector('.completion li:has-text("compact")');
  await page.keyboard.press("Enter");
  assert.equal(await area.inputValue(), "/compact ");
  await finish(page, server);
});

test("usage is a chart by turn beside a resume command", async () => {
  const worker = await server.told("usage", "echo one", "echo two", "echo three");
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  await page.getByRole("tab", { name: "Usage" }).click();
  await eventually(page, () => document.querySelectorAll(".panel .chart rect").length === 3);
  await page.waitForSelector('.panel .chart[role=img][aria-label*="3 turns"]');
  await page.getByRole("tab", { name: "Process" }).click();
  const { session_id } = await server.api("GET", `/api/workers/${worker.id}`);
  await page.waitForSelector(`.panel :text("--resume ${session_id}")`);
  await finish(page, server);
});

test("a sub-agent's work is inside its card, indented", async () => {
  const worker = await server.told("delegates", `play ${join(CAPTURES, "subagent.journal")}`);
  const page = await open(server, at(worker));
  const card = page.locator('.item-agent:has-text("do sub work")');
  await card.locator("summary").first().click();
  await card.locator('.item-tool:has-text("from-sub")').waitFor();
  const left = (selector) => page.locator(selector).first().evaluate((el) => el.getBoundingClientRect().left + parseFloat(getComputedStyle(el).paddingLeft));
  assert.ok((await left(".item-agent .item-tool")) > (await left(".item-agent")));
  assert.equal(await page.locator('.item-notice:has-text("task")').count(), 0);
  await finish(page, server);
});

test("lasting grants are offered and reported in the CLI's words", async () => {
  const worker = await server.worker("allows");
  await server.message(worker, `play ${join(CAPTURES, "tool_allowed.journal")}`);
  const page = await open(server, at(worker));
  await page.getByRole("button", { name: "Always allow Bash(echo hi *)" }).click();
  await page.waitForSelector(".prompt-card", { state: "detached" });
  const { messages } = await server.api("GET", `/api/workers/${worker.id}/messages?types=permission_resolved`);
  assert.equal(messages.at(-1).decision, "allow_always");
  await finish(page, server);
});

test("a permission mode that the CLI refuses is not shown", async () => {
  const worker = await server.told("refuses", "echo ready");
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  await page.getByLabel("Permission mode").selectOption("bypassPermissions");
  await page.getByText(/refused set_permission_mode: Cannot set permission mode/).waitFor();
  await page.waitForFunction(() => document.querySelector('select[aria-label="Permission mode"]').value === "default");
  assert.equal((await server.api("GET", `/api/workers/${worker.id}`)).next_start.permission_mode, null);
  await server.api("POST", `/api/workers/${worker.id}/stop`, {});
  await server.api("PATCH", `/api/workers/${worker.id}`, { permission_mode: "plan" });
  await page.getByText("next start: Plan only").waitFor();
  await finish(page, server);
});

test("the composer changes modes and models, the panel has stderr", async () => {
  const worker = await server.told("settles", "stderr something is odd");
  const page = await open(server, at(worker));
  await page.waitForSelector(".item-turn");
  await page.getByLabel("Permission mode").selectOption("plan");
  await repeat(page, async () => (await server.api("GET", `/api/workers/${worker.id}`)).permission_mode !== "plan", () => {});
  const model = page.locator('.composer select[title="Model"]');
  await model.selectOption({ label: "Other…" });
  await page.locator("dialog input").fill("another-model");
  await page.keyboard.press("Enter");
  // The CLI says with its next turn what it continues with.
  await page.waitForSelector("dialog", { state: "detached" });
  await say(page, "echo with that");
  await page.waitForFunction(() => document.querySelector('.composer select[title="Model"]').value === "another-model");
  await page.locator(".scroller").focus();
  await page.keyboard.press("p");
  await page.getByRole("tab", { name: "stderr" }).click();
  await page.waitForSelector('.panel :text("something is odd")');
  await page.getByRole("tab", { name: "Process" }).click();
  const { pid } = await server.api("GET", `/api/workers/${worker.id}`);
  await page.locator(".panel").getByText(String(pid), { exact: false }).first().waitFor();
  for (const fact of [/memory/i, /running|uptime|started/i, /session/i]) await page.locator(".panel").getByText(fact).first().waitFor();
  await finish(page, server);
});
