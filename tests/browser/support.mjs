// A real server with a fake CLI, and a real browser. Everything that is started here is ended here.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Where the npm packages of these tests are. */
export const MODULES = process.env.BROWSER_TEST_MODULES ?? join(root, "target/browser");
const modules = createRequire(`${MODULES}/`);
const { chromium } = modules("playwright-core");
export const axePath = modules.resolve("axe-core/axe.min.js");

const SERVER = process.env.RS_WORKER_BIN ?? join(root, "target/debug/rs-worker");
export const FAKE_CLI = process.env.FAKE_CLI_BIN ?? join(root, "target/debug/examples/fake_cli");
/** The real Claude Code, which `make install-test-deps` installs. */
export const CLAUDE = join(process.env.RS_WORKER_TEST_CLIS ?? join(root, "target/clis"), "node_modules/.bin/claude");
const BROWSERS = [process.env.CHROMIUM_BIN, "/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"];
// With STATIC_DIR the page is tested as it is on disk, while it is being written.
const FROM_DISK = process.env.STATIC_DIR ? { STATIC_DIR: process.env.STATIC_DIR } : {};
/** Where screenshots go. */
export const SHOTS = process.env.SCREENSHOTS_DIR ?? join(root, "target/screenshots");
/** How long anything may take before a test gives up on it. */
export const DEADLINE_MS = 120_000 * Number(process.env.RS_WORKER_TEST_PATIENCE ?? 1);
export const CAPTURES = join(root, "tests/captures/claude");

// Where programs put temporary files (tests/in-scratch). Without these the real CLIs leave them in /tmp.
const TEMPORARY = Object.fromEntries(["TMPDIR", "CLAUDE_CODE_TMPDIR"].flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));

/** A server in a folder of its own, on a free port. */
export class Server {
  static async start(env = {}) {
    const server = new Server();
    await server.begin(env);
    return server;
  }

  async begin(env = {}) {
    this.dir = mkdtempSync(join(tmpdir(), "rs-worker-page-"));
    this.env = env;
    this.project = this.folder("project");
    await this.up(0);
  }

