// Web Push of this browser: the service worker, and the subscription that the server pushes to.

import { memory } from "./dom.js";

// The id of this browser's subscription at the server, while notifications are wanted here.
const MEMORY = "push";

/** Registers the service worker; null where there can't be one. */
export async function serviceWorker() {
  if (!globalThis.isSecureContext || !navigator.serviceWorker) return null;
  try {
    return (await navigator.serviceWorker.register(new URL("sw.js", document.baseURI))) ?? null;
  } catch {
    // Private windows of some browsers refuse.
    return null;
  }
}

/** Returns whether the browser has push services, on a page like this one. */
export const canPush = () => Boolean(globalThis.isSecureContext && navigator.serviceWorker && globalThis.PushManager);

/** The id of this browser's subscription at the server, or null. */
export const pushId = () => memory.get(MEMORY);

/**
 * Subscribes this browser, or renews its subscription, and remembers its id.
 * @param {import("page").PageApi} api
 */
export async function subscribe(api) {
  const registration = await ready();
  const { public_key: key, reason } = await api.push();
  if (!key) throw new Error(reason ?? "The server cannot push.");
  const known = await registration.pushManager.getSubscription();
  // One that was made with another key is of no use any more.
  if (known && !hasKey(known, key)) await known.unsubscribe();
  const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
  const subscription = await registration.pushManager.subscribe(options);
  const kept = await api.subscribePush(subscription.toJSON());
  memory.set(MEMORY, kept.id);
  return kept;
}

/**
 * Ends the subscription here and at the server.
 * @param {import("page").PageApi} api
 */
export async function unsubscribe(api) {
  const id = pushId();
  memory.set(MEMORY, null);
  const subscription = await (await ready()).pushManager.getSubscription();
  await subscription?.unsubscribe();
  // Another browser may have removed it already.
  if (id) await api.removePush(id).catch((error) => error.status !== 404 && Promise.reject(error));
}

/**
 * Renews the subscription when the page is loaded: the browser may have a new address, or the server may have none any
 * more. One that can't be renewed has ended.
 * @param {import("page").PageApi} api
 */
export async function renew(api) {
  if (!pushId() || globalThis.Notification?.permission !== "granted") return;
  try {
    await subscribe(api);
  } catch (error) {
    // Without a connection or a login nothing is known.
    if (error.status === undefined) memory.set(MEMORY, null);
  }
}

async function ready() {
  if (!(await serviceWorker())) throw new Error("This browser has no notifications for this page.");
  return navigator.serviceWorker.ready;
}

function hasKey(subscription, key) {
  const own = subscription.options?.applicationServerKey;
  return !own || text(new Uint8Array(own)) === key;
}

/** Bytes of base64url. */
export function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

/** Base64url of bytes, without padding. */
export function text(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
