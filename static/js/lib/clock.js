// The server's clock. Times on the page are relative to it, since the reader's own clock may be wrong.

// A smaller difference is ignored: answers have whole seconds, and take time.
const TOLERANCE_MS = 10_000;

let offset = 0;
/** @type {() => void} */
let onChange = () => {};

/** Sets what is called when the difference between the two clocks has changed. */
export function whenClockChanges(act) {
  onChange = act;
}

/**
 * Returns how far the server's clock is ahead, or null. `date` is the `Date` header of an answer to a request that was
 * sent at `sent`; it was received at `received`.
 */
export function difference(date, sent, received) {
  const then = Date.parse(date ?? "");
  if (Number.isNaN(then)) return null;
  const ahead = then + 500 - (sent + received) / 2;
  return Math.abs(ahead) > TOLERANCE_MS ? Math.round(ahead) : 0;
}

/** Takes the `Date` header of an answer to a request that was sent at `sent` by the reader's clock. */
export function heardDate(date, sent) {
  const ahead = difference(date, sent, Date.now());
  if (ahead === null || Math.abs(ahead - offset) < TOLERANCE_MS) return;
  offset = ahead;
  onChange();
}

/** Milliseconds since 1970 by the server's clock. */
export const now = () => Date.now() + offset;
