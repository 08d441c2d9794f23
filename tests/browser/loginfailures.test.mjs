// Logins that fail: the failure is said, and they can be tried again.

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { failOnce, REFUSED, said, tryAgain } from "./failing.mjs";
import { closeBrowser, closePages, finish, open, Server } from "./support.mjs";

const TOKEN = "the-token-of-the-test-of-failures";

afterEach((context) => closePages(context.name));
after(closeBrowser);

test("failures of logins are said and tried again", async () => {
  const own = await Server.start({ AUTH_TOKEN: TOKEN });
  own.headers = { authorization: `Bearer ${TOKEN}` };
  try {
    const { code } = await own.api("POST", "/api/login/code");
    const page = await open(own, `#code=${code}`, undefined, (made) => failOnce(made, /^POST .*\/api\/login$/));
    // The link was not used, so it can be.
    await page.getByRole("dialog", { name: "Log in" }).getByText(REFUSED).waitFor();
    await page.getByRole("button", { name: "Try the link again" }).click();
    await page.waitForSelector("text=No workers yet");

    const settings = async (...names) => {
      await page.getByRole("button", { name: "Settings" }).click();
      for (const name of names) await page.getByRole("button", { name }).click();
    };
    await settings("Logins…");
    await page.waitForSelector(".logins li");
    await failOnce(page, /^DELETE .*\/api\/logins$/);
    await page.getByRole("button", { name: "Log out everywhere" }).click();
    await page.getByRole("dialog", { name: "Log out everywhere" }).getByRole("button", { name: "Log out everywhere" }).click();
    await said(page);
    await failOnce(page, /^POST .*\/api\/logout$/);
    await tryAgain(page);
    await said(page);
    await tryAgain(page);
    await page.waitForSelector(".login-dialog");

    await failOnce(page, /^POST .*\/api\/login$/);
    await page.keyboard.type(TOKEN);
    await page.keyboard.press("Enter");
    await said(page);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.waitForSelector(".login-dialog", { state: "detached" });

    const other = await open(own, `#code=${(await own.api("POST", "/api/login/code")).code}`);
    await other.waitForSelector("text=No workers yet");
    await settings("Logins…");
    await page.waitForSelector(".logins li:nth-child(2)");
    await failOnce(page, /^DELETE .*\/api\/logins\//);
    await page.locator(".logins li").nth(1).getByRole("button", { name: /^Log out/ }).click();
    await said(page);
    await tryAgain(page);
    await other.waitForSelector(".login-dialog");
    await page.keyboard.press("Escape");

    await settings();
    await failOnce(page, /^POST .*\/api\/logout$/);
    await page.getByRole("button", { name: "Log out" }).click();
    await said(page);
    await tryAgain(page);
    await page.waitForSelector(".login-dialog");
    for (const one of [page, other]) await finish(one, own);
  } finally {
    await own.close();
  }
});

test("a login shows no banner of an unreachable server", async () => {
  const own = await Server.start({ AUTH_TOKEN: TOKEN });
  own.headers = { authorization: `Bearer ${TOKEN}` };
  try {
    const page = await open(own);
    await page.waitForSelector(".login-dialog");
    // Longer than the banner takes to show.
    await page.waitForTimeout(1500);
    assert.equal(await page.locator(".banner").isVisible(), false);
    assert.equal(await page.locator(".trouble:visible").count(), 0);
    await finish(page, own);
  } finally {
    await own.close();
  }
});
