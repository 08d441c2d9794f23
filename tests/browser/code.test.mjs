// The page's scripts, checked by tools: their format, the linter, and types that are generated from the OpenAPI document
// which the server returns.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MODULES, Server } from "./support.mjs";

const run = promisify(execFile);
const here = fileURLToPath(new URL("./", import.meta.url));
const sources = fileURLToPath(new URL("../../static/", import.meta.url));
const isTest = (path) => statSync(path).isDirectory() || (path.endsWith(".mjs") && !path.endsWith(".config.mjs"));
const bin = (name) => join(MODULES, "node_modules/.bin", name);
const OPTIONS = {
  allowJs: true, checkJs: true, noEmit: true, target: "es2024", module: "esnext", moduleResolution: "bundler",
  lib: ["es2024", "dom", "dom.iterable"], types: [], noUnusedLocals: true, noImplicitThis: true,
  paths: { api: ["./api.d.ts"], page: ["./types/page.d.ts"] },
};

let folder;
let server;

before(async () => {
  // Tools find their modules and settings from where the sources are, so they get a copy beside both.
  folder = mkdtempSync(join(tmpdir(), "rs-worker-code-"));
  for (const name of ["js", "css", "sw.js"]) cpSync(join(sources, name), join(folder, name), { recursive: true });
  cpSync(join(here, ".."), join(folder, "tests"), { recursive: true, filter: isTest });
  for (const name of ["types", "eslint.config.mjs", "prettier.json"]) cpSync(join(here, name), join(folder, name), { recursive: true });
  symlinkSync(join(MODULES, "node_modules"), join(folder, "node_modules"));
  server = await Server.start();
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a tool on the copy, and fails with what it prints. */
async function passes(tool, ...args) {
  try {
    return await run(bin(tool), args, { cwd: folder, maxBuffer: 2 ** 24 });
  } catch (error) {
    throw new Error(`${tool} ${args.join(" ")}:\n${error.stdout}${error.stderr}`, { cause: error });
  }
}

test("scripts and styles are formatted", async () => {
  await passes("prettier", "--config", "prettier.json", "--check", "js", "css", "sw.js");
});

test("the linter finds nothing", async () => {
  await passes("eslint", "--max-warnings", "0", "js", "sw.js", "tests");
  // The check can fail: a name that a test doesn't import is found.
  writeFileSync(join(folder, "tests/browser/wrong.mjs"), "export const page = () => open(SERVER);\n");
  await assert.rejects(passes("eslint", "tests/browser/wrong.mjs"), /'SERVER' is not defined/);
});

/** Writes the types of the server's API, and a project with them. */
async function project() {
  writeFileSync(join(folder, "openapi.json"), JSON.stringify(await server.api("GET", "/openapi.json")));
  await passes("openapi-typescript", "openapi.json", "-o", "api.d.ts");
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: OPTIONS, include: ["js/**/*.js", "sw.js"] }));
}

test("scripts use the API as its document describes it", async () => {
  await project();
  await passes("tsc", "-p", ".");
  // The check can fail: a field that no answer has is found.
  assert.ok(readdirSync(folder).includes("api.d.ts"));
  writeFileSync(join(folder, "js/views/wrong.js"), 'import { api } from "../lib/api.js";\n\nexport const wrong = async () => (await api.workers()).worker_list;\n');
  await assert.rejects(passes("tsc", "-p", "."), /wrong\.js.*'worker_list' does not exist/);
});
