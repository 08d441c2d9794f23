// A page that is written like the reference's, served from STATIC_DIR: its user sees what he saw with the reference.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { closeBrowser, eventually, launch, Server } from "./support.mjs";

const STATIC_DIR = fileURLToPath(new URL("reference", import.meta.url));
const servers = [];
let browser;

async function start(env) {
  const server = await Server.start({ STATIC_DIR, ...env });
  servers.push(server);
  return server;
}

async function visit(server) {
  const page = await (await browser.newContext()).newPage();
  const refused = [];
  const alerts = [];
  page.on("console", (message) => message.type() === "error" && refused.push(message.text()));
  page.on("dialog", (dialog) => {
    alerts.push(dialog.message());
    return dialog.dismiss();
  });
  await page.goto(`${server.url}/`);
  return { page, refused, alerts };
}

const blocks = (page) => page.$$eval("#messages article", (shown) => shown.map(({ dataset, textContent }) => [dataset.type, textContent]));
const shows = (page, text) => eventually(page, (wanted) => [...document.querySelectorAll("#messages article")].some((shown) => shown.textContent === wanted), text);

before(async () => {
  browser = await launch();
});
after(async () => {
  for (const server of servers) await server.close();
  await closeBrowser();
});

test("the reference shows each message and answer as one block", async () => {
  const server = await start({ STATIC_INLINE_STYLES: "true" });
  const { page, refused, alerts } = await visit(server);
  await page.fill("#name", "from the page");
  await page.fill("#project", "/no/such/folder");
  await page.click("#create button");
  await eventually(page, () => document.querySelectorAll("#workers li").length === 0);
  await page.fill("#project", server.project);
  await page.click("#create button");
  await page.locator("#workers button").filter({ hasText: "from the page" }).click();
  await eventually(page, () => document.querySelector("#title").textContent === "from the page (claude)");
  const say = async (text) => {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
  };
  await say("deltas 12");
  await shows(page, "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 ");
  await say("echo second");
  await shows(page, "second");
  assert.deepEqual(await blocks(page), [
    ["user", "deltas 12"],
    ["assistant", "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 "],
    ["user", "echo second"],
    ["assistant", "second"],
  ]);
  assert.equal(alerts.length, 1, "the refused folder");
  assert.match(alerts[0], /no\/such\/folder/);
  assert.deepEqual(refused.filter((text) => !text.includes("400")), []);
  await page.click("#delete");
  await eventually(page, () => document.querySelectorAll("#workers li").length === 0);
  await page.close();
});

test("inline styles are refused unless the setting allows them", async () => {
  for (const [env, hidden] of [[{}, false], [{ STATIC_INLINE_STYLES: "true" }, true]]) {
    const { page, refused } = await visit(await start(env));
    assert.equal(await page.locator("#chat").isHidden(), hidden);
    assert.equal(refused.some((text) => text.includes("Content Security Policy")), !hidden, refused.join("\n"));
    await page.close();
  }
});
