// Logins of browsers: the list, the end of one, and the end of all.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { axePath, DESK, finish, open, Server, serverOfAllTests } from "./support.mjs";

const TOKEN = "the-token-of-this-test-of-logins";
const axe = readFileSync(axePath, "utf8");
const server = serverOfAllTests(
  async (running) => {
    running.headers = { authorization: `Bearer ${TOKEN}` };
  },
  { AUTH_TOKEN: TOKEN },
);

const request = async (method, path) => (await fetch(`${server.url}${path}`, { method, headers: server.headers })).json();
const logins = async () => (await request("GET", "/api/logins")).logins;

// A browser of its own that has used a login link.
async function browser() {
  const { code } = await request("POST", "/api/login/code");
  const page = await open(server, `#code=${code}`, { ...DESK, bypassCSP: true });
  await page.waitForSelector("text=No workers yet");
  return page;
}

async function openLogins(page) {
  await page.getByRole("button", { name: "Keys and help" }).click();
  await page.getByRole("button", { name: "Logins…" }).click();
  await page.waitForSelector(".logins li");
  assert.equal(await page.locator(".help").count(), 0, "the help is closed");
}

test("a login ends by its button, and the others stay", async () => {
  const [own, other] = [await browser(), await browser()];
  await openLogins(own);
  const rows = own.locator(".logins li");
  assert.equal(await rows.count(), 2);
  assert.match(await rows.first().textContent(), /Chrome on .*\(this browser\).*127\.0\.0\.1 · used /);
  await own.evaluate(axe);
  const { violations } = await own.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id }) => id), []);

  await rows.nth(1).getByRole("button", { name: /^Log out/ }).focus();
  await own.keyboard.press("Enter");
  await other.waitForSelector(".login-dialog");
  await own.waitForFunction(() => document.querySelectorAll(".logins li").length === 1);
  assert.equal((await logins()).length, 1);
  await own.waitForFunction(() => document.activeElement === document.querySelector(".logins li button"));
  assert.equal(await own.locator(".login-dialog").count(), 0);

  await rows.first().getByRole("button", { name: /^Log out/ }).click();
  await own.waitForSelector(".login-dialog");
  assert.deepEqual(await logins(), []);
  for (const page of [own, other]) await finish(page, server);
});

test("all logins end at once, after a question", async () => {
  const [own, other] = [await browser(), await browser()];
  await openLogins(own);
  const everywhere = own.getByRole("button", { name: "Log out everywhere" });
  await everywhere.click();
  await own.getByRole("button", { name: "Cancel" }).click();
  assert.equal((await logins()).length, 2);
  await everywhere.click();
  await own.getByRole("dialog", { name: "Log out everywhere" }).getByRole("button", { name: "Log out everywhere" }).click();
  await own.waitForSelector(".login-dialog");
  await other.waitForSelector(".login-dialog");
  assert.deepEqual(await logins(), []);
  for (const page of [own, other]) await finish(page, server);
});

test("a server without logins says so", async () => {
  // Without a token, its own user needs no login.
  const plain = await Server.start();
  try {
    const page = await open(plain);
    await page.waitForSelector("text=No workers yet");
    await page.getByRole("button", { name: "Keys and help" }).click();
    await page.getByRole("button", { name: "Logins…" }).click();
    await page.waitForSelector("text=No browser is logged in.");
    assert.ok(await page.getByRole("button", { name: "Log out everywhere" }).isHidden());
    await finish(page, plain);
  } finally {
    await plain.close();
  }
});
