// Messages on their way, as part of the state: those that the server does not have yet, its queue, and those of the
// history that were requested.

import { conversation } from "./state.js";

/** Adds a message that the server does not have yet. */
export function composed(state, id, message) {
  conversation(state, id).outbox.push(message);
  state.rev.queue += 1;
}

/**
 * The progress of a message in the outbox: `waiting` for a connection, or refused with an `error`; `unreached` if the
 * server may not have seen it.
 */
export function delivering(state, message, { waiting = false, error = undefined, unreached = false } = {}) {
  message.waiting = waiting;
  message.unreached = unreached;
  if (error === undefined) delete message.error;
  else message.error = error;
  state.rev.queue += 1;
}

/** A setting was refused: its menu shows the value in force again. */
export function settingRefused(state) {
  state.rev.queue += 1;
}

/** Removes a message from the outbox: the server has it, or it was discarded. */
export function discarded(state, id, message) {
  const conv = state.conversations.get(id);
  if (conv) conv.outbox = conv.outbox.filter((other) => other !== message);
  state.rev.queue += 1;
}

/** Replaces the text of a queued message; null removes the message. */
export function queueEdited(state, id, messageId, text) {
  const { queue } = conversation(state, id);
  if (text === null) queue.delete(messageId);
  else queue.set(messageId, { ...queue.get(messageId), id: messageId, text });
  state.rev.queue += 1;
}

/** An older page was requested. */
export function olderRequested(state, conv) {
  conv.loadingOlder = true;
  conv.olderError = null;
  state.rev.conversation += 1;
}

/** The older page could not be loaded: scrolling does not request it again, the reader may. */
export function olderFailed(state, conv, error) {
  conv.loadingOlder = false;
  conv.olderError = error;
  state.rev.conversation += 1;
}

/** The recent history could not be loaded, or not be subscribed to. */
export function subscribeFailed(state, id, error) {
  const conv = state.conversations.get(id);
  if (!conv) return;
  conv.phase = "broken";
  conv.error = error;
  conv.failures += 1;
  state.rev.conversation += 1;
}
