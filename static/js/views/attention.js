// Calls for the reader's attention: the title's badge, notifications (if wanted), and words for screen readers.

import { memory } from "../lib/dom.js";
import { plain } from "../lib/text.js";

// Shortest time between two announcements to screen readers; of those in between, the last is made.
const ANNOUNCE_EVERY_MS = 1200;
const TURN_ENDS = new Set(["idle", "stopped", "failed"]);

export function mountAttention(app) {
  const { state, root } = app;
  const region = document.getElementById("announcer");
  let next = null;
  let timer = 0;
  let wanted = memory.get("notify", false) && globalThis.Notification?.permission === "granted";
  const shown = new Map();
  let live = false;

  function announce(text) {
    next = text;
    if (timer) return;
    const say = () => {
      timer = 0;
      if (next === null) return;
      region.textContent = next;
      next = null;
      timer = setTimeout(say, ANNOUNCE_EVERY_MS);
    };
    say();
  }
  root.addEventListener("announce", ({ detail }) => announce(detail.text));
  document.addEventListener("announce", (event) => announce(/** @type {CustomEvent} */ (event).detail.text));

  // True if the reader wants to be notified in this browser; the dialog of notifications changes it.
  app.alerts = {
    isOn: () => wanted,
    set(on) {
      wanted = on;
      memory.set("notify", on);
      drawBell();
    },
  };
  // The browser offers to install the page before anybody asks; the dialog has the button.
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    app.installPrompt = event;
  });

  function drawBell() {
    const bell = root.querySelector(".bell");
    bell?.setAttribute("aria-pressed", String(wanted));
  }

  function notify(worker, title, body, key) {
    // If the server pushes to this browser, the service worker notifies.
    if (!wanted || memory.get("push") || document.visibilityState === "visible") return;
    try {
      const note = new Notification(title, { body, tag: key });
      note.onclick = () => {
        window.focus();
        app.openWorker(worker);
        note.close();
      };
      shown.set(key, note);
    } catch {
      // Some browsers only allow them from a service worker; the title's badge remains.
    }
  }

  /** Takes what has happened since the last time. */
  function update() {
    for (const event of state.events.splice(0)) {
      // A frame beside another worker leaves this to the page around it.
      if (!live || parent !== window) continue;
      const name = plain(state.workers.get(event.worker_id)?.name ?? "A worker");
      if (event.type === "prompt") {
        const prompt = state.prompts.get(event.key);
        if (!prompt) continue;
        const what =
          prompt.kind === "question"
            ? "asks you something"
            : `wants to use ${plain(prompt.event.tool_name ?? "a tool")}`;
        announce(`${name} ${what}.`);
        notify(event.worker_id, name, what, event.key);
      } else if (event.from === "busy" && TURN_ENDS.has(event.to)) {
        announce(`${name}: ${event.to === "idle" ? `turn ended. ${lastWords(event.worker_id)}` : event.to}`);
        notify(event.worker_id, name, event.to === "idle" ? "Turn ended" : event.to, `turn ${event.worker_id}`);
      } else if (event.to === "failed" || event.to === "stalled") announce(`${name}: ${event.to}`);
    }
    for (const [key, note] of shown) {
      if (key.includes("\n") && !state.prompts.has(key)) {
        note.close();
        shown.delete(key);
      }
    }
    live = state.loaded;
    const count = state.prompts.size;
    const worker = state.workers.get(state.selected);
    const title = `${count ? `(${count}) ` : ""}${worker ? `${plain(worker.name)} · ` : ""}rs-worker`;
    if (document.title !== title) document.title = title;
  }

  // The beginning of the open worker's last answer: read once, instead of every piece of it as it comes.
  function lastWords(id) {
    if (id !== state.selected) return "";
    const items = state.conversations.get(id)?.timeline.items ?? [];
    for (let at = items.length - 1; at >= 0 && items[at].kind !== "user"; at -= 1) {
      if (items[at].kind === "assistant") return plain(items[at].text).slice(0, 300);
    }
    return "";
  }

  drawBell();
  return { announce, update };
}
