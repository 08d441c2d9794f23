// The service worker: notifications, and the page itself while the server can't be reached. It keeps the page's own
// files and nothing else: no answer of the API is stored.

// The build puts the version of the files into this address, so that this script changes with them.
const FILES = "static/";
const CACHE = `rs-worker ${FILES}`;
// With STATIC_DIR there is no version.
const HAS_VERSION = FILES.split("/").length > 2;
// Characters that would break a line or turn the direction of the text around them.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// The texts of notifications, by kind.
const WORDS = {
  permission: "wants your permission",
  question: "asks you something",
  turn_completed: "has ended its turn",
  failed: "has failed",
  budget: "has used up a budget",
  budget_warning: "has used most of a budget",
  test: "Notifications reach this device.",
};
// Buttons name an option by its kind, so that Allow never allows for good.
const BUTTONS = [
  { action: "allow_once", title: "Allow" },
  { action: "reject_once", title: "Deny" },
];

const BUDGET_BUTTONS = [
  { action: "allow_once", title: "One more turn" },
  { action: "reject_once", title: "Stop" },
];
const ASKS = { permission: BUTTONS, budget: BUDGET_BUTTONS, question: [] };

const worker = /** @type {any} */ (self);

worker.addEventListener("install", (event) => event.waitUntil(keepFiles()));
worker.addEventListener("activate", (event) => event.waitUntil(begin()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const root = worker.registration.scope;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") {
    if (request.url.split(/[?#]/)[0] === root) event.respondWith(page(event));
  } else if (request.url.startsWith(`${root}static/`)) event.respondWith(file(request, root));
});
worker.addEventListener("push", (event) => event.waitUntil(notify(event.data)));
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(act(event.action, event.notification.data ?? {}));
});
worker.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

// The document and all that it links, in the version that it names.
async function keepFiles() {
  const cache = await caches.open(CACHE);
  const document = await fetch("./", { cache: "no-cache" });
  if (!document.ok) throw new Error(`the page answers ${document.status}`);
  const text = await document.clone().text();
  const files = new Set([...text.matchAll(/"(static\/[^"]+)"/g)].map(([, name]) => name));
  await cache.addAll([...files]);
  await cache.put("./", document);
  await worker.skipWaiting();
}

async function begin() {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith("rs-worker ") && name !== CACHE).map((name) => caches.delete(name)),
  );
  await worker.registration.navigationPreload?.enable();
}

async function page(event) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return (await kept("./")) ?? Response.error();
  }
}

// A file with a version never changes. Without one, as with STATIC_DIR, the server's is newer.
async function file(request, root) {
  const isFixed = HAS_VERSION && request.url.startsWith(root + FILES);
  const found = isFixed ? await kept(request) : undefined;
  if (found) return found;
  try {
    return await fetch(request);
  } catch {
    return (await kept(request)) ?? Response.error();
  }
}

async function kept(request) {
  return (await caches.open(CACHE)).match(request);
}

async function notify(data) {
  let message = {};
  try {
    message = data.json();
  } catch {
    // A notification must be shown all the same, or the browser shows one of its own.
  }
  const { kind = "", request } = message;
  const name = String(message.name ?? "rs-worker").replace(HIDDEN, " ");
  await worker.registration.showNotification(name, {
    body: WORDS[kind] ?? "has news",
    tag: message.worker || "rs-worker",
    renotify: true,
    data: message,
    icon: `${FILES}icons/icon-192.png`,
    badge: `${FILES}icons/badge-96.png`,
    actions: (request && ASKS[kind]) || [],
    requireInteraction: kind in ASKS,
  });
}

// A button answers the prompt; without one, and if that fails, the page opens at the prompt.
async function act(action, message) {
  if (action && message.request && (await answered(action, message))) return;
  await openPage(message.worker);
}

async function answered(option, { worker: id, request }) {
  const path = `api/workers/${encodeURIComponent(id)}/permissions`;
  return call(path, { request_id: request, option_id: option }).catch(() => false);
}

async function call(path, body) {
  const headers = { "content-type": "application/json" };
  const init = {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    credentials: /** @type {const} */ ("same-origin"),
  };
  return (await fetch(path, init)).ok;
}

async function openPage(id) {
  const hash = id ? `#/w/${encodeURIComponent(id)}` : "#/";
  const root = worker.registration.scope;
  const pages = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const [open] = pages.filter(({ url }) => url.split(/[?#]/)[0] === root);
  if (!open) return worker.clients.openWindow(root + hash).catch(() => null);
  open.postMessage({ type: "open", hash });
  return open.focus().catch(() => null);
}

// The push service has replaced the address of this browser.
async function renew({ newSubscription, oldSubscription }) {
  const { pushManager } = worker.registration;
  const subscription = newSubscription ?? (await pushManager.subscribe(oldSubscription?.options));
  await call("api/push/subscriptions", subscription);
}
