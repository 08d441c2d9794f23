// Formulas in LaTeX as MathML; prices and shell variables as text; diagrams as source that can be copied.

import assert from "node:assert/strict";
import { test } from "node:test";
import { at, finish, open, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("formulas are drawn, and prices are not", async () => {
  const worker = await server.told("formulas", String.raw`echo Area $\frac{a^2}{\sqrt b}$ costs $5 and $6; $\nosuch{x}$; $$\sum_{i=1}^n i$$`);
  const page = await open(server, at(worker));
  const answer = page.locator(".item-assistant .markdown").first();
  await answer.locator("math").first().waitFor();
  assert.equal(await answer.locator("math").count(), 2);
  assert.equal(await answer.locator("math mfrac msqrt").count(), 1);
  assert.equal(await answer.locator('math[display="block"] munderover').count(), 1);
  const text = await answer.innerText();
  assert.match(text, /costs \$5 and \$6/);
  assert.match(text, /\$\\nosuch\{x\}\$/);
  // It is laid out as a fraction: the denominator is below.
  const [top, bottom] = await answer.locator("math mfrac > *").evaluateAll((all) => all.map((el) => el.getBoundingClientRect().top));
  assert.ok(bottom > top + 4, `${top} and ${bottom}`);
  await finish(page, server);
});

test("formulas between brackets behind backslashes are drawn", async () => {
  const worker = await server.told("brackets", String.raw`echo So \(a*b\) and \(c*d\), \[\frac{x}{2} = y\] but \(see below\) and ` + "`\\(code\\)`");
  const page = await open(server, at(worker));
  const answer = page.locator(".item-assistant .markdown").first();
  await answer.locator("math").nth(2).waitFor();
  assert.equal(await answer.locator("math").count(), 3);
  assert.equal(await answer.locator('math[display="block"] mfrac').count(), 1);
  assert.equal(await answer.locator("em, math em").count(), 0);
  assert.match(await answer.innerText(), /\(see below\) and\s+\\\(code\\\)/);
  await finish(page, server);
});

test("markup in a formula stays text", async () => {
  const worker = await server.told("hostile", String.raw`echo $\text{<img src=x onerror=alert(1)>}$ and $\href{javascript:alert(1)}{x}$`);
  const page = await open(server, at(worker));
  await page.locator(".item-turn").first().waitFor();
  assert.equal(await page.locator(".item-assistant :is(img, a[href^=javascript], script)").count(), 0);
  assert.match(await page.locator(".item-assistant .markdown").first().textContent(), /<img src=x onerror=alert\(1\)>/);
  await finish(page, server);
});

test("a diagram is shown as source with a copy button", async () => {
  const worker = await server.told("diagram", "echo ```mermaid\ngraph TD; A-->B;\n```");
  const page = await open(server, at(worker));
  const block = page.locator(".item-assistant .code-block").first();
  await block.waitFor();
  assert.match(await block.innerText(), /mermaid[^]*graph TD; A-->B;/);
  assert.equal(await block.locator('button[aria-label="Copy code"]').count(), 1);
  await finish(page, server);
});
