// What tests of the work loop share: repositories with work of agents, and the way around the views.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after } from "node:test";
import { at, axePath, DEADLINE_MS, DESK, open } from "./support.mjs";

const axe = readFileSync(axePath, "utf8");

export const CODE = Array.from({ length: 60 }, (_, n) => (n % 10 === 0 ? `fn step_${n}() {` : n % 10 === 9 ? "}" : `    let value_${n} = compute(${n}); // step ${n}`)).join("\n") + "\n";
export const CHANGED = CODE.replace("compute(25)", "measure(25, 4)").replace("compute(44)", "measure(44, 4)");

export const git = (folder, ...args) => execFileSync("git", ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main", ...args], { cwd: folder, encoding: "utf8", stdio: "pipe" }).trim();
export const write = (folder, file, text) => writeFileSync(join(folder, file), text);
export const read = (folder, file) => readFileSync(join(folder, file), "utf8");

export async function panel(page) {
  if (page.viewportSize().width > 800) {
    await page.locator(".scroller").focus();
    await page.keyboard.press("p");
  } else await act(page, "Changes, usage, process");
  await page.waitForSelector(".panel:visible");
}

export const act = async (page, name) => {
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name }).click();
};

export const line = (page, number, side = "new", file = "src/code.rs") => page.locator(`.line-button[data-file="${file}"][data-side="${side}"][data-line="${number}"]`);
export const card = (page, text) => page.locator(`.comment:has-text("${text}")`);
export const state = (page, text, word) => card(page, text).locator(`.tag:text-is("${word}")`).waitFor();
/** The accessibility checker finds nothing on the page as it is. */
export async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]));
  assert.deepEqual(found, []);
}

/** Serves the bare repositories in a folder over HTTP on loopback, by git's own program, to everybody; ended with the tests. */
export async function gitServer(folder) {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url, "http://localhost");
    const env = {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      REMOTE_USER: "ada",
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    };
    const child = spawn("git", ["http-backend"], { env, stdio: ["pipe", "pipe", "ignore"] });
    const parts = [];
    request.pipe(child.stdin);
    child.stdout.on("data", (part) => parts.push(part));
    child.on("close", () => {
      const answer = Buffer.concat(parts);
      const end = answer.indexOf("\r\n\r\n");
      for (const line of answer.subarray(0, end).toString().split("\r\n")) {
        const [name, value] = line.split(": ");
        if (name === "Status") response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(name, value);
      }
      response.end(answer.subarray(end + 4));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  after(() => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    /** A new bare repository, and its address. */
    bare(name) {
      const path = join(folder, name);
      mkdirSync(path, { recursive: true });
      git(path, "init", "-q", "--bare");
      return { path, url: `http://127.0.0.1:${port}/${name}` };
    },
  };
}

/** The same for the workers of a server. */
export function workIn(server) {
  /** A repository with one commit. */
  function repository(name) {
    const folder = server.folder(name);
    git(folder, "init", "-q");
    mkdirSync(join(folder, "src"));
    write(folder, "src/code.rs", CODE);
    write(folder, "notes.txt", "one\ntwo\n");
    git(folder, "add", ".");
    git(folder, "commit", "-q", "-m", "Begin");
    return folder;
  }

  /** A worker in a worktree of a new repository, with changes that are not committed. */
  async function begun(name, change = (folder) => write(folder, "src/code.rs", CHANGED)) {
    const project = repository(name);
    const made = await server.api("POST", "/api/workers", { name, project_path: project, ai_cli_type: "claude", worktree: { branch: `work-${name}` } });
    const worker = await server.until(made, "idle");
    change(worker.project_path);
    return { project, worker, folder: worker.project_path };
  }

  async function changes(worker, view = DESK) {
    const page = await open(server, at(worker), view);
    await page.waitForSelector(".composer");
    await panel(page);
    await page.waitForSelector(".changes .line-button");
    return page;
  }

  const messages = async (worker) => (await server.api("GET", `/api/workers/${worker.id}/messages?types=user`)).messages.map(({ content }) => content);

  /** A turn of the agent in which files change. */
  async function turn(worker, change) {
    await server.message(worker, "hang");
    await server.until(worker, "busy");
    // What the files are at the beginning of the turn is recorded beside it.
    await recorded(worker, ([newest]) => newest?.can_restore && !newest.ended_at);
    change();
    const { turns } = await server.api("GET", `/api/workers/${worker.id}`);
    await server.api("POST", `/api/workers/${worker.id}/interrupt`);
    await server.turns(worker, turns + 1);
    await recorded(worker, ([newest]) => newest.has_trees);
  }

  async function recorded(worker, holds) {
    for (const end = Date.now() + DEADLINE_MS; ; ) {
      const { turns } = await server.api("GET", `/api/workers/${worker.id}/turns`);
      if (holds(turns)) return;
      assert.ok(Date.now() < end, JSON.stringify(turns.slice(0, 2)));
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  return { begun, changes, messages, turn };
}
