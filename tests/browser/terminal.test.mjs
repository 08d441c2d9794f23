// A terminal on the page: keys, paste, mouse, scrollback, size, phone, a killed server, and how it looks.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, axePath, DESK, eventually, finish, open, PHONE, serverOfAllTests, SHOTS } from "./support.mjs";

const server = serverOfAllTests();

const text = (page) => page.locator(".term-rows").evaluate((rows) => [...rows.children].map((row) => row.textContent.trimEnd()).join("\n"));
const shows = (page, wanted) => eventually(page, (want) => document.querySelector(".term-rows")?.textContent.includes(want), wanted);
const type = (page, words) => page.keyboard.type(words);

let made = 0;

/** A page with a terminal of a new worker, in which bash runs. */
async function terminal(view = DESK) {
  const worker = await server.worker(`t${(made += 1)}`);
  const body = { program: ["env", "PS1=$ ", "bash", "--norc", "--noprofile"] };
  const { id } = await server.api("POST", `/api/workers/${worker.id}/terminals`, body);
  const page = await open(server, at(worker), view);
  await page.waitForSelector('.scroller[aria-busy="false"]');
  await page.getByRole("button", { name: "Actions of this worker" }).click();
  await page.getByRole("menuitem", { name: "Terminal" }).click();
  await shows(page, "$");
  return { worker, page, id };
}

async function picture(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `terminal-${name}.png`) });
}

test("a shell takes keys and paste and shows text", async () => {
  const { page } = await terminal();
  await type(page, "echo typed-''text\r");
  await shows(page, "typed-text");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Home");
  await type(page, "true; ");
  await page.keyboard.press("Enter");
  await shows(page, "true; echo typed-''text");
  await type(page, "sh -c 'echo ru\"\"ns; exec sleep 1000'\r");
  await shows(page, "runs");
  await page.keyboard.press("Control+c");
  await shows(page, "^C");
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "echo pas''ted\n");
    document.querySelector(".term-input").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await shows(page, "echo pas''ted");
  await page.keyboard.press("Enter");
  await shows(page, "pasted");
  // Rows are selected as any text is.
  const selected = await page.evaluate(() => {
    const row = [...document.querySelectorAll(".term-row")].find((one) => one.textContent.trimEnd() === "typed-text");
    document.getSelection().selectAllChildren(row);
    return document.getSelection().toString();
  });
  assert.equal(selected, "typed-text");
  await page.keyboard.press("Shift+Escape");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Close/);
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog.terminal", { state: "detached" });
  await finish(page, server);
});

test("the size follows the window, wide characters take two cells", async () => {
  const { page } = await terminal();
  const size = () => page.locator(".term-rows").evaluate((rows) => rows.children.length);
  const before = await size();
  await page.setViewportSize({ width: 900, height: 500 });
  await eventually(page, (rows) => document.querySelector(".term-rows").children.length < rows, before);
  await type(page, "clear; stty size\r");
  const rows = await size();
  await shows(page, `${rows} `);
  await type(page, "clear; printf '\\346\\274\\242\\345\\255\\227|e\\314\\201|abcd|\\n1234|5|6789|\\n'\r");
  await eventually(page, () => [...document.querySelectorAll(".term-row")].some((row) => row.textContent.startsWith("1234|5|6789|")));
  const places = await page.evaluate(() => {
    const rows = [...document.querySelectorAll(".term-row")];
    const bars = (row) => {
      const found = [];
      const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (let at = node.data.indexOf("|"); at >= 0; at = node.data.indexOf("|", at + 1)) {
          const range = document.createRange();
          range.setStart(node, at);
          range.setEnd(node, at + 1);
          found.push(Math.round(range.getBoundingClientRect().left));
        }
      return found;
    };
    const at = rows.findIndex((row) => row.textContent.startsWith("\u6f22"));
    return [bars(rows[at]), bars(rows[at + 1])];
  });
  assert.equal(places[0].length, 3);
  for (const [index, left] of places[0].entries()) assert.ok(Math.abs(left - places[1][index]) <= 1, JSON.stringify(places));
  await finish(page, server);
});

