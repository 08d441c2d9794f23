// The page: owns the state, the socket and the views; takes the actions that views tell.
// Data goes down by `update()`, which draws what has changed; actions come up as events.

import { api, whenUnauthorized } from "../lib/api.js";
import { mountActions } from "./actions.js";
import { mountAttention } from "../views/attention.js";
import { mountBanner, mountHeader, mountWelcome } from "../views/views.js";
import { now, whenClockChanges } from "../lib/clock.js";
import { h, icon, iconButton, linkLater, memory, style, tell, whenIdle } from "../lib/dom.js";
import { mountKeys } from "./keys.js";
import { navigate, route } from "../lib/router.js";
import { Socket } from "../lib/socket.js";
import { saveSeen, loadSeen } from "../state/seen.js";
import { mountTroubles } from "../views/troubles.js";
import * as model from "../state/state.js";
import { placeIn } from "../lib/text.js";
import { mountWorkers } from "../views/workers.js";

// A hidden page has no animation frames; it draws this often.
const HIDDEN_DRAW_MS = 1000;
const CLOCK_MS = 20_000;
// The time for which a turn has run is drawn this often.
const TURN_CLOCK_MS = 1000;
// Stands for the views of an open worker until their code has been loaded.
/** @type {any} */
const NOT_LOADED = {
  update() {},
  focus() {},
  goTo() {},
  toEnd() {},
  setText() {},
  arm() {},
  isEmpty: () => false,
  follow() {},
  forget() {},
  stopReaching() {},
  settle() {},
  keyedCard: () => null,
  isTaken: () => false,
};

