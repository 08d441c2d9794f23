// Web Push between the server and a stand-in push service: what is sent, when, and what becomes of it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { answer, ask, PushService, subscribe, until, verified, webPush } from "./push-service.mjs";
import { Server } from "./support.mjs";
import { page } from "./web-socket.mjs";

const ALLOWED = { PUSH_ALLOW_PRIVATE: "true" };
const opened = [];

after(async () => {
  for (const one of opened) await one.close();
});

async function both(env = ALLOWED, tls = null) {
  const [service, server] = [await PushService.start(tls), await Server.start(env)];
  opened.push(server, service);
  return [service, server];
}

const subscriptions = async (server) => (await server.api("GET", "/api/push")).subscriptions;

// A certificate of localhost that nobody but itself vouches for.
function certificate(dir) {
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost";
  execFileSync("openssl", [...request.split(" "), "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { key: readFileSync(key), cert: readFileSync(cert), file: cert };
}

test("another implementation decrypts pushes with kind, name and ids", async () => {
  const [service, server] = await both();
  const receiver = service.receiver("phone");
  await subscribe(server, receiver);
  const worker = await server.worker("api");
  const prompt = await ask(server, worker);
  const [request] = await service.wait(receiver, 1);
  assert.deepEqual(receiver.decrypt(request.body), { kind: "permission", worker: worker.id, name: "api", request: prompt.request_id });
  assert.ok(request.body.length <= 4096);
  console.log(`measured: ms from the agent's prompt to the push service: ${request.at - Date.parse(prompt.timestamp)}`);

  const { header, claims, key } = verified(request);
  const { public_key: own } = await server.api("GET", "/api/push");
  assert.deepEqual([header, claims.aud, key], [{ typ: "JWT", alg: "ES256" }, service.url, own]);
  const hours = (claims.exp - Date.now() / 1000) / 3600;
  assert.ok(hours > 11 && hours < 24 && claims.sub.startsWith("mailto:"), JSON.stringify(claims));

  // The header fields are those that another sender has for the same message.
  const vapidDetails = { ...webPush.generateVAPIDKeys(), subject: "mailto:a@b.example" };
  const theirs = webPush.generateRequestDetails(receiver.subscription, "x", { vapidDetails, TTL: 60, urgency: "high", topic: "t" }).headers;
  for (const name of Object.keys(theirs)) assert.ok(request.headers[name.toLowerCase()], name);
  assert.equal(request.headers["content-encoding"], theirs["Content-Encoding"]);
  const { ttl, urgency, topic } = request.headers;
  assert.deepEqual([Number(ttl) > 86_000, urgency], [true, "high"]);
  assert.match(topic, /^[\w-]{32}$/);
  assert.ok(!topic.includes(worker.id) && !JSON.stringify(request.headers).includes(worker.id));

  await answer(server, prompt);
  const [, ended] = await service.wait(receiver, 2);
  assert.deepEqual(receiver.decrypt(ended.body), { kind: "turn_completed", worker: worker.id, name: "api" });
  assert.deepEqual([ended.headers.topic, ended.headers.urgency], [topic, "normal"], "it replaces what was not delivered");
});

test("a budget's warning is pushed once at 80 %", async () => {
  const [service, server] = await both();
  const receiver = service.receiver("phone");
  await subscribe(server, receiver);
  await server.api("POST", "/api/budgets", { name: "five", limits: { turns: 5 } });
  const worker = await server.worker("api");
  for (let turn = 1; turn <= 4; turn += 1) {
    await answer(server, await ask(server, worker));
    await until(`turn ${turn}`, async () => (await server.api("GET", `/api/workers/${worker.id}`)).turns === turn);
  }
  const warnings = () => service.messages(receiver).filter(({ kind }) => kind === "budget_warning");
  await until("a warning", async () => warnings().length > 0);
  assert.deepEqual(warnings(), [{ kind: "budget_warning", worker: worker.id, name: "api" }]);
  // A prompt that is answered before its turn to be sent is not sent.
  const last = await ask(server, worker);
  await until("the last prompt", async () => service.messages(receiver).some(({ request }) => request === last.request_id));
  assert.equal(warnings().length, 1, "80 % and more are one warning");
});

test("messages go over TLS as they are", async () => {
  const server = await Server.start();
  opened.push(server);
  const tls = certificate(server.dir);
  const [service, trusting] = await both({ ...ALLOWED, CURL_CA_BUNDLE: tls.file }, tls);
  const receiver = service.receiver("phone");
  const id = await subscribe(trusting, receiver);
  const tested = await trusting.api("POST", "/api/push/test", { id });
  assert.deepEqual([tested.accepted, tested.status, tested.answer], [true, 201, ""]);
  assert.deepEqual(service.messages(receiver), [{ kind: "test", worker: "", name: "rs-worker" }]);
  const [request] = service.of(receiver);
  assert.equal(verified(request).claims.aud, service.url);
  console.log(`measured: ms of a push over TLS: ${tested.milliseconds}`);
  service.answers["/phone"] = (response) => response.writeHead(403, { "content-type": "text/plain" }).end("no such key\u0007");
  const refused = await trusting.api("POST", "/api/push/test", { id });
  assert.deepEqual([refused.accepted, refused.status, refused.answer], [false, 403, "no such key"]);
});

test("a viewed worker is not pushed until its viewer leaves", async () => {
  const [service, server] = await both();
  const receiver = service.receiver("phone");
  await subscribe(server, receiver);
  const [seen, other] = [await server.worker("seen"), await server.worker("other")];
  const looking = await page(server);
  await looking.say({ type: "in_view", worker_id: seen.id });
  const prompt = await ask(server, seen);
  const elsewhere = await ask(server, other);
  await service.wait(receiver, 1);
  // The notices are taken in their order, so that of the other worker is the first.
  assert.deepEqual(service.messages(receiver).map(({ name }) => name), ["other"]);

  await looking.say({ type: "in_view" });
  await answer(server, elsewhere);
  looking.close();
  await service.wait(receiver, 2);
  assert.deepEqual(service.messages(receiver).map(({ kind, name }) => `${kind} ${name}`), ["permission other", "permission seen"]);

  // Answered while it was in view: nothing is left to report.
  const again = await page(server);
  await again.say({ type: "in_view" });
  await answer(server, prompt);
  await answer(server, await ask(server, seen));
  await again.say({ type: "out_of_view" });
  const last = await ask(server, other);
  await service.wait(receiver, 3);
  assert.equal(service.messages(receiver)[2].request, last.request_id);
  await assert.rejects(again.say({ type: "in_view", worker_id: "nobody" }), /not found/i);
  again.close();
});

test("a subscription that its service forgot is dropped", async () => {
  const [service, server] = await both();
  const [gone, unknown, stays] = ["gone", "unknown", "stays"].map((name) => service.receiver(name));
  service.answers["/gone"] = (response) => response.writeHead(410).end();
  service.answers["/unknown"] = (response) => response.writeHead(404).end();
  for (const receiver of [gone, unknown, stays]) await subscribe(server, receiver);
  const prompt = await ask(server, await server.worker("api"));
  await until("two dropped", async () => (await subscriptions(server)).length === 1);
  await answer(server, prompt);
  await service.wait(stays, 2);
  assert.deepEqual([service.of(gone).length, service.of(unknown).length], [1, 1]);
});

test("a throttling service gets a pause and the newest notice", async () => {
  const [service, server] = await both();
  const [busy, quick] = [service.receiver("busy"), service.receiver("quick")];
  service.answers["/busy"] = (response) => {
    delete service.answers["/busy"];
    response.writeHead(429, { "retry-after": "2" }).end();
  };
  for (const receiver of [busy, quick]) await subscribe(server, receiver);
  await answer(server, await ask(server, await server.worker("api")));
  const [first, second] = await service.wait(busy, 2);
  assert.ok(second.at - first.at >= 1_900, `${second.at - first.at} ms`);
  assert.equal(busy.decrypt(second.body).kind, "turn_completed");
  await service.wait(quick, 2);
});

test("a service that never answers delays nobody else", async () => {
  const [service, server] = await both();
  const [slow, quick] = [service.receiver("slow"), service.receiver("quick")];
  service.answers["/slow"] = () => {};
  for (const receiver of [slow, quick]) await subscribe(server, receiver);
  const worker = await server.worker("api");
  for (let round = 0; round < 3; round += 1) await answer(server, await ask(server, worker));
  await service.wait(quick, 2);
  await until("the last notice", () => service.messages(quick).at(-1).kind === "turn_completed");
  assert.equal(service.of(slow).length, 1, "one at a time");
});

test("keys and subscriptions outlive the server, in private files", async () => {
  const [service, server] = await both();
  const receiver = service.receiver("phone");
  await subscribe(server, receiver);
  const before = await server.api("GET", "/api/push");
  await server.down("SIGKILL");
  const files = readdirSync(server.dir, { recursive: true }).map(String).filter((name) => /\.push_/.test(name));
  assert.equal(files.length, 2, String(files));
  for (const name of files) assert.equal(statSync(join(server.dir, name)).mode & 0o777, 0o600, name);
  await server.again();
  assert.deepEqual(await server.api("GET", "/api/push"), before);
  await ask(server, await server.worker("api"));
  const [request] = await service.wait(receiver, 1);
  assert.equal(verified(request).key, before.public_key);
});

test("notices of a browser end with its login", async () => {
  const token = "the-token-of-this-test-of-push";
  const [service, server] = await both({ ...ALLOWED, AUTH_TOKEN: token });
  server.headers = { authorization: `Bearer ${token}` };
  const { code } = await server.api("POST", "/api/login/code");
  const login = await fetch(`${server.url}/api/login`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ code }) });
  const headers = { "content-type": "application/json", cookie: login.headers.get("set-cookie").split(";")[0] };
  const [own, other] = [service.receiver("own"), service.receiver("other")];
  const taken = await fetch(`${server.url}/api/push/subscriptions`, { method: "POST", headers, body: JSON.stringify(own.subscription) });
  assert.equal((await taken.json()).current, true);
  await subscribe(server, other);
  assert.equal((await fetch(`${server.url}/api/logout`, { method: "POST", headers })).status, 200);
  await ask(server, await server.worker("api"));
  await service.wait(other, 1);
  assert.deepEqual((await subscriptions(server)).map(({ service: host }) => host), ["127.0.0.1"]);
  assert.equal(service.of(own).length, 0);
});
