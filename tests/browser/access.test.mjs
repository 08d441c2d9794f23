// The accessibility audit: no violation in any state, light and dark, on a desk and on a phone. It leaves screenshots.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { at, axePath, closeBrowser, closePages, DESK, open, PHONE, Server, SHOTS } from "./support.mjs";

const axe = readFileSync(axePath, "utf8");
const CODE = 'tool Edit {"file_path":"/p/src/writer.rs","old_string":"    file.write_all(lines)?;\\n    Ok(())","new_string":"    if let Err(error) = file.write_all(lines) {\\n        file.set_len(start)?;\\n        return Err(error);\\n    }\\n    Ok(())"}';
let server;
let busy;
let asks;
let failed;

before(async () => {
  server = await Server.start();
  failed = await server.told("migration", "echo # Plan\n\n1. Read the schema\n2. Write the **migration**", "fail API Error: 529 Overloaded", "stderr a warning");
  busy = await server.told("journal writer", "echo I read the **journal writer**. `append` is not atomic when the disk is full; I mend that first.", CODE, 'tool Bash {"command":"cargo test --lib journal","description":"run the tests"}');
  await server.message(busy, "hang");
  asks = await server.told("release", "echo Ready to build.");
  await server.message(asks, 'permission Bash {"command":"rm -rf target/debug && cargo build --release","description":"Build from nothing"}');
  await server.until(asks, "waiting");
  await server.until(busy, "busy");
});
afterEach((context) => closePages(context.name));
after(async () => {
  await closeBrowser();
  await server.close();
});

async function audit(page, name) {
  await page.waitForTimeout(250);
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { violations: found } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
  });
  assert.deepEqual(violations, [], name);
}

for (const [size, view] of [["desk", DESK], ["phone", PHONE]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`${size}, ${colorScheme}: every state passes the audit`, async () => {
      const page = await open(server, "#/", { ...view, colorScheme, bypassCSP: true });
      const states = [["list", "#/"], ["busy", at(busy)], ["error", at(failed)], ["inbox", "#/inbox"], ["permission", at(asks)]];
      await page.waitForSelector(".workers a");
      for (const [name, hash] of states) {
        await page.evaluate((to) => {
          location.hash = to;
        }, hash);
        if (hash.includes("/w/")) await page.waitForSelector(".item-turn, .prompt-card");
        await audit(page, `${size}-${colorScheme}-${name}`);
      }
      await page.locator(".scroller").focus();
      await page.keyboard.press("p");
      for (const tab of ["Changes", "Usage", "Process", "stderr"]) {
        await page.getByRole("tab", { name: tab }).click();
        await audit(page, `${size}-${colorScheme}-panel-${tab.toLowerCase()}`);
      }
      await page.getByRole("button", { name: "Close the panel" }).click();
      await page.getByRole("button", { name: "Actions of this worker" }).click();
      await audit(page, `${size}-${colorScheme}-menu`);
      await page.keyboard.press("Escape");
      await page.locator(".scroller").focus();
      await page.keyboard.press("?");
      await page.waitForSelector(".help");
      await audit(page, `${size}-${colorScheme}-help`);
      await page.keyboard.press("Escape");
      await page.keyboard.press("s");
      await page.getByRole("searchbox", { name: "Words" }).fill("o");
      await page.waitForSelector(".found mark");
      await audit(page, `${size}-${colorScheme}-search`);
      await page.keyboard.press("Escape");
      await page.keyboard.press("n");
      await page.waitForSelector(".cli");
      await page.locator('dialog summary:has-text("More options")').click();
      await audit(page, `${size}-${colorScheme}-create`);
      await page.keyboard.press("Escape");
      await page.context().close();
    });
  }
}

test("at 200 % zoom nothing is cut off", async () => {
  const page = await open(server, at(asks), { viewport: { width: 720, height: 450 }, deviceScaleFactor: 2 });
  await page.waitForSelector(".prompt-card");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.equal(await page.locator(".composer-box").isVisible(), true);
  await page.screenshot({ path: join(SHOTS, "zoom.png") });
  await page.context().close();
});
