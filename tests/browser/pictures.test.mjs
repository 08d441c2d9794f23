// Pictures in and out: results of tools, attachments, files of the project that an agent's answer names.

import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { at, axePath, DESK, eventually, finish, open, PHONE, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

/** A PNG of one colour with a diagonal. */
function png(width, height, [r, g, b]) {
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const line = Math.abs(x / width - y / height) < 0.02;
      rows.set(line ? [255, 255, 255] : [r, g, b], y * (1 + width * 3) + 1 + x * 3);
    }
  }
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([head, body, sum]);
  };
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  size.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", size), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

const PLOT = png(640, 400, [40, 90, 200]);

/** Has the fake Claude print lines. */
async function prints(worker, ...lines) {
  const file = join(server.folder("recordings"), `${worker.name}.jsonl`);
  const end = { type: "result", subtype: "success", is_error: false, result: "seen", duration_ms: 1, num_turns: 1, total_cost_usd: 0, usage: {} };
  writeFileSync(file, [...lines, end].map((line) => `${JSON.stringify(line)}\n`).join(""));
  await server.message(worker, `play ${file}`);
  await server.turns(worker, 1);
}

const reads = (id, path) => ({ type: "assistant", message: { id: `m${id}`, role: "assistant", content: [{ type: "tool_use", id, name: "Read", input: { file_path: path } }] } });
const answers = (id, ...pictures) => ({
  type: "user",
  message: {
    role: "user",
    content: [{ type: "tool_result", tool_use_id: id, content: pictures.map((data) => ({ type: "image", source: { type: "base64", media_type: "image/png", data: data.toString("base64") } })) }],
  },
});

const isLoaded = (page, selector) => eventually(page, (css) => {
  const images = [...document.querySelectorAll(css)];
  return images.length > 0 && images.every((img) => img.complete && img.naturalWidth > 1);
}, selector);

test("a picture that agents read is shown as a picture", async () => {
  const worker = await server.worker("plots");
  await prints(worker, reads("t1", join(server.folder("plots"), "plot.png")), answers("t1", PLOT, png(40, 30, [200, 60, 60])));
  const page = await open(server, at(worker));
  const pictures = page.locator(".item-tool .tool-preview button.picture");
  await pictures.first().waitFor();
  assert.equal(await pictures.count(), 2);
  const box = await pictures.first().boundingBox();
  assert.deepEqual([Math.round(box.width), Math.round(box.height)], [320, 200]);
  await isLoaded(page, ".item-tool .tool-preview img");
  assert.deepEqual(await pictures.first().boundingBox(), box, "nothing moves when the data come");
  assert.match(await page.locator(".item-tool .tool-note").innerText(), /2 pictures/);
  await page.locator(".item-tool summary").click();
  assert.doesNotMatch(await page.locator("body").innerText(), new RegExp(PLOT.toString("base64").slice(100, 140).replace(/\W/g, "\\$&")));
  assert.equal(await pictures.first().getAttribute("aria-label"), "plot.png, 1 of 2: show large");
  await finish(page, server);
});

