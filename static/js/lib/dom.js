// Making elements without markup: text from outside can only become text.

/** Makes an element. `props`: `class`, `on` (listeners), `data` (dataset), `style` (CSS); the rest are attributes. */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") el.className = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) el.addEventListener(type, listener);
    else if (name === "data") Object.assign(el.dataset, value);
    else if (name === "style") for (const [key, v] of Object.entries(value)) el.style.setProperty(key, v);
    else el.setAttribute(name, value === true ? "" : value);
  }
  put(el, children);
  return el;
}

function put(el, children) {
  for (const child of children.flat(3))
    if (child !== null && child !== undefined && child !== false) el.append(child);
}

/** Replaces what an element holds. */
export function fill(el, ...children) {
  el.replaceChildren();
  put(el, children);
  return el;
}

/** Makes `parent`'s children exactly `wanted`, in order, touching as few as it can (focus and selection stay). */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

/** Emits an action upwards, to the owner of the state. */
export function emit(el, name, detail = {}) {
  el.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
}

/** What assistive technology calls a control: its label, or its text. */
export const nameOf = (el) => el.getAttribute("aria-label") ?? el.textContent;

/** Returns `el` where it is part of the page, otherwise the control of the same name that has replaced it, if any. */
export function live(el) {
  if (el.isConnected) return el;
  /** @type {NodeListOf<HTMLElement>} */
  const all = document.querySelectorAll(el.localName);
  return [...all].find((one) => nameOf(one) === nameOf(el)) ?? el;
}

const PATHS = {
  add: "M8 3v10M3 8h10",
  archive: "M2.5 3.5h11v3h-11zM3.5 6.5v6h9v-6M6.5 9h3",
  back: "M10 3 5 8l5 5",
  check: "m3 8.5 3.2 3.2L13 5",
  close: "m4 4 8 8M12 4l-8 8",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  cross: "m4.5 4.5 7 7m0-7-7 7",
  doing: "M2.5 2.5h11v11h-11zM5.5 8h5",
  done: "M2.5 2.5h11v11h-11zM5 8l2.2 2.2L11 6",
  down: "M8 3v9m-4-4 4 4 4-4",
  edit: "M3 13l.6-2.8L11 2.8 13.2 5 5.8 12.4z",
  fetch: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM2 8h12M8 2c2.6 3.4 2.6 8.6 0 12M8 2c-2.6 3.4-2.6 8.6 0 12",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  help: "M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4M8 11.6v.4",
  image: "M2.5 3.5h11v9h-11zM3 11l3-3 2.5 2.5L10.5 8 13 10.5",
  inbox: "M2.5 9 4 3h8l1.5 6v4h-11zM2.5 9h3.2c0 1.2 1 2 2.3 2s2.3-.8 2.3-2h3.2",
  menu: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  panel: "M2.5 3h11v10h-11zM10 3v10",
  pin: "M6 2.5h4l-.5 4.5 2 2.5h-7l2-2.5zM8 9.5v4",
  rows: "M2.5 4h11M2.5 8h11M2.5 12h7",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3 14 14",
  send: "M8 13V3M4 7l4-4 4 4",
  stop: "M4.5 4.5h7v7h-7z",
  terminal: "m3 5 3 3-3 3M8 11.5h5",
  settings: "M2.5 4.5h6M12 4.5h1.5M8.5 3v3h3V3zM2.5 11.5H4M7.5 11.5h6M4.5 10v3h3v-3z",
  think: "M8 2.5a4 4 0 0 0-2.3 7.3V12h4.6V9.8A4 4 0 0 0 8 2.5zM6.5 14h3",
  todo: "M2.5 2.5h11v11h-11z",
  tool: "M9.5 2.6a3.5 3.5 0 0 0-3.7 4.8L2.5 10.7 5.3 13.5l3.3-3.3a3.5 3.5 0 0 0 4.8-3.7L11.2 8.7 8.6 7.4 7.3 4.8z",
  bell: "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM7 14.5h2",
};

/** A small picture in the colour of the text; it says nothing to screen readers. */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.tool);
  svg.append(path);
  return svg;
}

/** A button with a picture; `label` is its name and its tooltip. */
export function iconButton(name, label, onClick, props = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: onClick }, ...props },
    icon(name),
  );
}

/** Copies text; the button says so for a moment. */
export function copyButton(read, label = "Copy") {
  const button = h("button", { type: "button", class: "copy", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    const done = await copyText(read());
    button.replaceChildren(icon(done ? "check" : "cross"));
    emit(button, "announce", { text: done ? "Copied" : "Could not copy" });
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages without TLS on another machine have no clipboard: the old way still works there.
    const area = h("textarea", { class: "visually-hidden" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A few words at the foot of the page that disappear after a while. */
export function toast(text, isError = false) {
  const el = h("div", { class: `toast${isError ? " error" : ""}`, role: isError ? "alert" : null }, text);
  document.querySelector(".toast")?.remove();
  document.body.append(el);
  setTimeout(() => el.remove(), isError ? 8000 : 3500);
}

const styles = new Map();

/** Loads a style that is rarely needed, once. */
export function style(name) {
  if (!styles.has(name)) {
    // Beside this module, so that it has the same version in its address.
    const href = new URL(`../../css/${name}.css`, import.meta.url).href;
    styles.set(
      name,
      new Promise((resolve) => {
        const failed = () => {
          // The caller works without it, and requests it again the next time.
          styles.delete(name);
          link.remove();
          resolve();
        };
        const link = h("link", { rel: "stylesheet", href, on: { load: resolve, error: failed } });
        document.head.append(link);
      }),
    );
  }
  return styles.get(name);
}

/** Requests all modules that the document marks with this `rel` at once, instead of one after the other. */
export function linkLater(rel = "later") {
  /** @type {NodeListOf<HTMLLinkElement>} */
  const links = document.querySelectorAll(`link[rel="${rel}"]`);
  for (const link of links) link.rel = link.dataset.rel ?? "modulepreload";
}

/** Calls `act` when the page has nothing else to do. */
export function whenIdle(act) {
  if (globalThis.requestIdleCallback) requestIdleCallback(() => act());
  else setTimeout(act, 500);
}

/** Returns whether keys typed now belong to a field. */
export function isTyping(target) {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** A random id; `crypto.randomUUID` is missing on pages without TLS. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Browser storage that may be missing or full: then nothing is remembered. */
export const memory = {
  get(key, otherwise = null) {
    try {
      return JSON.parse(localStorage.getItem(`rs-worker.${key}`)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      if (value === null || value === "") localStorage.removeItem(`rs-worker.${key}`);
      else localStorage.setItem(`rs-worker.${key}`, JSON.stringify(value));
    } catch {
      // Private windows and full disks refuse; the page works without.
    }
  },
};
