// Connections that fall silent, and servers that come back with other data.

import assert from "node:assert/strict";
import { cpSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, finish, open, say, Server, serverOfAllTests } from "./support.mjs";

const server = serverOfAllTests();

test("a silent connection is reported and messages wait for another", async () => {
  const worker = await server.worker("silent");
  const link = { dead: false };
  const page = await open(server, at(worker), undefined, (made) => made.routeWebSocket(/\/ws$/, (socket) => {
    const upstream = socket.connectToServer();
    const isOld = !link.sockets;
    link.sockets = true;
    socket.onMessage((text) => !(link.dead && isOld) && upstream.send(text));
    upstream.onMessage((text) => !(link.dead && isOld) && socket.send(text));
  }));
  await page.waitForSelector(".composer-box > textarea:focus");
  await page.waitForSelector('.scroller[aria-busy="false"]');
  link.dead = true;
  await say(page, "echo over the gap");
  await page.evaluate(() => window.dispatchEvent(new Event("offline")));
  await page.waitForSelector('.item-assistant:has-text("over the gap")');
  assert.equal(await page.locator('.bubble:has-text("over the gap")').count(), 1);
  await finish(page, server);
});

test("data that was put back is shown from its beginning", async () => {
  const own = await Server.start();
  try {
    const worker = await own.told("restored", "echo first", "echo kept");
    await own.api("POST", `/api/workers/${worker.id}/stop`);
    await own.until(worker, "stopped");
    await own.down();
    cpSync(join(own.dir, "data"), join(own.dir, "backup"), { recursive: true });
    await own.again();
    const page = await open(own, at(worker));
    await say(page, "echo undone");
    await page.waitForSelector('.item-assistant:has-text("undone")');
    await page.waitForSelector(".head-status .status-idle");
    await own.api("POST", `/api/workers/${worker.id}/stop`);
    await own.until(worker, "stopped");
    await own.down();
    rmSync(join(own.dir, "data"), { recursive: true });
    renameSync(join(own.dir, "backup"), join(own.dir, "data"));
    await own.again();
    await page.getByText("The history is another one than before").waitFor();
    for (const text of ["first", "kept"]) await page.waitForSelector(`.item-assistant:has-text("${text}")`);
    assert.equal(await page.locator('.item-assistant:has-text("undone")').count(), 0);
    await finish(page, own);
  } finally {
    await own.close();
  }
});