export function mountApp(root) {
  const state = model.initial(loadSeen());
  const parts = skeleton(root);
  const socket = new Socket(socketUrl(), { open: opened, frame, lost: dropped });
  const { attempt } = mountTroubles(parts.banner);
  const app = {
    state,
    socket,
    api,
    root,
    announce: null,
    update: schedule,
    draw: update,
    attempt,
    openWorker,
    session,
  };
  const attention = mountAttention(app);
  app.announce = attention.announce;
  const context = {
    worker: null,
    now,
    olderAgain: (id) => open.history.olderAgain(id),
    cwd: () => session().cwd ?? state.workers.get(state.selected)?.project_path ?? "",
    resultBlocks: (seq) => api.resultBlocks(context.worker, seq),
    planBlocks: api.planBlocks,
    wholeText: (seq) => api.wholeText(context.worker, seq),
    answerOf: (key) => state.answers.get(key),
    project: (id) => state.workers.get(id)?.project_path ?? "",
    // A prompt may be there before the list of workers is.
    projectOf: async (id) => state.workers.get(id)?.project_path ?? (await api.worker(id)).project_path,
    fileText: api.fileText,
    imageUrl: (seq, index, time) => api.imageUrl(context.worker, seq, index, time),
    fileUrl: (path) => projectFile(context.worker, path),
  };
  const open = {
    settings: NOT_LOADED,
    conversation: NOT_LOADED,
    composer: NOT_LOADED,
    history: NOT_LOADED,
    loading: NOT_LOADED,
    focus: NOT_LOADED,
    look: null,
  };
  const workers = mountWorkers(parts.sidebar, state);
  const header = mountHeader(parts.header, app);
  let inbox = null;
  let inboxAsked = false;
  let presence = null;
  let workerPage = null;
  const welcome = mountWelcome(parts.welcome, app);
  const banner = mountBanner(parts.banner, app);
  mountActions(app, open);
  const keys = mountKeys(app, workers, open);
  app.list = workers;
  app.panel = { update() {}, isOverlay: () => false, isOpen: () => false, toggle: openPanel };
  if (memory.get("panel", false) && matchMedia("(min-width: 1100px)").matches) openPanel(false);

  let here = { view: null };
  // The focus is to be moved as soon as the code for it is there.
  let wantsFocus = false;
  let scheduled = false;

  whenUnauthorized(async (why, again) => {
    socket.close();
    model.loginNeeded(state);
    schedule();
    await attempt("The login could not be loaded", async () => {
      await style("dialogs");
      (await import("../views/login.js")).login(loggedIn, why, again);
    });
  });
  window.addEventListener("hashchange", arrive);
  document.addEventListener("visibilitychange", schedule);
  parts.conversation.addEventListener("older", ({ detail }) => open.history.older(detail.worker));
  root.addEventListener("cardReady", schedule);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    settle();
  });
  parts.conversation.addEventListener("reachedEnd", ({ detail }) => {
    if (model.markSeen(state, detail.worker)) saveSeen(state.seen);
  });
  const drawTimes = () => {
    workers.update(true);
    header.update(true);
  };
  whenClockChanges(drawTimes);
  // Rows of another size are measured again.
  document.addEventListener("look", drawTimes);
  setInterval(drawTimes, CLOCK_MS);
  setInterval(() => header.tick(), TURN_CLOCK_MS);
  const forced = matchMedia("(forced-colors: active)");
  const drawEdges = () => forced.matches && style("forced");
  forced.addEventListener("change", drawEdges);
  drawEdges();
  start();
  arrive();

  function start() {
    socket.connect();
  }

  function settle() {
    wantsFocus = open.focus === NOT_LOADED;
    open.focus.settle();
  }

  function loggedIn() {
    start();
    settle();
  }

  // What is rarely looked at is loaded when it is.
  function openPanel(takesFocus = true) {
    return attempt("The panel could not be loaded", async () => {
      if (app.panel.toggle !== openPanel) return;
      await Promise.all(["diff", "panel"].map(style));
      app.panel = (await import("../views/panel.js")).mountPanel(parts.panel, app);
      app.panel.toggle(takesFocus);
    });
  }

  function loadWorkerPage() {
    linkLater();
    const styles = ["conversation", "rich", "diff", "composer", "cards"].map(style);
    workerPage ??= attempt("The conversation's part of the page could not be loaded", async () => {
      const [{ mountWorkerPage }] = await Promise.all([import("./worker.js"), ...styles]);
      mountWorkerPage(parts, app, context, open, completeFiles);
      open.history.follow();
      update();
      if (wantsFocus) open.focus.settle();
    });
    return workerPage;
  }

  async function loadInbox() {
    const [{ mountInbox }] = await Promise.all([
      import("../views/inbox.js"),
      ...["conversation", "rich", "diff", "prompts"].map(style),
    ]);
    inbox = mountInbox(parts.inbox, app, context);
    update();
    if (here.view === "inbox") settle();
  }

  async function loadPresence() {
    if (presence) return;
    presence = NOT_LOADED;
    try {
      presence = (await import("./presence.js")).mountPresence(app);
    } catch {
      // The next list of workers tries again.
      presence = null;
    }
  }

  // The address of a file that an agent names; null where it is not in the project.
  function projectFile(id, path) {
    const inside = placeIn(path, context.cwd(), context.project(id));
    return inside && api.fileUrl(id, inside);
  }

  function session() {
    return state.conversations.get(state.selected)?.session ?? {};
  }

  function opened() {
    // Whoever asked for such a page without a login was sent here for it.
    if (here.away) location.replace(here.away);
    model.connected(state);
    open.history.forget();
    open.history.follow();
    flushOutboxes();
    schedule();
  }

  function loadPrompts() {
    return attempt("What waits for you could not be loaded", async () => {
      const epoch = model.promptsAsked(state);
      const answer = await api.permissions();
      model.promptsLoaded(state, answer.permissions, epoch);
      schedule();
    });
  }

  function dropped(retryAt) {
    open.history.forget();
    model.lost(state, retryAt);
    schedule();
    // A refused upgrade tells a script nothing; a plain request does: 401 brings the login.
    api.workers().catch(() => {});
  }

  function frame(message) {
    model.apply(state, message);
    if (message.type === "workers") {
      loadPrompts();
      whenIdle(loadWorkerPage);
      whenIdle(loadPresence);
    }
    schedule();
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    const run = () => {
      scheduled = false;
      update();
    };
    if (document.visibilityState === "hidden") setTimeout(run, HIDDEN_DRAW_MS);
    else requestAnimationFrame(run);
  }

  function arrive() {
    const next = route(location.hash);
    const isFirst = here.view === null && next.view !== "worker";
    const moved = next.view !== here.view || next.worker !== here.worker;
    here = next;
    model.select(state, next.view === "worker" ? next.worker : null);
    saveSeen(state.seen);
    root.dataset.view = next.view;
    const loaded = next.view === "worker" ? loadWorkerPage() : null;
    open.history.stopReaching();
    open.history.follow();
    update();
    Promise.resolve(loaded).then(() => {
      if (here !== next) return;
      if (next.seq !== null && next.seq !== undefined) open.history.reach(next.worker, next.seq);
      else if (moved && !isFirst) settle();
    });
  }

  function flushOutboxes() {
    for (const conv of state.conversations.values()) {
      for (const message of conv.outbox)
        if (!message.error || message.unreached) tell(root, "deliver", { worker: conv.id, message });
    }
  }

  async function completeFiles(query) {
    const answer = await api.files(state.selected, query);
    return answer.files;
  }

  function openWorker(id) {
    navigate(`#/w/${encodeURIComponent(id)}`);
  }

  function update() {
    const worker = state.workers.get(state.selected);
    const conv = state.conversations.get(state.selected) ?? null;
    const waiting = worker && model.openPrompts(state, worker.id).length > 0;
    const gone = state.selected && state.loaded && !worker;
    root.dataset.gone = String(Boolean(gone));
    root.dataset.first = String(state.loaded && state.workers.size === 0);
    banner.update();
    workers.update();
    header.update();
    if (here.view === "inbox" && !inboxAsked) {
      inboxAsked = true;
      attempt("The inbox could not be loaded", loadInbox);
    }
    inbox?.update(here.view === "inbox");
    welcome.update(here.view === "home" || here.view === "overview" || gone, gone);
    open.settings.update(worker, conv);
    // What is typed before the worker is known would belong to none.
    parts.composer.hidden = !worker || worker.read_only;
    parts.takeOver.hidden = !worker?.read_only;
    open.composer.update(
      worker ? conv : null,
      waiting ? "waiting" : worker?.status,
      `${state.rev.queue}.${state.rev.conversation}`,
    );
    open.conversation.update(
      here.view === "worker" && !gone ? conv : null,
      `${state.rev.conversation}.${state.rev.prompts}`,
    );
    open.loading.update(here.view === "worker" && !gone ? conv : null);
    app.panel.update();
    attention.update();
    keys.update();
    open.focus.update();
    presence?.update();
  }
}

