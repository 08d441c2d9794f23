// Messages to services for notifications: what is sent, and the buttons that answer.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { answer, ask, PushService, until } from "./push-service.mjs";
import { Server } from "./support.mjs";

const TOKEN = "the-token-of-this-test-of-services";
const PAGE = "https://agents.example/base";
const opened = [];

after(async () => {
  for (const one of opened) await one.close();
});

async function both(format, path, env = {}) {
  const service = await PushService.start();
  const settings = { WEBHOOK_URL: `${service.url}${path}`, WEBHOOK_FORMAT: format, WEBHOOK_ALLOW_PRIVATE: "true", AUTH_TOKEN: TOKEN, ...env };
  const server = await Server.start(settings);
  server.headers = { authorization: `Bearer ${TOKEN}` };
  opened.push(server, service);
  const messages = async (count) => {
    await until(`${count} messages`, () => service.requests.length >= count);
    return service.requests.map(({ path: to, headers, body }) => ({ to, headers, body: JSON.parse(body) }));
  };
  return { service, server, messages };
}

// A button of ntfy, pressed on a phone that has no token.
const press = (server, { url, method }) => fetch(url.replace(PAGE, server.url), { method });

test("an ntfy button answers its prompt once without a token", async () => {
  const { server, messages } = await both("ntfy", "/topic", { PUBLIC_URL: PAGE, WEBHOOK_BUTTONS: "true", WEBHOOK_TOKEN: "tk_of_the_service" });
  const worker = await server.worker("api");
  await ask(server, worker);
  const [{ to, headers, body }] = await messages(1);
  assert.deepEqual([to, headers.authorization, headers["webhook-signature"]], ["/", "Bearer tk_of_the_service", undefined]);
  assert.deepEqual([body.topic, body.title, body.message, body.click], ["topic", "api", "wants to use Bash", `${PAGE}/#/w/${worker.id}`]);
  assert.ok(!JSON.stringify(body).includes(TOKEN));
  const [allow, deny, open] = body.actions;
  assert.deepEqual([allow.label, deny.label, open.action], ["Allow", "Deny", "view"]);

  assert.equal((await press(server, { ...allow, method: "GET" })).status, 405, "a preview answers nobody");
  const answered = await press(server, allow);
  assert.deepEqual([answered.status, (await answered.json()).status], [200, "answered"]);
  await server.turns(worker, 1);
  for (const button of [allow, deny]) assert.equal((await press(server, button)).status, 404);

  // A prompt that was answered on the page, and one that is still open: a button belongs to its own alone.
  await answer(server, await ask(server, worker));
  const late = (await messages(3)).at(2).body.actions[0];
  const prompt = await ask(server, worker);
  assert.equal((await press(server, late)).status, 409);
  const { permissions } = await server.api("GET", "/api/permissions");
  assert.deepEqual(permissions.map(({ request_id: id }) => id), [prompt.request_id]);
  const denied = (await messages(5)).at(4).body.actions[1];
  assert.equal((await press(server, denied)).status, 200);
  await server.turns(worker, 3);
  assert.ok(!server.log.includes(allow.url.split("/").at(-1)), "links are not logged");
});

for (const [format, path, read] of [
  ["slack", "/services/T/B/X", (body) => body.text],
  ["discord", "/api/webhooks/1/x", (body) => `${body.embeds[0].title}: ${body.embeds[0].description}`],
  ["telegram", "/bot1:x/sendMessage?chat_id=-7", (body) => `${body.chat_id}: ${body.text}`],
  ["gotify", "/message", (body) => `${body.title}: ${body.message}`],
]) {
  test(`${format} reports waiting workers and finished turns`, async () => {
    const { server, messages } = await both(format, path, { WEBHOOK_TOKEN: "of-the-service" });
    const worker = await server.worker("api");
    await answer(server, await ask(server, worker));
    const told = await messages(2);
    assert.match(read(told[0].body), /api.* wants to use Bash/);
    assert.match(read(told[1].body), /api.* has ended its turn/);
    assert.deepEqual([...new Set(told.map(({ to }) => to))], [path.split("?")[0]]);
    assert.equal(told[0].headers["x-gotify-key"], format === "gotify" ? "of-the-service" : undefined);
    assert.ok(!JSON.stringify(told.map(({ body }) => body)).includes("command"), "no text of the conversation");
  });
}

test("settings that cannot work stop the start and say why", async () => {
  for (const [env, said] of [
    [{ WEBHOOK_URL: "https://ntfy.example/", WEBHOOK_FORMAT: "ntfy" }, /no topic of ntfy/],
    [{ WEBHOOK_URL: "https://t.example/bot1:x/sendMessage", WEBHOOK_FORMAT: "telegram" }, /no chat of Telegram/],
    [{ WEBHOOK_URL: "https://slack.example/x", WEBHOOK_FORMAT: "slack", WEBHOOK_BUTTONS: "true", PUBLIC_URL: PAGE }, /WEBHOOK_BUTTONS needs/],
    [{ WEBHOOK_URL: "https://ntfy.example/t", WEBHOOK_FORMAT: "ntfy", WEBHOOK_BUTTONS: "true" }, /WEBHOOK_BUTTONS needs/],
    [{ WEBHOOK_URL: "https://x.example/t" }, /WEBHOOK_SECRET is not/],
    [{ WEBHOOK_FORMAT: "pager" }, /WEBHOOK_FORMAT/],
    [{ PUSH_CONTACT: "me" }, /PUSH_CONTACT must begin with/],
  ]) {
    await assert.rejects(Server.start(env), said);
  }
});
