// Markdown is read by the server, with a library: text goes there, nodes come back, never markup. What was read is
// remembered, so that what scrolls back into view is there at once.

import { api } from "./api.js";

// Most texts and characters of one request.
const TEXTS_MAX = 50;
const CHARS_MAX = 200_000;
// Longest pause before a request that failed is made again, in milliseconds.
const RETRY_MAX_MS = 10_000;
// Texts that are remembered, and how long each may be.
const KNOWN_MAX = 500;
const KNOWN_CHARS_MAX = 50_000;

const known = new Map();
const waiting = [];
let retryMs = 500;

/** The blocks of a text that was read before, or null. */
export const readBefore = (text) => known.get(text) ?? null;

/** The blocks of a text. Texts that are asked for together go together. */
export function read(text) {
  return new Promise((resolve) => {
    if (!waiting.length) queueMicrotask(ask);
    waiting.push({ text, resolve });
  });
}

function ask() {
  while (waiting.length) {
    let chars = waiting[0].text.length;
    let count = 1;
    while (count < Math.min(waiting.length, TEXTS_MAX) && chars + waiting[count].text.length <= CHARS_MAX) {
      chars += waiting[count].text.length;
      count += 1;
    }
    send(waiting.splice(0, count));
  }
}

async function send(batch) {
  let documents;
  try {
    ({ documents } = await api.markdown(batch.map(({ text }) => text)));
  } catch {
    // The text is there as it is until the server answers again.
    setTimeout(send, retryMs, batch);
    retryMs = Math.min(2 * retryMs, RETRY_MAX_MS);
    return;
  }
  retryMs = 500;
  batch.forEach(({ text, resolve }, at) => {
    if (text.length <= KNOWN_CHARS_MAX) {
      if (known.size >= KNOWN_MAX) known.delete(known.keys().next().value);
      known.set(text, documents[at]);
    }
    resolve(documents[at]);
  });
}
