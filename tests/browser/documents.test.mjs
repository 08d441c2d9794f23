// The pages that show the API: Swagger UI and ReDoc, from the program, under its policy, behind its login and its path.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { closeBrowser, closePages, eventually, finish, open, Server, SHOTS } from "./support.mjs";

const TOKEN = "the-token-of-this-test";
let server;
let operations;

before(async () => {
  server = await Server.start({ AUTH_TOKEN: TOKEN, BASE_PATH: "/agents" });
  server.headers = { authorization: `Bearer ${TOKEN}` };
  const { paths } = await server.api("GET", "/openapi.json");
  operations = Object.values(paths).flatMap((methods) => Object.values(methods)).map((one) => one.operationId);
});
afterEach((context) => closePages(context.name));
after(async () => {
  await closeBrowser();
  await server.close();
});

/** Opens a page without a login, which leads to the login, and through it. */
async function opened(name) {
  const page = await open(server, name);
  await page.context().addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`refused: ${event.violatedDirective} ${event.blockedURI}`));
  });
  assert.equal(page.url(), `${server.url}/#/${name}`);
  await page.getByLabel("Access token").fill(TOKEN);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(`${server.url}/${name}`);
  return page;
}

/** Executes the operation that lists the workers, and gives the request and the status that the page shows. */
async function tryOut(page) {
  const block = page.locator("#operations-workers-listWorkers");
  const [request] = await Promise.all([
    page.waitForRequest((one) => new URL(one.url()).pathname === "/agents/api/workers"),
    block.getByRole("button", { name: "Execute" }).click(),
  ]);
  const shown = block.locator(".live-responses-table .response-col_status").last();
  await shown.waitFor();
  return { authorization: (await request.allHeaders()).authorization, status: (await shown.innerText()).trim().slice(0, 3) };
}

test("Swagger UI tries every operation out with login and token", async () => {
  const page = await opened("docs");
  await eventually(page, (count) => document.querySelectorAll(".opblock").length === count, operations.length);
  const shown = await page.evaluate(() => [...document.querySelectorAll(".opblock")].map((block) => block.id.replace(/^operations-[a-z]+-/, "")));
  assert.deepEqual(shown.toSorted(), operations.toSorted());
  await page.locator("#operations-workers-listWorkers .opblock-summary-control").click();
  await page.screenshot({ path: join(SHOTS, "swagger.png") });

  assert.deepEqual(await tryOut(page), { authorization: undefined, status: "200" }, "by the cookie of the login");
  await page.context().clearCookies();
  assert.equal((await tryOut(page)).status, "401", "without either");
  await page.getByRole("button", { name: "Authorize" }).click();
  const form = page.locator(".auth-container").filter({ hasText: "Bearer" });
  await form.getByRole("textbox").fill(TOKEN);
  await form.getByRole("button", { name: "Apply credentials" }).click();
  await page.locator(".modal-ux .close-modal").click();
  assert.deepEqual(await tryOut(page), { authorization: `Bearer ${TOKEN}`, status: "200" }, "by the token");
  await page.screenshot({ path: join(SHOTS, "swagger-tried.png"), fullPage: true });
  await finish(page, { url: new URL(server.url).origin });
});

test("ReDoc shows every operation, and finds one", async () => {
  const page = await opened("redoc");
  await eventually(page, (ids) => ids.every((id) => document.querySelector(`[id$="operation/${id}"]`)), operations);
  await page.screenshot({ path: join(SHOTS, "redoc.png") });
  await page.getByPlaceholder("Search...").fill("interrupt");
  await page.locator('[role="menuitem"]').filter({ hasText: "Ends the turn" }).first().waitFor();
  await page.screenshot({ path: join(SHOTS, "redoc-search.png") });
  await finish(page, { url: new URL(server.url).origin });
});
