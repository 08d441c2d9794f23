// A terminal where a worker works: a dialog with the screen that the server keeps.

import { fill, h, iconButton, style } from "../lib/dom.js";
import { terminals } from "../lib/terminals.js";
import { plain } from "../lib/text.js";
import { mountKeys } from "./terminal_keys.js";
import { mountScreen } from "./terminal_screen.js";

// Pause before a lost connection is made again; it doubles up to the longest.
const RETRY_MS = 500;
const RETRY_MAX_MS = 8000;
// Time without a change of the window's size after which the terminal gets the new one.
const RESIZE_MS = 100;

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const nameOf = (terminal) =>
  `${terminal.program.length ? plain(terminal.program.join(" ")).slice(0, 40) : "Shell"} (${terminal.id})`;

/** The end of a terminal in words. */
export function endWords({ code, signal, error }) {
  if (error) return plain(error);
  if (signal) return `The program was ended by ${plain(signal)}.`;
  return code === undefined ? "The terminal was ended." : `The program ended with code ${code}.`;
}

/**
 * Opens a terminal of a worker: the newest that there is, or a new one. With `program` (a list of words) it is always
 * a new one, which runs that.
 */
export async function openTerminal(worker, program = null) {
  const [there] = await Promise.all([terminals.list(worker.id), style("terminal")]);
  const before = document.activeElement;
  const name = plain(worker.name);
  const status = h("span", { class: "term-status muted", role: "status" });
  const choice = h("select", { "aria-label": "Terminal" });
  const title = h("span", { class: "term-title", dir: "auto" }, name);
  const root = h("div", { class: "term-screen", "aria-label": `Terminal of ${name}`, role: "group" });
  const close = iconButton("close", "Close; the terminal stays open on the server", () => dialog.close());
  const dialog = h(
    "dialog",
    { class: "terminal", "aria-label": `Terminal of ${name}` },
    h(
      "div",
      { class: "term-bar" },
      title,
      status,
      h("span", { class: "grow" }),
      choice,
      iconButton("add", "New terminal", () => guarded(begin)),
      iconButton("stop", "End this terminal", () => guarded(end)),
      close,
    ),
    root,
  );
  let socket = null;
  let current = null;
  let retry = RETRY_MS;
  let timer = 0;
  let known = there.terminals;
  // The program of the next new terminal: one that could not be started is tried again.
  let words = program ?? [];

  const send = (message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const screen = mountScreen(root, (above, count) => send({ type: "history", above, count }));
  const { field, row } = mountKeys(root, screen, send, () => close.focus());
  root.append(field);
  dialog.append(row);

  // The field has the focus at once: by the time of the answer somebody may have left it.
  async function guarded(act) {
    field.focus({ preventScroll: true });
    try {
      await act();
    } catch (error) {
      status.textContent = error.message;
    }
  }

  async function begin() {
    const made = await terminals.open(worker.id, { program: words, ...screen.size() });
    words = [];
    known = [...known, made];
    show(made.id);
  }

  async function end() {
    if (current) await terminals.end(worker.id, current);
  }

  function show(id) {
    current = id;
    const option = (one) => h("option", { value: one.id, selected: one.id === id }, nameOf(one));
    fill(choice, known.map(option));
    choice.hidden = known.length < 2;
    screen.forget();
    connect();
  }

  function connect() {
    clearTimeout(timer);
    socket?.close();
    const url = new URL(`ws/${encodeURIComponent(worker.id)}/terminals/${current}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const own = new WebSocket(url);
    let hasEnded = false;
    socket = own;
    status.textContent = "Connecting…";
    own.addEventListener("open", () => {
      retry = RETRY_MS;
      status.textContent = "";
      send({ type: "hello", ...screen.size(), dark: isDark() });
    });
    own.addEventListener("message", ({ data }) => {
      if (own !== socket) return;
      const message = JSON.parse(data);
      if (message.type === "screen") drawSoon(message);
      else if (message.type === "history") screen.history(message.lines);
      else if (message.type === "error") status.textContent = plain(message.content);
      else if (message.type === "ended") {
        hasEnded = true;
        known = known.filter((one) => one.id !== current);
        status.textContent = endWords(message);
      }
    });
    own.addEventListener("close", () => {
      if (own !== socket || hasEnded || !dialog.open) return;
      status.textContent = "The connection was lost; connecting again…";
      timer = setTimeout(() => reconnect(own), retry);
      retry = Math.min(RETRY_MAX_MS, retry * 2);
    });
  }

  // A terminal may have ended meanwhile, and a browser does not say why a WebSocket was refused.
  async function reconnect(lost) {
    try {
      known = (await terminals.list(worker.id)).terminals;
    } catch {
      if (lost === socket && dialog.open) timer = setTimeout(() => reconnect(lost), retry);
      return;
    }
    if (lost !== socket || !dialog.open) return;
    if (known.some((one) => one.id === current)) connect();
    else status.textContent = "The terminal has ended.";
  }

  // The next update is made when this one is drawn: a page in the background gets none.
  function drawSoon(update) {
    requestAnimationFrame(() => {
      screen.draw(update);
      title.textContent = plain(update.title) || name;
      send({ type: "ready" });
    });
  }

  let resizing = 0;
  const observer = new ResizeObserver(() => {
    clearTimeout(resizing);
    resizing = setTimeout(() => send({ type: "resize", ...screen.size() }), RESIZE_MS);
  });
  choice.addEventListener("change", () => show(choice.value));
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("cancel", (event) => {
    if (document.activeElement === field) event.preventDefault();
  });
  dialog.addEventListener("close", () => {
    observer.disconnect();
    clearTimeout(timer);
    socket?.close();
    dialog.remove();
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  });
  document.getElementById("app").append(dialog);
  dialog.showModal();
  observer.observe(root);
  field.focus({ preventScroll: true });
  const newest = known.at(-1);
  if (newest && !program) show(newest.id);
  else await guarded(begin);
}