test("lines that left the screen are scrolled back to", async () => {
  const { page } = await terminal();
  await type(page, "seq 1 5000\r");
  await shows(page, "5000");
  await page.locator(".term-screen").hover();
  await page.mouse.wheel(0, -200);
  await page.waitForSelector(".term-past .term-row");
  for (let turn = 0; turn < 40; turn += 1) await page.mouse.wheel(0, -3000);
  await eventually(page, () => document.querySelector(".term-past").children.length > 300);
  const lines = await page.locator(".term-past").evaluate((past) => [...past.children].map((row) => Number(row.textContent)));
  assert.deepEqual(lines, lines.map((_, index) => lines[0] + index), "no line is missing or twice");
  await type(page, "x");
  await eventually(page, () => !document.querySelector(".term-past").firstChild);
  await finish(page, server);
});

test("a killed server and a flood leave the page usable", async () => {
  const { page } = await terminal();
  await type(page, "kept=yes; echo re''ady\r");
  await shows(page, "ready");
  await server.down("SIGKILL");
  await eventually(page, () => /lost/.test(document.querySelector(".term-status").textContent));
  await server.again();
  await eventually(page, () => document.querySelector(".term-status").textContent === "");
  await type(page, "echo $kept-''still\r");
  await shows(page, "yes-still");
  await type(page, "while :; do head -c 10000000 /dev/zero | tr '\\0' 'abcdefg\\n'; seq 1 100000; done\r");
  await eventually(page, () => document.querySelector(".term-rows").children[0].textContent.length > 3);
  // The page draws and answers in the middle of it.
  for (let look = 0; look < 5; look += 1) {
    const late = await page.evaluate(() => new Promise((resolve) => {
      const begun = performance.now();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)));
    }));
    assert.ok(late < 2000, `${late} ms`);
  }
  await page.keyboard.press("Control+c");
  await type(page, "\recho qui''et\r");
  await shows(page, "quiet");
  await finish(page, server);
});

test("a terminal ends in words, and a new one begins", async () => {
  const { page, worker } = await terminal();
  await type(page, "exit 4\r");
  await eventually(page, () => document.querySelector(".term-status").textContent === "The program ended with code 4.");
  await page.getByRole("button", { name: "New terminal" }).click();
  await eventually(page, () => document.querySelector(".term-status").textContent === "");
  await type(page, "echo $((6*7))-new\r");
  await shows(page, "42-new");
  const { terminals } = await server.api("GET", `/api/workers/${worker.id}/terminals`);
  assert.equal(terminals.length, 1);
  await page.getByRole("button", { name: "End this terminal" }).click();
  await eventually(page, () => /ended/.test(document.querySelector(".term-status").textContent));
  assert.deepEqual((await server.api("GET", `/api/workers/${worker.id}/terminals`)).terminals, []);
  await finish(page, server);
});

const LOOKS = [
  ["desk-light", { ...DESK, colorScheme: "light" }],
  ["desk-dark", { ...DESK, colorScheme: "dark" }],
  ["phone-light", { ...PHONE, colorScheme: "light" }],
  ["phone-dark", { ...PHONE, colorScheme: "dark" }],
];

for (const [name, view] of LOOKS)
  test(`vim is drawn and clicked in ${name}`, async () => {
    const { page, worker } = await terminal(view);
    writeFileSync(join(server.folder(worker.name), "sample.rs"), "// \u6f22\u5b57\nfn main() {\n    let x = \"text\";\n    println!(\"{x} \u2500\u2502\u250c\");\n}\n".repeat(20));
    await type(page, "vim -u NONE -i NONE -n -c 'set nu hls ruler nocp mouse=a laststatus=2' -c 'syntax on' sample.rs\r");
    await shows(page, "fn main");
    if (name.startsWith("desk")) {
      const third = page.locator(".term-rows > .term-row").nth(2);
      await third.click({ position: { x: 200, y: 5 } });
      await shows(page, "3,");
      await page.mouse.wheel(0, 600);
      await eventually(page, () => !/^\s+1 /.test(document.querySelector(".term-row").textContent));
    } else {
      // What a phone's keyboard lacks.
      await page.getByRole("button", { name: "Down" }).click();
      await page.getByRole("button", { name: "Down" }).click();
      await shows(page, "3,1");
      await page.getByRole("button", { name: "Ctrl" }).click();
      await type(page, "g");
      await shows(page, "100 lines --3%--");
      const keys = await page.locator(".term-keys button").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
      assert.ok(keys.every((height) => height >= 44));
    }
    await picture(page, name);
    await page.evaluate(readFileSync(axePath, "utf8"));
    // Programs choose colours of their own.
    const rules = { "color-contrast": { enabled: false } };
    const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ["violations"], rules }), rules);
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), []);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    assert.ok(wide, "nothing is wider than the window");
    assert.match(await text(page), /fn main/);
    await finish(page, server);
  });
