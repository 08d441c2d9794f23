// The read position of each worker, remembered across reloads.

import { memory } from "../lib/dom.js";

const SAVE_AFTER_MS = 500;

let timer = 0;

export const loadSeen = () => memory.get("seen", {});

/** Remembers it a moment later: this is asked for with every event. */
export function saveSeen(seen) {
  clearTimeout(timer);
  timer = setTimeout(() => memory.set("seen", seen), SAVE_AFTER_MS);
}
