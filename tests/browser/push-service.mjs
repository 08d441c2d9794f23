// A stand-in push service on loopback, with the browser's side of the encryption: by other implementations than ours.

import { createECDH, createPublicKey, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createRequire } from "node:module";
import { DEADLINE_MS, MODULES } from "./support.mjs";

const modules = createRequire(`${MODULES}/`);
const ece = modules("http_ece");
const jws = modules("jws");
export const webPush = modules("web-push");

/** A browser's keys, and its subscription at `endpoint`. */
export class Receiver {
  constructor(endpoint) {
    this.endpoint = endpoint;
    this.ecdh = createECDH("prime256v1");
    this.ecdh.generateKeys();
    this.auth = randomBytes(16).toString("base64url");
  }

  /** As `PushSubscription.toJSON()` returns it. */
  get subscription() {
    const keys = { p256dh: this.ecdh.getPublicKey("base64url"), auth: this.auth };
    return { endpoint: this.endpoint, expirationTime: null, keys };
  }

  /** The message in a request's body. */
  decrypt(body) {
    return JSON.parse(ece.decrypt(body, { version: "aes128gcm", privateKey: this.ecdh, authSecret: this.auth }));
  }
}

/** The claims of a request's `Authorization`, and the key that has signed them. */
export function verified({ headers }) {
  const [, token, key] = /^vapid t=([^,]+), k=(\S+)$/.exec(headers.authorization);
  const bytes = Buffer.from(key, "base64url");
  const part = (from) => bytes.subarray(from, from + 32).toString("base64url");
  const jwk = { kty: "EC", crv: "P-256", x: part(1), y: part(33) };
  const pem = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
  if (!jws.verify(token, "ES256", pem)) throw new Error("the signature is not genuine");
  const { header, payload } = jws.decode(token);
  return { header, claims: payload, key };
}

/** The service. `answers` by path: a function that answers a request, instead of 201. */
export class PushService {
  static async start(tls = null) {
    const service = new PushService();
    service.requests = [];
    service.answers = {};
    service.receivers = [];
    const take = (request, response) => service.take(request, response);
    service.server = tls ? createTlsServer(tls, take) : createServer(take);
    await new Promise((resolve) => service.server.listen(0, "127.0.0.1", resolve));
    service.url = `${tls ? "https://localhost" : "http://127.0.0.1"}:${service.server.address().port}`;
    return service;
  }

  take(request, response) {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const { url: path, headers } = request;
      this.requests.push({ path, headers, body: Buffer.concat(parts), at: Date.now() });
      const answer = this.answers[path];
      if (answer) answer(response);
      else response.writeHead(201, { location: `${this.url}/m/1` }).end();
    });
  }

  /** A browser of this service. */
  receiver(name) {
    const receiver = new Receiver(`${this.url}/${name}`);
    this.receivers.push(receiver);
    return receiver;
  }

  /** The requests for one browser. */
  of(receiver) {
    return this.requests.filter(({ path }) => receiver.endpoint === this.url + path);
  }

  /** The messages for one browser. */
  messages(receiver) {
    return this.of(receiver).map(({ body }) => receiver.decrypt(body));
  }

  /** Waits until a browser has so many requests. */
  async wait(receiver, count) {
    await until(`${count} pushes`, () => this.of(receiver).length >= count);
    return this.of(receiver);
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

/** Waits for a condition. */
export async function until(what, holds) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Subscribes a browser at the server, and returns the subscription's id. */
export async function subscribe(server, receiver) {
  return (await server.api("POST", "/api/push/subscriptions", receiver.subscription)).id;
}

/** Has a worker ask for a permission, and returns its prompt. */
export async function ask(server, worker, tool = "Bash") {
  await server.message(worker, `permission ${tool} {"command":"true"}`);
  return until("a prompt", async () => {
    const { permissions } = await server.api("GET", "/api/permissions");
    return permissions.find((prompt) => prompt.worker_id === worker.id);
  });
}

/** Answers a prompt, and waits for the end of its turn. */
export async function answer(server, prompt, option = "allow_once") {
  const worker = await server.api("GET", `/api/workers/${prompt.worker_id}`);
  await server.api("POST", `/api/workers/${worker.id}/permissions/${prompt.request_id}`, { option_id: option });
  await server.turns(worker, worker.turns + 1);
}
