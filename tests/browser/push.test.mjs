// The page as an app on a phone: notifications by Web Push, their buttons, the page without its server. The browser's own
// push service is on the Internet, so the stand-in of push-service.mjs is in its place, and what it gets is delivered to
// the service worker as Chromium would.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { answer, ask, PushService, until } from "./push-service.mjs";
import { draw, ICONS } from "./icons.mjs";
import { serviceWorker } from "./service-worker.mjs";
import { axePath, closeBrowser, closePages, DEADLINE_MS, DESK, finish, open, PHONE, Server, SHOTS } from "./support.mjs";

const TOKEN = "the-token-of-this-test-of-push";
const APP = { serviceWorkers: "allow", permissions: ["notifications"] };
const axe = readFileSync(axePath, "utf8");
let server;
let service;

before(async () => {
  service = await PushService.start();
  server = await Server.start({ AUTH_TOKEN: TOKEN, PUSH_ALLOW_PRIVATE: "true" });
  server.headers = { authorization: `Bearer ${TOKEN}` };
});
afterEach((context) => closePages(context.name));
after(async () => {
  await closeBrowser();
  await server.close();
  await service.close();
});

// A browser that is logged in, whose push service is the stand-in.
async function app(name, options = {}) {
  const receiver = service.receiver(name);
  const { code } = await server.api("POST", "/api/login/code");
  const page = await open(server, `#code=${code}`, { ...DESK, ...APP, ...options }, async (prepared) => {
    prepared.sent = [];
    prepared.on("websocket", (socket) => socket.on("framesent", ({ payload }) => prepared.sent.push(JSON.parse(payload))));
    await prepared.addInitScript((subscription) => {
      if (!globalThis.PushManager) return;
      const kept = "test.subscribed";
      const made = (options) => ({
        options,
        toJSON: () => subscription,
        unsubscribe: async () => localStorage.removeItem(kept),
      });
      PushManager.prototype.subscribe = async (options) => {
        if (!options.userVisibleOnly || options.applicationServerKey.length !== 65) throw new Error("wrong options");
        localStorage.setItem(kept, "yes");
        return made(options);
      };
      PushManager.prototype.getSubscription = async () => (localStorage.getItem(kept) ? made({}) : null);
    }, receiver.subscription);
  });
  await page.waitForSelector(".sidebar .brand");
  await page.waitForFunction(() => document.querySelector(".new-worker, .workers, .empty"));
  page.receiver = receiver;
  return page;
}

async function dialog(page) {
  await page.getByRole("button", { name: "Notifications" }).click();
  await page.waitForSelector("dialog .notifications");
}

async function turn(page, on) {
  await dialog(page);
  const control = page.getByRole("switch", { name: "Notify this device" });
  await control.click();
  if (on) await page.waitForSelector('.devices li:has-text("(this device)")');
  else await page.waitForFunction(() => !document.querySelector(".devices li"));
  assert.equal(await control.isChecked(), on);
}

