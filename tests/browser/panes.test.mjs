// Workers side by side: opened, used, kept in the address, and closed.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { at, axePath, eventually, finish, open, say, serverOfAllTests, SHOTS } from "./support.mjs";

const WIDE = { viewport: { width: 1920, height: 1000 } };
const server = serverOfAllTests();

const paneOf = (page, name) => page.frameLocator(`.pane[aria-label="${name}"] iframe`);
const names = (page) => page.locator(".pane").evaluateAll((all) => all.map((el) => el.getAttribute("aria-label")));
const titled = (page, name) => page.locator(`.pane[aria-label="${name}"]`).waitFor();
const composerHasFocus = (page, title) => eventually(page, (wanted) => {
  const outer = document.activeElement;
  const inner = outer.matches("iframe") ? outer.contentDocument.activeElement : outer;
  return (outer.matches("iframe") ? outer.title : "") === wanted && inner?.matches(".composer-box > textarea");
}, title);

/** Opens a worker beside the open one by keys alone. */
async function openBeside(page, name) {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Worker or command" }).fill("open another beside");
  await page.keyboard.press("Enter");
  await page.getByRole("combobox", { name: "Worker to open beside this one" }).fill(name);
  await page.keyboard.press("Enter");
  await titled(page, name);
}

let made = 0;

async function four() {
  const workers = [];
  for (const name of ["ash", "birch", "cedar", "dogwood"]) workers.push(await server.worker(`${name}${made}`));
  made += 1;
  return workers;
}

test("four workers side by side each take messages", async () => {
  const [first, ...others] = await four();
  const page = await open(server, at(first), WIDE);
  await composerHasFocus(page, "");
  for (const worker of others) {
    await openBeside(page, worker.name);
    await composerHasFocus(page, worker.name);
    await page.keyboard.type(`echo said to ${worker.name}`);
    await page.keyboard.press("Enter");
    await paneOf(page, worker.name).locator(`.item-assistant:has-text("said to ${worker.name}")`).waitFor();
    await page.keyboard.press("F6");
    await composerHasFocus(page, "");
  }
  await say(page, "echo said to the first");
  await page.waitForSelector('.item-assistant:has-text("said to the first")');
  assert.equal(new URL(page.url()).hash, `${at(first)}/with/${others.map(({ id }) => id).join("/")}`);
  await page.screenshot({ path: join(SHOTS, "panes.png") });
  for (const worker of others) {
    // The list belongs to the page alone.
    assert.equal(await paneOf(page, worker.name).locator(".sidebar").isVisible(), false);
  }
  await page.reload();
  for (const worker of others) await paneOf(page, worker.name).locator(`.item-assistant:has-text("said to ${worker.name}")`).waitFor();
  await finish(page, server);
});

test("F6 moves between panes, and closing one moves on", async () => {
  const [first, ...others] = await four();
  const page = await open(server, `${at(first)}/with/${others.map(({ id }) => id).join("/")}`, WIDE);
  for (const { name } of others) await paneOf(page, name).locator("#main[aria-label] .composer-box > textarea").waitFor();
  await page.locator(".composer-box > textarea").focus();
  for (const name of [...others.map((worker) => worker.name), ""]) {
    await page.keyboard.press("F6");
    await composerHasFocus(page, name);
  }
  await page.keyboard.press("Shift+F6");
  await composerHasFocus(page, others[2].name);
  await page.getByRole("button", { name: `Close ${others[1].name}` }).click();
  await composerHasFocus(page, others[2].name);
  assert.deepEqual(await names(page), [others[0].name, others[2].name]);
  for (const at of [2, 0]) await page.getByRole("button", { name: `Close ${others[at].name}` }).click();
  await composerHasFocus(page, "");
  assert.equal(new URL(page.url()).hash, at(first));
  await finish(page, server);
});

test("a narrow window shows the open worker alone", async () => {
  const [first, second, third] = await four();
  const page = await open(server, `${at(first)}/with/${second.id}/${third.id}`, WIDE);
  await paneOf(page, third.name).locator("#main[aria-label] .composer-box > textarea").waitFor();
  await page.setViewportSize({ width: 1280, height: 900 });
  await eventually(page, () => document.querySelectorAll(".pane").length === 1);
  await page.setViewportSize({ width: 800, height: 900 });
  await eventually(page, () => document.querySelectorAll(".pane").length === 0);
  await say(page, "echo alone");
  await page.waitForSelector('.item-assistant:has-text("alone")');
  await page.setViewportSize(WIDE.viewport);
  await paneOf(page, third.name).locator("#main[aria-label] .composer-box > textarea").waitFor();
  assert.deepEqual(await names(page), [second.name, third.name]);
  await finish(page, server);
});

test("a worker opened in a pane keeps the others", async () => {
  const [first, second, third] = await four();
  const page = await open(server, `${at(first)}/with/${second.id}`, WIDE);
  await paneOf(page, second.name).locator("#main[aria-label] .composer-box > textarea").waitFor();
  await page.locator(`.workers a[href="${at(third)}"]`).click();
  await page.waitForSelector(`h1:has-text("${third.name}")`);
  await eventually(page, (end) => location.hash.endsWith(end), `${third.id}/with/${second.id}`);
  // The one that is beside it changes places with it.
  await page.locator(`.workers a[href="${at(second)}"]`).click();
  await page.waitForSelector(`.main h1:has-text("${second.name}")`);
  await titled(page, third.name);
  // A place of the whole page that is asked for in a frame opens in the page.
  await paneOf(page, third.name).locator(".scroller").focus();
  await page.keyboard.press("g");
  await page.waitForSelector(".inbox:visible");
  assert.deepEqual(await names(page), []);
  await page.goBack();
  await titled(page, third.name);
  await finish(page, server);
});

