// Reports to the server whether the page is in view. Also the service worker, the renewal of
// this browser's subscription, and notifications that are of no use any more. Loaded when the page is idle.

import { renew, serviceWorker } from "../lib/push.js";
import { promptKey } from "../state/state.js";

// The server forgets a page that says nothing for 40 seconds.
const BEAT_MS = 15_000;
// A page that nobody has touched for this long is not in view, though the screen shows it.
const UNUSED_MS = 5 * 60_000;
const PROMPTS = new Set(["permission", "question"]);
const SIGNS_OF_USE = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "focus"];

/** Begins to report; `update()` is called when the page has changed. */
export function mountPresence(app) {
  const { state, socket, root } = app;
  const narrow = matchMedia("(max-width: 799px)");
  let used = Date.now();
  let said = "";
  let connection = null;
  let registration = null;
  let tidied = "";

  for (const type of SIGNS_OF_USE) window.addEventListener(type, touched, { passive: true, capture: true });
  document.addEventListener("visibilitychange", () => (touched(), say()));
  narrow.addEventListener("change", say);
  setInterval(() => {
    said = "";
    say();
  }, BEAT_MS);
  navigator.serviceWorker?.addEventListener("message", ({ data }) => {
    if (data?.type === "open") location.hash = data.hash;
  });
  start();

  async function start() {
    registration = await serviceWorker();
    if (registration) await renew(app.api);
    update();
  }

  function touched() {
    const wasUnused = Date.now() - used > UNUSED_MS;
    used = Date.now();
    if (wasUnused) say();
  }

  // Beside the list every worker is in view; on a phone, the open one alone.
  function shown() {
    if (document.visibilityState !== "visible" || Date.now() - used > UNUSED_MS) return { type: "out_of_view" };
    const isAlone = narrow.matches && root.dataset.view === "worker";
    return isAlone ? { type: "in_view", worker_id: state.selected } : { type: "in_view" };
  }

  function say() {
    if (!socket.isOpen || !state.loaded) return;
    const frame = shown();
    // A worker that is gone shows nothing.
    if (frame.worker_id && !state.workers.has(frame.worker_id)) frame.type = "out_of_view";
    const sign = JSON.stringify(frame);
    if (sign === said && socket.ws === connection) return;
    if (frame.type === "out_of_view") delete frame.worker_id;
    said = sign;
    connection = socket.ws;
    socket.send(frame);
  }

  // Closes notifications of prompts that were answered, and of the worker that the reader has opened.
  async function tidy() {
    const sign = `${state.rev.prompts}.${state.selected}.${document.visibilityState}`;
    if (!registration || !state.loaded || sign === tidied) return;
    tidied = sign;
    const notes = await registration.getNotifications();
    for (const note of notes) {
      const { kind, worker } = note.data ?? {};
      const isRead = document.visibilityState === "visible" && worker === state.selected;
      if (isRead && !PROMPTS.has(kind)) note.close();
    }
    const asked = notes.filter(({ data }) => PROMPTS.has(data?.kind) && data.request);
    if (asked.every(({ data }) => state.prompts.has(promptKey(data.worker, data.request)))) return;
    // A notification may be ahead of what this page knows, so the server is asked.
    const { permissions } = await app.api.permissions().catch(() => ({ permissions: null }));
    if (!permissions) return;
    const open = new Set(permissions.map((prompt) => promptKey(prompt.worker_id, prompt.request_id)));
    for (const note of asked) if (!open.has(promptKey(note.data.worker, note.data.request))) note.close();
  }

  function update() {
    say();
    tidy();
  }
  return { update };
}
