// The small views around the conversation: header, banner, welcome.

import { now } from "../lib/clock.js";
import { fill, h, icon, iconButton, style, emit, whenIdle } from "../lib/dom.js";
import { branchOf, projectOf } from "../state/listed.js";
import { openPrompts, shownStatus } from "../state/state.js";
import { clock, duration, noteOf, plain } from "../lib/text.js";
import { statusBadge } from "./row.js";

/** What the worker says of its sleep, or of limits that are not enforced. */
function ownNote(worker) {
  if (worker?.status === "stopped" && worker.hibernated && worker.reason)
    return { level: "info", text: plain(worker.reason) };
  const limits = worker?.status === "idle" ? worker.limits : null;
  if (limits && !limits.enforced)
    return { level: "warning", text: `The worker's limits are not enforced: ${plain(limits.reason)}` };
  return null;
}

/** The head of the open worker: its name, status and actions. Emits `menu`, `panel`. */
export function mountHeader(root, app) {
  const { state } = app;
  const back = h(
    "a",
    { class: "icon-button back", href: "#/" },
    icon("back"),
    h("span", { class: "visually-hidden" }, "All workers"),
    h("span", { class: "badge" }),
  );
  const name = h("h1", { class: "worker-name", dir: "auto", tabindex: "-1" });
  const facts = h("span", { class: "worker-facts" });
  const status = h("span", { class: "head-status" });
  const since = h("span", { class: "muted since" });
  const menu = iconButton("menu", "Actions of this worker", () => emit(menu, "menu", { button: menu }), {
    class: "icon-button",
    "aria-haspopup": "menu",
  });
  const details = iconButton("panel", "Changes, usage and process (p)", () => emit(details, "panel"), {
    class: "icon-button show-panel",
    "aria-expanded": "false",
  });
  root.append(back, h("div", { class: "head-text" }, name, facts), status, since, details, menu);
  const note = h("div", { class: "worker-note", role: "status", hidden: true });
  root.after(note);
  let drawn = "";

  function update(force = false) {
    const worker = state.workers.get(state.selected);
    const last = worker && state.conversations.get(worker.id)?.timeline.shown().at(-1);
    // The conversation ends with it.
    const isBelow = last?.kind === "failure" && worker.status === "failed" && !worker.warning;
    const noted = worker && !isBelow && noteOf(worker, (time) => clock(time, now()));
    const said = worker?.warning || worker?.rate_limit ? noted : (ownNote(worker) ?? noted);
    note.hidden = !said;
    note.dataset.level = said?.level;
    if (note.textContent !== (said?.text ?? "")) note.textContent = said?.text ?? "";
    root.hidden = !worker;
    if (!worker) {
      drawn = "";
      return;
    }
    const prompts = openPrompts(state).length;
    const waits = openPrompts(state, worker.id).length > 0;
    const conv = state.conversations.get(worker.id);
    const sign = JSON.stringify([
      worker.name,
      worker.status,
      worker.hibernated,
      worker.project_path,
      branchOf(worker),
      waits,
      prompts,
      conv?.turnStarted,
    ]);
    if (sign === drawn && !force) return;
    drawn = sign;
    name.textContent = plain(worker.name);
    const place = [worker.ai_cli_type, plain(projectOf(worker)), plain(branchOf(worker))];
    facts.textContent = place.filter(Boolean).join(" · ");
    facts.title = plain(worker.project_path);
    fill(status, statusBadge(shownStatus(worker, waits ? "waiting" : worker.status)));
    tick();
    back.querySelector(".badge").textContent = prompts > 0 ? String(prompts) : "";
  }

  /** Draws for how long the turn has run, which changes by itself. */
  function tick() {
    const worker = state.workers.get(state.selected);
    const started = Date.parse(state.conversations.get(state.selected)?.turnStarted ?? "");
    const shows = worker?.status === "busy" && !Number.isNaN(started);
    // Whole seconds: it is drawn once a second.
    const seconds = Math.max(0, Math.floor((now() - started) / 1000));
    const text = shows ? `for ${seconds < 60 ? `${seconds} s` : duration(seconds * 1000)}` : "";
    if (since.textContent !== text) since.textContent = text;
  }
  return { update, tick };
}

/** Says that the connection is gone, and when the next try is. */
export function mountBanner(root, app) {
  const { state, socket } = app;
  const text = h("span");
  const bar = h(
    "div",
    { class: "banner", hidden: true },
    h("span", { class: "spinner", "aria-hidden": "true" }),
    text,
    h("button", { type: "button", on: { click: () => socket.retryNow() } }, "Try now"),
  );
  root.append(bar);
  let shown = false;
  let timer = 0;
  function update() {
    const { phase, retryAt, everOpen } = state.connection;
    const lost = phase === "lost";
    const wait = Math.ceil((retryAt - Date.now()) / 1000);
    const what =
      navigator.onLine === false
        ? "This device is offline."
        : everOpen
          ? "The connection to the server was lost."
          : "The server cannot be reached.";
    text.textContent = `${what} ${wait > 1 ? `Next try in ${wait} s.` : "Trying again…"}`;
    clearTimeout(timer);
    if (lost) timer = setTimeout(update, 500);
    if (lost === shown) return;
    shown = lost;
    // A server that restarts is back before this shows.
    setTimeout(
      () => {
        bar.hidden = state.connection.phase !== "lost";
        if (!bar.hidden) app.announce("The connection was lost. Trying again.");
      },
      lost ? 700 : 0,
    );
  }
  return { update };
}

/** The middle of the page while no worker is open: the first run, or the dashboard. Both are loaded when needed. */
export function mountWelcome(root, app) {
  const { state } = app;
  let drawn = "";
  let home = null;

  // By the time that a part has been loaded, another one may be wanted.
  function load(what, module, mount) {
    Promise.all([module(), style("home")]).then(
      ([loaded]) => {
        if (drawn !== what) return;
        mount(loaded);
        app.update();
      },
      () => drawn === what && say("", "This part of the page could not be loaded.", "Try again"),
    );
  }

  function say(title, text, again = "") {
    const retry = () => {
      drawn = "";
      app.update();
    };
    const content = [title && h("h1", null, title), h("p", { class: "muted" }, text)];
    if (drawn === "gone") content.push(h("a", { href: "#/" }, "All workers"));
    if (again) content.push(h("button", { type: "button", on: { click: retry } }, again));
    fill(root, h("div", { class: "welcome-box" }, content));
  }

  function update(visible, gone) {
    root.hidden = !visible;
    const isAside = app.root.dataset.view === "home" && matchMedia("(max-width: 799px)").matches;
    const filled = isAside ? "aside" : "home";
    const what = gone ? "gone" : !state.loaded ? "loading" : state.workers.size ? filled : "first";
    if (visible && what === "home") home?.update(true);
    if (!visible || what === drawn) return;
    drawn = what;
    if (what === "gone") say("This worker is gone", "It was deleted, or the address is not right.");
    else if (what === "loading") say("", "Loading…");
    // On a phone the list has the whole page.
    else if (what === "aside") say("Workers", "Pick a worker from the list.");
    else if (what === "first")
      load(
        what,
        () => import("./doctor.js"),
        ({ mountFirstRun }) => mountFirstRun(root, app),
      );
    else if (home) home.update(true, true);
    else {
      fill(root);
      whenIdle(() =>
        load(
          what,
          () => import("./home.js"),
          ({ mountHome }) => (home ??= mountHome(root, app)),
        ),
      );
    }
  }
  return { update };
}
