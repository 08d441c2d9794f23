// Loads what the open conversation shows: its recent history, what follows live, and older pages.

import { RECENT } from "../lib/api.js";
import { olderFailed, olderRequested, subscribeFailed } from "../state/outbox.js";
import * as model from "../state/state.js";

const OLDER_PAGE = 200;
// Pages fetched to reach the message of a deep link.
const REACH_PAGES_MAX = 60;
const REACH_PAGE = 1000;
// Longest time that a deep link waits for its conversation.
const REACH_MAX_MS = 60_000;
const REACH_LOOK_MS = 50;

/** Mounts it. `goTo(seq)` shows a message of the open conversation. */
export function mountHistory(app, goTo) {
  const { state, socket, api, update, draw } = app;
  let subscribed = null;
  // The message that a deep link names, until it is shown.
  let target = null;

  /** Subscribes to the open worker, and to no other. */
  function follow() {
    const wanted = state.selected;
    if (!socket.isOpen || wanted === subscribed) return;
    if (subscribed) {
      socket.send({ type: "unsubscribe", worker_id: subscribed });
      model.unsubscribed(state, subscribed);
    }
    subscribed = wanted;
    if (!wanted) return;
    const { ws } = socket;
    const isCurrent = () => subscribed === wanted && socket.ws === ws;
    subscribe(wanted, isCurrent).catch((error) => {
      // After a lost connection, the next one subscribes again.
      if (isCurrent()) subscribeFailed(state, wanted, error.message);
      update();
    });
  }

  async function subscribe(id, isCurrent) {
    if (model.subscribing(state, id) === null) {
      const page = await recent(id);
      // The reader may have opened another worker meanwhile, or the connection may have changed.
      if (!isCurrent()) return;
      model.historyLoaded(state, id, page);
    }
    update();
    loadQueue(id);
    const { cursor: since, at } = model.conversation(state, id);
    await socket.command({ type: "subscribe", worker_id: id, since, at, blocks: true });
  }

  /** The recent history: that which the page has requested at its start, or one of now. */
  async function recent(id) {
    const { early } = app;
    app.early = null;
    return early?.id === id ? early.page : api.history(id, RECENT);
  }

  function loadQueue(id) {
    return app.attempt("The messages that wait could not be loaded", async () => {
      const answer = await api.queue(id);
      model.queueLoaded(state, id, answer.queue);
      update();
    });
  }

  /** The connection was lost, or the conversation is to be loaded once more. */
  function forget() {
    subscribed = null;
  }

  function again() {
    forget();
    follow();
    update();
  }

  /** Slash commands, which the start of a session lists; that may be pages back. */
  async function commands() {
    const id = state.selected;
    const session = state.conversations.get(id)?.session;
    if (!session?.commands && id) {
      const page = await api.sessionFacts(id);
      // A session has events without them as well.
      model.commandsLoaded(state, id, page.messages.findLast((event) => event.commands)?.commands ?? []);
    }
    return session?.commands ?? [];
  }

  const older = (id) => page(id, OLDER_PAGE);

  async function page(id, limit) {
    const conv = state.conversations.get(id);
    if (!conv || conv.loadingOlder || !conv.hasMore || conv.oldest === null) return;
    olderRequested(state, conv);
    update();
    try {
      model.olderLoaded(state, id, await api.history(id, limit, conv.oldest));
    } catch (error) {
      olderFailed(state, conv, error.message);
    }
    update();
  }

  /** Requests earlier messages once more, and continues to the message of a deep link. */
  function olderAgain(id) {
    if (target === null) older(id);
    else reach(id, target, true);
  }

  /** Pages back until the message `seq` is there, then goes to it. */
  async function reach(id, seq, isAgain = false) {
    target = seq;
    const end = Date.now() + REACH_MAX_MS;
    for (let pages = 0; pages < REACH_PAGES_MAX && Date.now() < end && target === seq && state.selected === id;) {
      const conv = state.conversations.get(id);
      // Said at the head of the conversation, with a button that comes back here.
      if (conv?.error || (conv?.olderError && !isAgain)) return;
      if (conv?.phase !== "live" || conv.loadingOlder) {
        await new Promise((resolve) => setTimeout(resolve, REACH_LOOK_MS));
      } else if (conv.oldest !== null && seq < conv.oldest && conv.hasMore) {
        isAgain = false;
        pages += 1;
        await page(id, REACH_PAGE);
      } else {
        draw();
        goTo(seq);
        break;
      }
    }
    if (target === seq) target = null;
  }

  /** Forgets the message of an earlier deep link. */
  function stopReaching() {
    target = null;
  }

  return { follow, forget, again, commands, older, olderAgain, reach, stopReaching };
}