  folder(name) {
    const path = join(this.dir, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  async up(port) {
    const env = { PATH: process.env.PATH, HOME: this.dir, LANG: "C.UTF-8", ...TEMPORARY, PORT: String(port), CLAUDE_BINARY: FAKE_CLI, OPENCODE_BINARY: "/nowhere/opencode", MAX_WORKERS: "200", MEMORY_RESERVE: "off", ...FROM_DISK, ...this.env };
    this.child = spawn(SERVER, ["serve"], { cwd: this.dir, env, stdio: ["ignore", "pipe", "pipe"] });
    this.log = "";
    this.url = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the server did not start:\n${this.log}`)), DEADLINE_MS);
      const read = (data) => {
        this.log = (this.log + data).slice(-20_000);
        const url = /Access at: (http:\/\/\S+)/.exec(this.log);
        if (!url) return;
        clearTimeout(timer);
        resolve(url[1].replace(/\/$/, ""));
      };
      this.child.stdout.on("data", read);
      this.child.stderr.on("data", read);
      this.child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${this.log}`)));
    });
  }

  /** Ends the server as `signal` does; agents live on. */
  async down(signal = "SIGTERM") {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await ended;
  }

  /** Brings a server that was ended up again, on the same port. */
  async again() {
    await this.up(new URL(this.url).port);
  }

  async api(method, path, body) {
    const response = await fetch(`${this.url}${path}`, { method, headers: { "content-type": "application/json", ...this.headers }, body: method === "GET" ? undefined : JSON.stringify(body ?? {}) });
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  async worker(name) {
    const worker = await this.api("POST", "/api/workers", { name, project_path: this.folder(name), ai_cli_type: "claude" });
    return this.until(worker, "idle");
  }

  message(worker, content) {
    return this.api("POST", `/api/workers/${worker.id}/messages`, { content });
  }

  async until(worker, status) {
    const end = Date.now() + DEADLINE_MS;
    for (;;) {
      const now = await this.api("GET", `/api/workers/${worker.id}`);
      if (now.status === status) return now;
      if (Date.now() > end) throw new Error(`the worker is ${now.status}, not ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** A worker that has had these messages, each to the end of its turn. */
  async told(name, ...messages) {
    const worker = await this.worker(name);
    for (const message of messages) {
      await this.message(worker, message);
      await this.turns(worker, messages.indexOf(message) + 1);
    }
    return worker;
  }

  async turns(worker, count) {
    const end = Date.now() + 3 * DEADLINE_MS;
    while ((await this.api("GET", `/api/workers/${worker.id}`)).turns < count) {
      if (Date.now() > end) throw new Error("the turn does not end");
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Ends the server and all that it started, and removes its folder. */
  async close() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) await this.again();
    const { workers } = await this.api("GET", "/api/workers");
    for (const worker of workers) await this.api("DELETE", `/api/workers/${worker.id}?force=true`).catch(() => {});
    await this.down();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

let browser = null;

/** The browser; one for a test file. */
export async function launch() {
  const executablePath = BROWSERS.find((path) => path && existsSync(path));
  browser ??= await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
  browser = null;
}

const pages = new Set();

/** Closes pages that a test has left open because it failed, and keeps a picture of each. */
export async function closePages(name) {
  for (const page of pages) {
    const path = join(SHOTS, `failed-${name.replace(/\W+/g, "-").slice(0, 60)}.png`);
    await page.screenshot({ path }).then(() => console.log(`# picture: ${path}; problems: ${JSON.stringify(page.problems)}`), () => {});
    await page.context().close();
  }
}

/** The views that people have. */
export const DESK = { viewport: { width: 1440, height: 900 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** A new page; what goes wrong in it is in `page.problems`, and where it asked for anything in `page.hosts`. */
export async function open(server, hash = "#/", options = DESK, prepare = async (_page) => {}) {
  // Most tests look at what the page asks the server for; those of the service worker allow it.
  const context = await (await launch()).newContext({ serviceWorkers: "block", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  pages.add(page);
  page.on("close", () => pages.delete(page));
  page.problems = [];
  page.hosts = new Set();
  page.on("pageerror", (error) => page.problems.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    // Refused requests are the page's business, and its tests look at what it makes of them.
    if (message.type() === "error" && !/Failed to load resource|WebSocket connection/.test(message.text())) page.problems.push(message.text());
  });
  page.on("request", (request) => page.hosts.add(new URL(request.url()).origin));
  page.on("dialog", (dialog) => {
    page.problems.push(`a dialog was opened: ${dialog.message()}`);
    dialog.dismiss();
  });
  await prepare(page);
  await page.goto(`${server.url}/${hash}`);
  return page;
}

export const at = (worker) => `#/w/${worker.id}`;

/** Sends a message with the composer. */
export async function say(page, text) {
  await page.locator(".composer textarea").first().fill(text);
  await page.locator(".composer-box textarea").press("Enter");
}

/** Waits for something that is computed in the page. */
export const eventually = (page, read, arg) => page.waitForFunction(read, arg, { timeout: DEADLINE_MS });

/** Does something again and again while `holds` says so. */
export async function repeat(page, holds, act, pause = 25) {
  const end = Date.now() + DEADLINE_MS;
  while (await holds()) {
    assert.ok(Date.now() < end, "it had no effect");
    await act();
    await page.waitForTimeout(pause);
  }
}

/**
 * One server for all tests of a file: begun before the first and closed after the last, and each test's pages after it.
 * `prepare` gets the running server; a second `before` would not wait for the first.
 */
export function serverOfAllTests(prepare = async (_server) => {}, env = {}) {
  const server = new Server();
  before(async () => {
    await server.begin(env);
    await prepare(server);
  });
  afterEach((context) => closePages(context.name));
  after(async () => {
    await closeBrowser();
    await server.close();
  });
  return server;
}

/** The end of a test's page: it has complained of nothing, and asked nobody but its server. */
export async function finish(page, server) {
  assert.deepEqual(page.problems, []);
  assert.deepEqual([...page.hosts].filter((host) => host !== server.url && !host.startsWith("data:") && host !== "null"), []);
  await page.context().close();
}
