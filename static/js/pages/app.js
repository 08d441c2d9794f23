// The page: owns the state, the socket and the views; takes the actions that views tell.
// Data goes down by `update()`, which draws what has changed; actions come up as events.

import { api, whenUnauthorized } from "../lib/api.js";
import { mountActions } from "./actions.js";
import { mountAttention } from "../views/attention.js";
import { h, icon, iconButton, linkLater, memory, style, tell, toast, whenIdle } from "../lib/dom.js";
import { mountBanner, mountHeader, mountWelcome } from "../views/views.js";
import { mountKeys } from "./keys.js";
import { navigate, route } from "../lib/router.js";
import { Socket } from "../lib/socket.js";
import { saveSeen, loadSeen } from "../state/seen.js";
import { olderFailed, olderRequested } from "../state/outbox.js";
import * as model from "../state/state.js";
import { mountWorkers } from "../views/workers.js";

const HISTORY = 200;
const OLDER_PAGE = 200;
// Pages fetched to reach the message of a deep link.
const REACH_PAGES_MAX = 60;
const REACH_PAGE = 1000;
// A hidden page has no animation frames; it draws this often.
const HIDDEN_DRAW_MS = 1000;
const CLOCK_MS = 20_000;
// Stands for the views of an open worker until their code has been loaded.
/** @type {any} */
const NOT_LOADED = { update() {}, focus() {}, goTo() {}, toEnd() {}, setText() {} };

