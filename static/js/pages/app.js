// The page: owns the state, the socket and the views; runs the actions that views emit.
// Data goes down by `update()`, which draws what has changed; actions come up as events.

import { api, RECENT, whenUnauthorized } from "../lib/api.js";
import { mountActions } from "./actions.js";
import { mountAttention } from "../views/attention.js";
import { mountBanner, mountHeader, mountWelcome } from "../views/views.js";
import { now, whenClockChanges } from "../lib/clock.js";
import { linkLater, memory, style, emit, whenIdle } from "../lib/dom.js";
import { holdKeys } from "../lib/held.js";
import { mountKeys } from "./keys.js";
import { addressOf, navigate, route } from "../lib/router.js";
import { Socket } from "../lib/socket.js";
import { skeleton } from "./skeleton.js";
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
// Placeholder for the views of an open worker until their code has been loaded.
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
  const { attempt, opening } = mountTroubles(parts.banner);
  const app = {
    state,
    socket,
    api,
    root,
    announce: null,
    update: schedule,
    draw: update,
    attempt,
    opening,
    openWorker,
    session,
    settle,
    loadPanes,
    panes: null,
    early: null,
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
    app.early = null;
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
  socket.connect();
  requestEarly();
  arrive();

  // The history needs no connection: it is on its way while that is made.
  function requestEarly() {
    const { view, worker: id } = route(location.hash);
    if (view !== "worker") return;
    app.early = { id, page: api.history(id, RECENT) };
    // Whoever takes it says why it is not there.
    app.early.page.catch(() => {});
  }

  function settle() {
    wantsFocus = open.focus === NOT_LOADED;
    open.focus.settle();
  }

  function loggedIn() {
    socket.connect();
    settle();
    app.panes?.reload();
  }

  // Rarely opened parts are loaded when they are opened.
  function openPanel(takesFocus = true) {
    return opening("The panel", async () => {
      if (app.panel.toggle !== openPanel) return;
      await Promise.all(["worker", "panel"].map(style));
      app.panel = (await import("../views/panel.js")).mountPanel(parts.panel, app);
      app.panel.toggle(takesFocus);
    });
  }

  function loadWorkerPage() {
    linkLater();
    workerPage ??= attempt("The conversation's part of the page could not be loaded", async () => {
      const [{ mountWorkerPage }] = await Promise.all([import("./worker.js"), style("worker")]);
      mountWorkerPage(parts, app, context, open, completeFiles);
      open.history.follow();
      update();
      if (wantsFocus) open.focus.settle();
    });
    return workerPage;
  }

  async function loadInbox() {
    const [{ mountInbox }] = await Promise.all([import("../views/inbox.js"), ...["worker", "prompts"].map(style)]);
    inbox = mountInbox(parts.inbox, app, context);
    update();
    if (here.view === "inbox") settle();
  }

  async function loadPanes() {
    app.panes ??= (await import("./panes.js")).mountPanes(app, parts.main);
    app.panes.update(here);
    return app.panes;
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
    // What was requested without a connection, or without a login, is requested again with one.
    app.early = null;
    open.history.forget();
    model.lost(state, retryAt);
    schedule();
    // A script can't see why an upgrade was refused; a plain request shows it: 401 brings the login.
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
    if (next.beside?.length || app.panes) attempt("The workers beside it could not be loaded", loadPanes);
    update();
    const isThere = open.focus !== NOT_LOADED;
    const ready = !loaded || isThere || !moved || isFirst ? Promise.resolve(loaded) : holdKeys(() => loaded);
    ready.then(() => {
      if (here !== next) return;
      if (next.seq !== null && next.seq !== undefined) open.history.reach(next.worker, next.seq);
      else if (moved && !isFirst) settle();
    });
  }

  function flushOutboxes() {
    for (const conv of state.conversations.values()) {
      for (const message of conv.outbox)
        if (!message.error || message.unreached) emit(root, "deliver", { worker: conv.id, message });
    }
  }

  async function completeFiles(query) {
    const answer = await api.files(state.selected, query);
    return answer.files;
  }

  function openWorker(id) {
    navigate(addressOf(id));
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
    // Text typed before the worker is known would belong to none.
    parts.composer.hidden = !worker || worker.read_only;
    parts.takeOver.hidden = !worker?.read_only;
    open.composer.update(
      worker ? conv : null,
      waiting ? "waiting" : worker?.status,
      `${state.rev.queue}.${state.rev.conversation}`,
    );
    open.conversation.update(
      // Which pictures are the project's is known with the list.
      here.view === "worker" && !gone && state.loaded ? conv : null,
      `${state.rev.conversation}.${state.rev.prompts}`,
    );
    open.loading.update(here.view === "worker" && !gone ? conv : null);
    app.panel.update();
    app.panes?.draw();
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
