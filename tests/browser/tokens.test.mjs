// Tokens with scopes: a phone is paired by the QR code of the page, may answer and nothing more, and loses access at once.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { failOnce, REFUSED, said, tryAgain } from "./failing.mjs";
import { axePath, DESK, finish, open, PHONE, serverOfAllTests } from "./support.mjs";

const TOKEN = "the-token-of-this-test-of-tokens";
// What a revoked token has open must end within this time.
const REVOKED_MS = 1_000;
const axe = readFileSync(axePath, "utf8");
const server = serverOfAllTests(
  async (running) => {
    running.headers = { authorization: `Bearer ${TOKEN}` };
  },
  { AUTH_TOKEN: TOKEN },
);

// A page that may do everything, with the dialog of the tokens.
async function openTokens(view = DESK) {
  const { code } = await server.api("POST", "/api/login/code");
  const page = await open(server, `#code=${code}`, { ...view, bypassCSP: true });
  await page.waitForSelector("text=Welcome");
  await page.getByRole("button", { name: "Settings" }).first().click();
  await page.getByRole("button", { name: "Logins…" }).click();
  await page.getByRole("button", { name: "Access tokens…" }).click();
  await page.waitForSelector("text=New token");
  return page;
}

async function create(page, name, scope) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("It may").selectOption(scope);
  await page.getByRole("button", { name: "Create token" }).click();
  await page.getByLabel("The new token").waitFor();
}

for (const [size, view] of [["phone", PHONE], ["desk", DESK]])
  test(`a device is paired by picture on a ${size}`, async () => {
    const page = await openTokens(view);
    await create(page, `device of ${size}`, "answer");
    assert.match(await page.getByLabel("The new token").inputValue(), /^rsw_[0-9a-f]{64}$/);
    await page.getByRole("button", { name: `Pair a device with device of ${size}` }).click();
    await page.getByRole("img", { name: "QR code of the link" }).waitFor();
    await page.waitForSelector("text=No other device reaches this address");
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    assert.deepEqual(violations.map(({ id }) => id), []);
    const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.equal(width, 0, "nothing is wider than the screen");
    const link = await page.locator(".pair-link").getAttribute("href");
    assert.match(link, /#code=[0-9a-f]{8}\.[0-9a-f]{32}$/);

    const device = await open(server, link.slice(link.indexOf("#")), PHONE);
    await device.waitForSelector("text=Welcome");
    assert.equal(await device.evaluate(() => location.hash.includes("code")), false, "the code is taken out of the address");
    const asked = (method, path) => device.evaluate(
      async ([verb, place]) => (await fetch(place, { method: verb, headers: { "content-type": "application/json" } })).status,
      [method, path],
    );
    assert.equal(await asked("GET", "api/workers"), 200);
    assert.equal(await asked("GET", "api/tokens"), 403);
    assert.equal(await asked("DELETE", "api/workers/none"), 403);

    // The socket of the page itself, and the moment at which the page notices.
    const began = Date.now();
    const { tokens } = await server.api("GET", "/api/tokens");
    const { id } = tokens.find(({ name }) => name === `device of ${size}`);
    await server.api("DELETE", `/api/tokens/${id}`);
    await device.waitForSelector(".login-dialog");
    console.log(`the device was out ${Date.now() - began} ms after the revocation began (limit of the server: ${REVOKED_MS})`);
    assert.equal(await asked("GET", "api/workers"), 401);
    await finish(page, server);
    await finish(device, server);
  });

test("a token ends by its button, after a question", async () => {
  const page = await openTokens();
  await create(page, "to be ended", "read");
  await page.getByRole("button", { name: "End to be ended" }).click();
  await page.getByRole("dialog", { name: "End token" }).getByRole("button", { name: "End token" }).click();
  await page.waitForFunction(() => !document.body.textContent.includes("to be ended ·") && !document.querySelector('[aria-label="End to be ended"]'));
  const { tokens } = await server.api("GET", "/api/tokens");
  assert.ok(tokens.every(({ name }) => name !== "to be ended"));
  await finish(page, server);
});

test("failures of tokens are said and tried again", async () => {
  const page = await openTokens();
  await failOnce(page, /^POST .*\/api\/tokens$/);
  await page.getByLabel("Name").fill("tried twice");
  await page.getByRole("button", { name: "Create token" }).click();
  await page.getByRole("dialog", { name: "Access tokens" }).getByText(REFUSED).waitFor();
  await tryAgain(page);
  await page.getByLabel("The new token").waitFor();
  for (const [pattern, button] of [[/^POST .*\/pair$/, "Pair a device with tried twice"], [/^GET .*\/api\/tokens$/, "Pair a device with tried twice"]]) {
    await failOnce(page, pattern);
    await page.getByRole("button", { name: button }).click();
    await said(page);
    await tryAgain(page);
    await page.getByRole("img", { name: "QR code of the link" }).waitFor();
  }
  await failOnce(page, /^DELETE .*\/api\/tokens\//);
  await page.getByRole("button", { name: "End tried twice" }).click();
  await page.getByRole("dialog", { name: "End token" }).getByRole("button", { name: "End token" }).click();
  await said(page);
  await tryAgain(page);
  await page.waitForFunction(() => !document.querySelector('[aria-label="End tried twice"]'));
  await finish(page, server);
});