export function mountApp(root) {
  const state = model.initial(loadSeen());
  const parts = skeleton(root);
  const socket = new Socket(socketUrl(), { open: opened, frame, lost: dropped });
  const app = { state, socket, api, root, announce: null, update: schedule, openWorker, session };
  const attention = mountAttention(app);
  app.announce = attention.announce;
  const context = {
    worker: null,
    now: () => Date.now(),
    cwd: () => session().cwd ?? state.workers.get(state.selected)?.project_path ?? "",
    resultBlocks: (seq) => api.resultBlocks(context.worker, seq),
    planBlocks: api.planBlocks,
    wholeText: (seq) => api.wholeText(context.worker, seq),
    answerOf: (key) => state.answers.get(key),
  };
  const open = { settings: NOT_LOADED, conversation: NOT_LOADED, composer: NOT_LOADED };
  const workers = mountWorkers(parts.sidebar, state);
  const header = mountHeader(parts.header, app);
  let inbox = null;
  let workerPage = null;
  const welcome = mountWelcome(parts.welcome, app);
  const banner = mountBanner(parts.banner, app);
  mountActions(app, open);
  mountKeys(app, workers, open);
  app.list = workers;
  app.panel = { update() {}, isOverlay: () => false, toggle: openPanel };
  if (memory.get("panel", false) && matchMedia("(min-width: 1100px)").matches) openPanel();

  let here = { view: null };
  let subscribed = null;
  let scheduled = false;
  let target = null;

  whenUnauthorized(async (why) => {
    socket.close();
    await style("dialogs");
    (await import("../views/login.js")).login(start, why);
  });
  window.addEventListener("hashchange", arrive);
  document.addEventListener("visibilitychange", schedule);
  parts.conversation.addEventListener("older", older);
  parts.conversation.addEventListener("reachedEnd", ({ detail }) => {
    if (model.markSeen(state, detail.worker)) saveSeen(state.seen);
  });
  setInterval(() => {
    workers.update(true);
    header.update(true);
  }, CLOCK_MS);
  start();
  arrive();

  function start() {
    socket.connect();
  }

  // What is rarely looked at is loaded when it is.
  async function openPanel() {
    if (app.panel.toggle !== openPanel) return;
    await style("panel");
    app.panel = (await import("../views/panel.js")).mountPanel(parts.panel, app);
    app.panel.toggle();
  }

  function loadWorkerPage() {
    linkLater();
    const styles = ["conversation", "rich", "composer", "cards"].map(style);
    workerPage ??= Promise.all([import("./worker.js"), ...styles]).then(
      ([{ mountWorkerPage }]) => {
        Object.assign(open, mountWorkerPage(parts, app, context, { commands, files: completeFiles }));
        update();
      },
      () => {
        workerPage = null;
        toast("A part of the page could not be loaded. Load the page again.", true);
      },
    );
    return workerPage;
  }

  async function loadInbox() {
    const [{ mountInbox }] = await Promise.all([
      import("../views/inbox.js"),
      ...["conversation", "rich", "prompts"].map(style),
    ]);
    return mountInbox(parts.inbox, app, context);
  }

  function session() {
    return state.conversations.get(state.selected)?.session ?? {};
  }

  function opened() {
    // Whoever asked for such a page without a login was sent here for it.
    if (here.away) location.replace(here.away);
    model.connected(state);
    subscribed = null;
    follow();
    flushOutboxes();
    schedule();
  }

  async function loadPrompts() {
    const epoch = model.promptsAsked(state);
    const answer = await api.permissions().catch(() => null);
    if (answer) model.promptsLoaded(state, answer.permissions ?? [], epoch);
    schedule();
  }

  function dropped(retryAt) {
    subscribed = null;
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
    const moved = next.view !== here.view || next.worker !== here.worker;
    here = next;
    model.select(state, next.view === "worker" ? next.worker : null);
    saveSeen(state.seen);
    target = next.seq ?? null;
    root.dataset.view = next.view;
    const loaded = next.view === "worker" ? loadWorkerPage() : null;
    follow();
    update();
    if (target !== null) reach();
    else if (moved && loaded && matchMedia("(pointer: fine)").matches) {
      loaded.then(() => {
        if (here === next) open.composer.focus();
      });
    }
  }

  // Subscribes to the open worker, and to no other.
  function follow() {
    const wanted = state.selected;
    if (!socket.isOpen || wanted === subscribed) return;
    if (subscribed) {
      socket.send({ type: "unsubscribe", worker_id: subscribed });
      model.unsubscribed(state, subscribed);
    }
    subscribed = wanted;
    if (wanted)
      subscribe(wanted).catch((error) => {
        if (!error.lost) model.subscribeFailed(state, wanted, error.message);
        schedule();
      });
  }

  async function subscribe(id) {
    const mine = socket.ws;
    if (model.subscribing(state, id) === null) {
      const page = await api.history(id, HISTORY);
      // The reader may have gone on to another worker meanwhile, or the connection.
      if (subscribed !== id || socket.ws !== mine) return;
      model.historyLoaded(state, id, page);
    }
    schedule();
    api.queue(id).then(
      (answer) => {
        model.queueLoaded(state, id, answer?.queue ?? []);
        schedule();
      },
      () => {},
    );
    const { cursor: since, at } = model.conversation(state, id);
    await socket.command({ type: "subscribe", worker_id: id, since, at, blocks: true });
  }

  // Slash commands are told at the start of a session, which may be pages back.
  async function commands() {
    const id = state.selected;
    if (!session().commands && id) {
      const page = await api.sessionFacts(id).catch(() => null);
      model.commandsLoaded(state, id, page?.messages?.at(-1)?.commands ?? []);
    }
    return session().commands ?? [];
  }

  function flushOutboxes() {
    for (const conv of state.conversations.values()) {
      for (const message of conv.outbox) if (!message.error) tell(root, "deliver", { worker: conv.id, message });
    }
  }

  async function older({ detail }) {
    await page(detail.worker, OLDER_PAGE);
  }

  async function page(id, limit) {
    const conv = state.conversations.get(id);
    if (!conv || conv.loadingOlder || !conv.hasMore || conv.oldest === null) return;
    olderRequested(state, conv);
    schedule();
    try {
      model.olderLoaded(state, id, await api.history(id, limit, conv.oldest));
    } catch {
      olderFailed(state, conv);
    }
    schedule();
  }

  // Pages back until the message of a deep link is there, then goes to it.
  async function reach() {
    const { worker, seq } = here;
    for (let pages = 0; pages < REACH_PAGES_MAX && target === seq; pages += 1) {
      const conv = state.conversations.get(worker);
      if (!conv || conv.phase !== "live" || open.conversation === NOT_LOADED) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      if (conv.oldest !== null && seq < conv.oldest && conv.hasMore) {
        await page(worker, REACH_PAGE);
        continue;
      }
      update();
      open.conversation.goTo(seq);
      break;
    }
    if (target === seq) target = null;
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
    if (here.view === "inbox") inbox ??= loadInbox();
    inbox?.then((view) => view.update(here.view === "inbox"));
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
    app.panel.update();
    attention.update();
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
    iconButton("theme", "Theme", (event) => tell(event.currentTarget, "theme")),
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
  return { banner, sidebar, header, conversation, composer, takeOver, inbox, welcome, panel };
}
