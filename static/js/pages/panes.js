// Workers side by side: the open one, and up to three others in frames of the same page. The address keeps them; a
// screen shows as many as it has room for. Loaded with the first worker that is opened beside another.

import { arrange, h, iconButton, style, emit } from "../lib/dom.js";
import { addressOf, BESIDE_MAX, route } from "../lib/router.js";
import { plain } from "../lib/text.js";

// Pixels that the list takes, and that each worker needs.
const LIST_WIDTH = 300;
const PANE_WIDTH = 370;
// Elements that take the focus in a frame: the first that exists.
const PLACES = [".prompt-card", ".composer-box > textarea", "#main"];
const LANDMARKS = { "#main": "", ".scroller": "Conversation with ", ".composer": "Send a message to " };

/** Mounts it in the row of columns, behind `main`. */
export function mountPanes(app, main) {
  const { state } = app;
  style("panes");
  /** @type {Map<string, { el: HTMLElement, frame: HTMLIFrameElement, close: HTMLElement }>} */
  const panes = new Map();
  const box = h("div", { class: "panes" });
  main.after(box);
  let worker = null;
  let beside = [];

  window.addEventListener("resize", draw);
  document.addEventListener("keydown", onKey);

  function paneOf(id) {
    const src = new URL(`./${addressOf(id)}`, document.baseURI).href;
    const frame = /** @type {HTMLIFrameElement} */ (h("iframe", { src }));
    const close = iconButton("close", "", () => remove(frame), { class: "icon-button close-pane" });
    frame.addEventListener("load", () => {
      label(frame);
      frame.contentDocument.addEventListener("workerPage", () => label(frame));
      frame.contentWindow.addEventListener("hashchange", () => moved(frame));
      frame.contentWindow.addEventListener("keydown", onKey);
    });
    return { el: h("section", { class: "pane" }, frame, close), frame, close };
  }

  // The landmarks of each worker have names of their own.
  function label({ contentDocument: inside, title }) {
    for (const [selector, what] of Object.entries(LANDMARKS))
      inside?.querySelector(selector)?.setAttribute("aria-label", `${what}${title}`);
  }

  const idOf = (frame) => [...panes].find(([, pane]) => pane.frame === frame)?.[0];

  function remove(frame) {
    const at = beside.indexOf(idOf(frame));
    set(beside.toSpliced(at, 1));
    const next = panes.get(beside[Math.min(at, beside.length - 1)]);
    focus(next?.frame ?? null);
  }

  // A frame has gone to another worker; what is none is for the whole page.
  function moved(frame) {
    const id = idOf(frame);
    if (!id) return;
    const there = route(frame.contentWindow.location.hash);
    if (there.view === "worker" && there.worker === id) return;
    if (there.view !== "worker") {
      const { hash } = frame.contentWindow.location;
      frame.contentWindow.location.replace(addressOf(id));
      location.hash = hash;
      main.focus();
      return;
    }
    const pane = panes.get(id);
    panes.delete(id);
    if (there.worker === worker || beside.includes(there.worker)) return set(beside.filter((one) => one !== id));
    panes.set(there.worker, pane);
    set(beside.map((one) => (one === id ? there.worker : one)));
  }

  function onKey(event) {
    if (event.key !== "F6" || !panes.size || event.defaultPrevented) return;
    event.preventDefault();
    const all = [null, ...shown().map((id) => panes.get(id).frame)];
    const at = Math.max(
      0,
      all.findIndex((frame) => frame && frame === document.activeElement),
    );
    focus(all.at((at + (event.shiftKey ? -1 : 1)) % all.length));
  }

  // The first is this page itself.
  function focus(frame) {
    if (!frame) {
      window.focus();
      return app.settle();
    }
    frame.focus();
    const inside = frame.contentDocument;
    const places = PLACES.map((selector) => /** @type {HTMLElement | null} */ (inside?.querySelector(selector)));
    places.find((el) => el?.checkVisibility())?.focus();
  }

  const shown = () => beside.slice(0, Math.max(0, Math.floor((innerWidth - LIST_WIDTH) / PANE_WIDTH) - 1));

  function draw() {
    const ids = shown();
    for (const id of panes.keys()) if (!ids.includes(id)) panes.delete(id);
    for (const id of ids) {
      if (!panes.has(id)) panes.set(id, paneOf(id));
      const { el, frame, close } = panes.get(id);
      const name = plain(state.workers.get(id)?.name ?? id);
      el.setAttribute("aria-label", name);
      if (frame.title !== name) {
        frame.title = name;
        label(frame);
      }
      close.title = `Close ${name}`;
      close.setAttribute("aria-label", close.title);
    }
    arrange(
      box,
      ids.map((id) => panes.get(id).el),
    );
    box.style.setProperty("--panes", String(ids.length));
    box.hidden = !ids.length;
  }

  function set(next) {
    beside = next;
    draw();
    const { seq } = route(location.hash);
    history.replaceState(null, "", addressOf(worker, beside, seq));
  }

  /** Takes where the page is now. A worker that is opened in place of another leaves those beside it. */
  function update(here) {
    const before = worker;
    worker = here.view === "worker" ? here.worker : null;
    if (!worker) {
      beside = [];
      return draw();
    }
    if (here.beside.length) beside = here.beside.filter((id) => id !== worker);
    else if (beside.includes(worker)) beside = beside.map((id) => (id === worker ? before : id));
    return set(beside);
  }

  /** Opens a worker beside the open one. */
  function add(id) {
    if (id !== worker && !beside.includes(id)) set([...beside, id].slice(-BESIDE_MAX));
    focus(panes.get(id)?.frame ?? null);
    if (!panes.has(id) && id !== worker) emit(app.root, "toast", { text: "This window is too narrow for it." });
  }

  /** Loads all frames again, after a login. */
  function reload() {
    for (const { frame } of panes.values()) frame.contentWindow.location.reload();
  }

  return { update, draw, add, reload };
}