test("failed code of panes is requested again", async () => {
  const [first, second] = await four();
  let isDown = true;
  const page = await open(server, `${at(first)}/with/${second.id}`, WIDE, (made) => made.route(/\/panes\.js/, (route) => (isDown ? route.abort() : route.continue())));
  await page.getByText("The workers beside it could not be loaded").waitFor();
  isDown = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await titled(page, second.name);
  await finish(page, server);
});

test("panes pass the audit, light, dark and in forced colours", async () => {
  const [first, second, third] = await four();
  await server.message(second, 'permission Bash {"command":"make all","description":"Build it"}');
  await server.message(third, "echo # A *plan*");
  await server.turns(third, 1);
  for (const [name, view] of [["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }], ["forced", { forcedColors: "active" }]]) {
    const page = await open(server, `${at(first)}/with/${second.id}/${third.id}`, { ...WIDE, ...view });
    await paneOf(page, second.name).locator(".prompt-card").waitFor();
    await paneOf(page, third.name).locator("#main[aria-label] .item-turn").waitFor();
    await page.screenshot({ path: join(SHOTS, `panes-${name}.png`) });
    for (const frame of page.frames()) await frame.evaluate(readFileSync(axePath, "utf8"));
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
    await finish(page, server);
  }
});

test("a prompt in one pane leaves others their focus", async () => {
  const [first, second, third] = await four();
  const page = await open(server, `${at(first)}/with/${second.id}/${third.id}`, WIDE);
  for (const { name } of [second, third]) await paneOf(page, name).locator("#main[aria-label] .composer-box > textarea").waitFor();
  const composers = [page.locator(".composer-box > textarea"), paneOf(page, second.name).locator(".composer-box > textarea"), paneOf(page, third.name).locator(".composer-box > textarea")];
  const cards = [page.locator(".main .prompt-card"), paneOf(page, second.name).locator(".prompt-card"), paneOf(page, third.name).locator(".prompt-card")];
  // Written in a pane while the open worker asks, in the page while a pane asks, and in a pane while the other asks.
  for (const [written, asks] of [[1, 0], [0, 2], [2, 1]]) {
    const title = ["", second.name, third.name][written];
    await composers[written].focus();
    await server.message([first, second, third][asks], 'permission Bash {"command":"make all","description":"Build it"}');
    await cards[asks].waitFor();
    await composerHasFocus(page, title);
    // Letters that answer a prompt where one has the focus.
    await page.keyboard.type("any day, yes");
    assert.equal(await composers[written].inputValue(), "any day, yes");
    await composerHasFocus(page, title);
    assert.equal((await server.api("GET", `/api/workers/${[first, second, third][asks].id}`)).status, "waiting");
    await composers[written].fill("");
    await cards[asks].getByRole("button", { name: "Allow once" }).click();
    await cards[asks].waitFor({ state: "detached" });
  }
  await finish(page, server);
});

test("an agent's HTML can't frame or reach the page", async () => {
  const [worker] = await four();
  const folder = server.folder(worker.name);
  const html = `<!doctype html><iframe src="${server.url}/"></iframe><script>parent.ran = 1; parent.document.title = "taken"</script>`;
  writeFileSync(join(folder, "evil.html"), html);
  writeFileSync(join(folder, "evil.svg"), `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><foreignObject width="9" height="9"><iframe xmlns="http://www.w3.org/1999/xhtml" src="${server.url}/"></iframe></foreignObject><script>parent.ran = 1</script></svg>`);
  const page = await open(server, at(worker), WIDE);
  await page.waitForSelector(".composer");
  const address = (name) => `${server.url}/api/workers/${worker.id}/blob?path=${name}`;
  // Opened in a frame of the page, which the page itself never does, and by itself.
  for (const name of ["evil.html", "evil.svg"]) {
    const [answer] = await Promise.all([
      page.waitForResponse(address(name)),
      page.evaluate((src) => {
        const frame = document.createElement("iframe");
        frame.src = src;
        document.body.append(frame);
      }, address(name)),
    ]);
    assert.equal(answer.headers()["content-security-policy"], "sandbox; default-src 'none'");
    assert.equal(answer.headers()["x-content-type-options"], "nosniff");
  }
  // HTML is saved and never shown; the drawing is shown without an origin, and frames nothing.
  await eventually(page, () => [...document.querySelectorAll("body > iframe")].some((frame) => !frame.contentDocument));
  const shown = page.frames().map((frame) => frame.url()).filter((url) => url.includes("/blob?"));
  assert.deepEqual(shown, [address("evil.svg")]);
  const drawing = page.frames().find((frame) => frame.url() === address("evil.svg"));
  assert.equal(await drawing.evaluate(() => globalThis.origin), "null");
  for (const inner of drawing.childFrames()) assert.equal(await inner.evaluate(() => document.querySelector("#main")), null);
  assert.deepEqual(await page.evaluate(() => [String(globalThis.ran), document.title === "taken"]), ["undefined", false]);
  await assert.rejects(page.goto(address("evil.html")), /Download is starting/);
  // The same file shown by another server of this machine has the browser refuse the page in its frame.
  const other = createServer((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  try {
    const refused = page.waitForEvent("console", (message) => /frame-ancestors 'self'/.test(message.text()));
    await page.goto(`http://127.0.0.1:${other.address().port}/`);
    await refused;
    for (const frame of page.frames().slice(1)) assert.equal(await frame.evaluate(() => document.querySelector("#main")), null);
  } finally {
    other.close();
  }
  await page.context().close();
});
