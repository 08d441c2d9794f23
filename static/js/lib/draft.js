// What was typed and not sent, by worker. Each tab has its own; a new tab begins with what was typed last anywhere.

import { memory } from "./dom.js";

const key = (worker) => `draft.${worker}`;

// Storage of this tab alone; it may be missing or full, and then the tabs share.
function own(act) {
  try {
    return act(sessionStorage);
  } catch {
    return null;
  }
}

export const draft = {
  get: (worker) => own((tab) => tab.getItem(`rs-worker.${key(worker)}`)) ?? memory.get(key(worker), ""),
  set(worker, text) {
    own((tab) => tab.setItem(`rs-worker.${key(worker)}`, text));
    memory.set(key(worker), text);
  },
};