test("a pasted picture stays a thumbnail after a reload", async () => {
  const worker = await server.worker("pastes");
  const page = await open(server, at(worker));
  await page.locator(".composer-box textarea").waitFor();
  await page.evaluate(async (bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "screen.png", { type: "image/png" }));
    document.querySelector(".composer-box textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, [...PLOT]);
  await isLoaded(page, ".thumbs img");
  await page.locator(".composer-box textarea").fill("what is this?");
  await page.locator(".composer-box textarea").press("Enter");
  await isLoaded(page, ".item-user button.picture img");
  await server.turns(worker, 1);
  await page.reload();
  await isLoaded(page, ".item-user button.picture img");
  assert.equal(await page.locator(".item-user button.picture").getAttribute("aria-label"), "screen.png: show large");
  await finish(page, server);
});

test("a picture opens, zooms and closes by keys", async () => {
  const worker = await server.worker("zooms");
  await prints(worker, reads("t1", "a.png"), answers("t1", png(2000, 1600, [20, 120, 60]), png(200, 100, [150, 60, 160])));
  const page = await open(server, at(worker));
  const first = page.locator(".tool-preview button.picture").first();
  await first.focus();
  await page.keyboard.press("Enter");
  const dialog = page.locator("dialog.lightbox[open]");
  await isLoaded(page, ".lightbox img");
  await page.evaluate(readFileSync(axePath, "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), []);
  const percent = async () => Number.parseInt(await dialog.locator(".percent").innerText(), 10);
  await eventually(page, () => Number.parseInt(document.querySelector(".lightbox .percent").textContent, 10) < 100);
  const fitted = await percent();
  await page.keyboard.press("+");
  assert.ok((await percent()) > fitted);
  await page.keyboard.press("-");
  await page.keyboard.press("-");
  assert.ok((await percent()) < fitted);
  await page.keyboard.press("0");
  assert.equal(await percent(), fitted);
  await page.mouse.move(720, 500);
  await page.mouse.wheel(0, -300);
  await eventually(page, (before) => Number.parseInt(document.querySelector(".lightbox .percent").textContent, 10) > before, fitted);
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector('.lightbox .caption:has-text("2 of 2")');
  await eventually(page, () => document.querySelector(".lightbox img").naturalWidth === 200);
  assert.equal(await percent(), 100, "a small picture is not blown up");
  await page.keyboard.press("ArrowLeft");
  await page.waitForSelector('.lightbox .caption:has-text("1 of 2")');
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await first.evaluate((el) => el === document.activeElement), true);
  assert.equal((await server.api("GET", `/api/workers/${worker.id}`)).status, "idle");
  await finish(page, server);
});

test("only pictures of the project are shown in answers", async () => {
  const worker = await server.worker("names");
  const project = server.folder("names");
  server.folder("names/plots");
  writeFileSync(join(project, "plots/a b.png"), PLOT);
  writeFileSync(join(server.dir, "secret.png"), PLOT);
  symlinkSync(join(server.dir, "secret.png"), join(project, "out.png"));
  const lines = [
    "echo ![a plot](plots/a%20b.png)",
    `![absolute](${project}/plots/a%20b.png)`,
    "![up](../secret.png)",
    "![link](out.png)",
    "![gone](gone.png)",
    "![remote](https://example.com/x.png)",
    "![local](http://127.0.0.1:1/x.png)",
    "![data](data:image/png;base64,AAAA)",
    "![script](javascript:alert(1))",
  ];
  await server.message(worker, lines.join("\n\n"));
  await server.turns(worker, 1);
  const page = await open(server, at(worker));
  await isLoaded(page, '.markdown button.picture[aria-label^="a plot"] img, .markdown button.picture[aria-label^="absolute"] img');
  await page.locator(".markdown .picture.broken").nth(1).waitFor();
  const shown = await page.locator(".markdown button.picture").evaluateAll((all) => all.map((el) => [el.getAttribute("aria-label"), el.disabled]));
  assert.deepEqual(shown, [["a plot: show large", false], ["absolute: show large", false], ["link: cannot be shown", true], ["gone: cannot be shown", true]]);
  assert.equal(await page.locator('.markdown a[href="https://example.com/x.png"]').count(), 1);
  assert.equal(await page.locator(".markdown .dead-link").count(), 3);
  await finish(page, server);
});

const EVIL = "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='60' onload='parent.ran=1;alert(1)'><script>parent.ran=1;alert(2)</script><rect width='90' height='60' fill='teal'/><foreignObject width='9' height='9'><img xmlns='http://www.w3.org/1999/xhtml' src='x' onerror='alert(3)'/></foreignObject></svg>";

test("scripts of an SVG do not run anywhere", async () => {
  const worker = await server.worker("vectors");
  writeFileSync(join(server.folder("vectors"), "evil.svg"), EVIL);
  await server.message(worker, "echo ![drawing](evil.svg)");
  await server.turns(worker, 1);
  const page = await open(server, at(worker));
  await isLoaded(page, ".markdown button.picture img");
  assert.equal(await page.evaluate("globals = window.ran"), undefined);
  const src = await page.locator(".markdown button.picture img").getAttribute("src");
  const answer = await page.goto(src);
  assert.deepEqual([answer.headers()["content-type"], answer.headers()["content-security-policy"]], ["image/svg+xml", "sandbox; default-src 'none'"]);
  assert.deepEqual(await page.evaluate(() => [String(window.ran), window.origin]), ["undefined", "null"]);
  // That it was kept from running is what the browser complains of.
  page.problems = page.problems.filter((text) => !/Content Security Policy|sandboxed/.test(text));
  await finish(page, server);
});

test("a file's name is text wherever it is shown", async () => {
  const worker = await server.worker("hostile-names");
  const name = '"><img src=x onerror=alert(1)> \u202egnp.png';
  writeFileSync(join(server.folder("hostile-names"), name), PLOT);
  await server.message(worker, `echo ![](<${name.replaceAll("<", "%3C").replaceAll(">", "%3E")}>)`);
  await server.turns(worker, 1);
  const page = await open(server, at(worker));
  await isLoaded(page, ".markdown button.picture img");
  await page.locator(".markdown button.picture").click();
  await page.waitForSelector('.lightbox .caption:has-text("onerror=alert(1)")');
  assert.match(await page.locator(".lightbox .caption").innerText(), /\[U\+202E\]gnp\.png/);
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  await page.keyboard.press("Escape");
  await finish(page, server);
});

for (const [name, view] of [["desk", DESK], ["phone", PHONE]]) {
  test(`pictures fit a ${name}, and nothing scrolls sideways`, async () => {
    const worker = await server.worker(`fits-${name}`);
    await prints(worker, reads("t1", "wide.png"), answers("t1", png(1600, 200, [90, 90, 90]), PLOT, png(100, 900, [30, 140, 140])));
    const page = await open(server, at(worker), view);
    await isLoaded(page, ".tool-preview img");
    assert.equal(await page.evaluate(() => document.querySelector(".scroller").scrollWidth <= document.querySelector(".scroller").clientWidth), true);
    await page.locator(".tool-preview button.picture").nth(1).click();
    await isLoaded(page, ".lightbox img");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    await page.getByRole("button", { name: "Close (Esc)" }).click();
    await finish(page, server);
  });
}