function socketUrl() {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function skeleton(root) {
  const part = (tag, name, props = {}) => h(tag, { class: name, ...props });
  const banner = part("div", "banner-place");
  const sidebar = part("nav", "sidebar", { "aria-label": "Workers" });
  const header = part("header", "worker-head");
  const conversation = part("div", "conversation");
  const composer = part("div", "composer-place");
  // In place of the composer, for a session that runs elsewhere.
  const takeOver = h(
    "div",
    { class: "composer-place", hidden: true },
    h(
      "div",
      { class: "composer" },
      h("p", { class: "muted" }, "This session runs elsewhere and is followed here, read-only."),
      h(
        "button",
        { type: "button", class: "primary", on: { click: (event) => tell(event.currentTarget, "takeOver") } },
        "Take over",
      ),
    ),
  );
  const inbox = part("section", "inbox", { "aria-label": "Waiting for you", hidden: true });
  const welcome = part("section", "welcome");
  const panel = part("aside", "panel", { "aria-label": "Details", hidden: true });
  const brand = h(
    "div",
    { class: "brand" },
    h(
      "a",
      { href: "#/", class: "brand-name" },
      h("span", { class: "brand-mark", "aria-hidden": "true" }, icon("terminal")),
      "rs-worker",
    ),
    h("span", { class: "grow" }),
    iconButton("search", "Search all conversations (s)", (event) => tell(event.currentTarget, "search")),
    iconButton("bell", "Notifications", (event) => tell(event.currentTarget, "notifications"), {
      class: "icon-button bell",
    }),
    iconButton("settings", "Settings (,)", (event) => tell(event.currentTarget, "preferences")),
    iconButton("help", "Keys and help (?)", (event) => tell(event.currentTarget, "help")),
  );
  sidebar.append(brand);
  const main = h(
    "main",
    { id: "main", class: "main", tabindex: "-1" },
    header,
    conversation,
    composer,
    takeOver,
    inbox,
    welcome,
  );
  root.append(banner, h("div", { class: "columns" }, sidebar, main, panel));
  return { banner, sidebar, main, header, conversation, composer, takeOver, inbox, welcome, panel };
}