const hide = (page, hidden) =>
  page.evaluate((is) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (is ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

test("a browser is subscribed, tested and removed by buttons", async () => {
  const page = await app("first", { bypassCSP: true });
  await turn(page, true);
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.waitForSelector('.push-result[data-level="good"]:has-text("The push service took it (201")');
  assert.equal(service.messages(page.receiver).at(-1).kind, "test");
  service.answers["/first"] = (response) => response.writeHead(403).end("the key is not known");
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.waitForSelector('.push-result[data-level="bad"]:has-text("refused it with 403: the key is not known")');
  delete service.answers["/first"];

  for (const [scheme, view] of [["light", DESK], ["dark", DESK], ["light", PHONE], ["dark", PHONE]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize(view.viewport);
    await page.screenshot({ path: `${SHOTS}/notifications-${scheme}-${view === DESK ? "desk" : "phone"}.png` });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    assert.deepEqual(violations.map(({ id }) => id), [], scheme);
  }
  await page.emulateMedia({ colorScheme: "light", forcedColors: "active" });
  await page.screenshot({ path: `${SHOTS}/notifications-forced.png` });
  await page.emulateMedia({ forcedColors: "none" });
  await page.setViewportSize(DESK.viewport);

  // A page that is loaded again renews what the server has.
  const { subscriptions: [kept] } = await server.api("GET", "/api/push");
  await server.api("DELETE", `/api/push/subscriptions/${kept.id}`);
  await page.reload();
  await until("the renewed subscription", async () => (await server.api("GET", "/api/push")).subscriptions.length === 1);

  await dialog(page);
  await page.getByRole("button", { name: /^Remove Chrome/ }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector(".devices li"));
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "switch");
  assert.equal(await page.getByRole("switch").isChecked(), false);
  assert.deepEqual((await server.api("GET", "/api/push")).subscriptions, []);
  await finish(page, server);
});

test("a notification allows its prompt or opens its worker", async () => {
  const page = await app("second");
  await turn(page, true);
  await page.keyboard.press("Escape");
  const { deliver, notes, click } = await serviceWorker(page, server);
  const asking = await server.worker("asking");
  await page.waitForSelector('.workers a:has-text("asking")');

  // In view, nothing is sent; unanswered when the page is hidden, it is.
  const prompt = await ask(server, asking);
  await page.waitForSelector('.workers li:has-text("asking") .status-waiting');
  await hide(page, true);
  const [request] = await service.wait(page.receiver, 1);
  const message = page.receiver.decrypt(request.body);
  assert.deepEqual([message.kind, message.request], ["permission", prompt.request_id]);
  await deliver(message);
  const [note] = await until("the notification", async () => ((await notes()).length ? notes() : null));
  assert.deepEqual([note.title, note.body, note.actions], ["asking", "wants your permission", ["Allow", "Deny"]]);

  await click(asking.id, "allow_once");
  await server.turns(asking, 1);
  assert.deepEqual(await notes(), []);

  // Its worker opens where there is no button, and where a button comes too late.
  const again = await ask(server, asking);
  await service.wait(page.receiver, 3);
  await deliver(service.messages(page.receiver).at(-1));
  await until("the notification", async () => (await notes()).length === 1);
  await click(asking.id);
  await page.waitForFunction((id) => location.hash === `#/w/${id}`, asking.id);
  await page.waitForSelector(".prompt-card");
  await page.evaluate(() => (location.hash = "#/"));
  await deliver(service.messages(page.receiver).at(-1));
  await until("the notification", async () => (await notes()).length === 1);
  await answer(server, again, "reject_once");
  await deliver({ ...service.messages(page.receiver).at(-1), kind: "permission", request: again.request_id });
  await click(asking.id, "allow_once");
  await page.waitForFunction((id) => location.hash === `#/w/${id}`, asking.id);
  await page.evaluate(() => (location.hash = "#/"));

  // A notification of a prompt that was answered elsewhere goes away when the page is looked at.
  const third = await ask(server, asking);
  await deliver({ kind: "permission", worker: asking.id, name: "asking", request: third.request_id });
  await until("the notification", async () => (await notes()).length === 1);
  await answer(server, third);
  await hide(page, false);
  await until("no notification", async () => (await notes()).length === 0);
  await turn(page, false);
  await finish(page, server);
});

test("only the open worker of a used page is viewed", async () => {
  const [own, other] = [await server.worker("open here"), await server.worker("not open")];
  const page = await app("phone", PHONE);
  await turn(page, true);
  await page.keyboard.press("Escape");
  await page.evaluate((id) => (location.hash = `#/w/${id}`), own.id);
  const said = () => page.sent.findLast(({ type }) => /_view$/.test(type));
  await until("the open worker in view", () => said()?.type === "in_view" && said().worker_id === own.id);
  const prompt = await ask(server, own);
  const elsewhere = await ask(server, other);
  await service.wait(page.receiver, 1);
  assert.deepEqual(service.messages(page.receiver).map(({ name }) => name), ["not open"]);
  await answer(server, elsewhere);
  await answer(server, prompt);

  // Hours later by the page's clock, and nobody has touched it.
  await page.clock.install();
  await page.clock.fastForward("06:00");
  await until("out of view", () => said().type === "out_of_view");
  await page.touchscreen.tap(200, 400);
  await until("in view again", () => said().type === "in_view");
  await page.evaluate(() => (location.hash = "#/"));
  await until("the list in view", () => said().type === "in_view" && !said().worker_id);
  await finish(page, server);
});

test("a malformed push is shown as a notification without buttons", async () => {
  const page = await app("third");
  const { deliver, notes } = await serviceWorker(page, server);
  for (const message of [{}, { kind: "new", name: "x\u202e<b>y\n" }, { kind: "permission", worker: "w", name: "no request" }]) await deliver(message);
  const shown = await until("three", async () => ((await notes()).length >= 2 ? notes() : null));
  assert.ok(shown.every(({ actions }) => actions.length === 0));
  assert.ok(shown.some(({ title, body }) => title === "x <b>y " && body === "has news"), JSON.stringify(shown));
  await finish(page, server);
});

// Files on disk have no links to what they import, so the service worker does not know of it.
const skip = process.env.STATIC_DIR ? "of the page in the program" : false;

test("the page opens offline and stores no conversation", { skip }, async () => {
  const told = await server.told("secretive", "echo the-secret-of-this-test");
  const page = await app("fourth");
  const { scope } = await serviceWorker(page, server);
  await page.evaluate((id) => (location.hash = `#/w/${id}`), told.id);
  await page.waitForSelector('.item-assistant:has-text("the-secret-of-this-test")');
  // The document is stored last, after all that it links.
  await until("the files", () => scope.evaluate(async () => (await caches.keys()).length === 1 && (await (await caches.open((await caches.keys())[0])).keys()).some(({ url }) => url.endsWith("/"))));
  await page.reload();
  await page.waitForSelector('.item-assistant:has-text("the-secret-of-this-test")');
  const kept = await scope.evaluate(async () => {
    const cache = await caches.open((await caches.keys())[0]);
    const entries = await Promise.all((await cache.keys()).map(async (request) => [request.url, await (await cache.match(request)).text()]));
    return { urls: entries.map(([url]) => url), secret: entries.filter(([, text]) => text.includes("the-secret-of-this-test")).length };
  });
  assert.deepEqual(kept.urls.filter((url) => url !== `${server.url}/` && !url.startsWith(`${server.url}/static/`)), []);
  assert.equal(kept.secret, 0);
  await server.down();
  await page.reload();
  await page.waitForSelector(".banner:not([hidden])");
  await page.screenshot({ path: `${SHOTS}/offline-desk.png` });
  await server.again();
  await page.waitForSelector('.item-assistant:has-text("the-secret-of-this-test")', { timeout: DEADLINE_MS });
  await finish(page, server);
});

test("the page can be installed", async () => {
  const page = await app("fifth");
  const session = await page.context().newCDPSession(page);
  const { errors, data, url } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data);
  assert.equal(url, `${server.url}/manifest.webmanifest`);
  for (const { src, sizes, type } of manifest.icons) {
    const size = await page.evaluate(async (address) => {
      const picture = new Image();
      picture.src = address;
      await picture.decode();
      return `${picture.naturalWidth}x${picture.naturalHeight}`;
    }, new URL(src, url).href);
    if (type === "image/png") assert.equal(size, sizes, src);
  }
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"), []);
  await finish(page, server);
});

test("icons are drawn from the logo", async () => {
  for (const [name, icon] of Object.entries(ICONS)) {
    const kept = readFileSync(new URL(`../../static/icons/${name}`, import.meta.url));
    const drawn = await draw(icon);
    const differing = await difference(kept, drawn, icon.size);
    assert.ok(differing < 0.01, `${name}: ${differing} of its pixels differ; make icons draws it anew`);
  }
});

// The part of two pictures that differs clearly.
async function difference(first, second, size) {
  const page = await open(server);
  const part = await page.evaluate(
    async ([one, other, side]) => {
      const pixels = async (base64) => {
        const picture = new Image();
        picture.src = `data:image/png;base64,${base64}`;
        await picture.decode();
        const canvas = new OffscreenCanvas(side, side).getContext("2d");
        canvas.drawImage(picture, 0, 0);
        return canvas.getImageData(0, 0, side, side).data;
      };
      const [a, b] = [await pixels(one), await pixels(other)];
      let count = 0;
      for (let at = 0; at < a.length; at += 1) if (Math.abs(a[at] - b[at]) > 48) count += 1;
      return count / a.length;
    },
    [first.toString("base64"), second.toString("base64"), size],
  );
  await page.context().close();
  return part;
}
