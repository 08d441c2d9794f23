// The limits of a worker's processes in the dialog that makes a worker, and in its presets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DESK, finish, open, PHONE, Server, serverOfAllTests } from "./support.mjs";
import { accessible } from "./work.mjs";

const server = serverOfAllTests();

const MIB = 2 ** 20;

async function dialog(of, view = DESK) {
  const page = await open(of, "#/", view);
  await page.getByRole("button", { name: "New worker" }).first().click();
  await page.waitForSelector("form.create .cli");
  await page.getByText("More options").click();
  return page;
}
const input = (page, name) => page.locator(`form.create input[name=${name}]`);
const create = (page) => page.getByRole("button", { name: "Create", exact: true }).click();
const limitsOf = ({ memory, cpu, pids }) => [memory, cpu, pids];
async function made(of, name) {
  const { workers } = await of.api("GET", "/api/workers");
  const { id } = workers.find((worker) => worker.name === name);
  const { config } = await of.api("GET", `/api/workers/${id}`);
  return limitsOf(config);
}

for (const [word, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`a worker gets the limits of the form: ${word}`, async () => {
    const page = await dialog(server, view);
    await page.getByLabel("Project folder").fill(server.folder(`limited-${word}`));
    await page.getByText("This server does not enforce limits: ").waitFor();
    await page.getByLabel("Memory").fill("2 TB");
    await page.getByLabel("Processors").fill("much");
    await page.getByLabel("Processes and threads").fill("3");
    await create(page);
    await page.locator(".field:has(input[name=memory])", { hasText: "a number of bytes from 64MiB" }).waitFor();
    await page.locator(".field:has(input[name=cpu])", { hasText: "a number of processors from 0.05" }).waitFor();
    await page.locator(".field:has(input[name=pids])", { hasText: "a whole number of processes and threads from 16" }).waitFor();
    await accessible(page);
    await page.getByLabel("Memory").fill("512MiB");
    await page.getByLabel("Processors").fill("1.5");
    await page.getByLabel("Processes and threads").fill("");
    await create(page);
    await page.waitForSelector(`h1:has-text("limited-${word}")`);
    assert.deepEqual(await made(server, `limited-${word}`), [512 * MIB, 1.5, null]);
    await page.waitForSelector('.worker-note[data-level="warning"]:has-text("limits are not enforced")');
    await finish(page, server);
  });
}

test("limits are saved in a preset, changed and removed", async () => {
  await server.api("PUT", "/api/presets/small", { memory: 256 * MIB, cpu: 0.5, pids: 100 });
  const page = await dialog(server);
  await page.getByLabel("Project folder").fill(server.folder("of-preset"));
  const choice = page.locator("select[name=preset]");
  await choice.selectOption("small");
  assert.deepEqual(await Promise.all(["memory", "cpu", "pids"].map((name) => input(page, name).inputValue())), ["256MiB", "0.5", "100"]);
  await choice.selectOption("");
  assert.equal(await input(page, "memory").inputValue(), "", "what nobody has changed goes with the preset");
  await choice.selectOption("small");
  await page.getByLabel("Memory").fill("1GiB");
  await page.getByLabel("Processors").fill("");
  await page.getByText("Save as preset").click();
  await page.getByLabel("Name of the preset").fill("larger");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("larger is saved.").waitFor();
  const { memory, cpu = null, pids } = await server.api("GET", "/api/presets/larger");
  assert.deepEqual([memory, cpu, pids], ["1GiB", null, 100]);
  // The request overrides the preset, whose limit it removes where the field is empty.
  await choice.selectOption("small");
  await page.getByLabel("Memory").fill("128MiB");
  await page.getByLabel("Processors").fill("");
  await create(page);
  await page.waitForSelector('h1:has-text("of-preset")');
  assert.deepEqual(await made(server, "of-preset"), [128 * MIB, null, 100]);
  await finish(page, server);
});

test("empty fields show the limits of the server's settings", async () => {
  const own = await Server.start({ WORKER_MEMORY: "3GiB" });
  try {
    const page = await dialog(own);
    await page.locator('input[name=memory][placeholder="3GiB, as the server is set"]').waitFor();
    assert.equal(await input(page, "pids").getAttribute("placeholder"), "none, or as 500");
    await finish(page, own);
  } finally {
    await own.close();
  }
});
