// Drafts of messages, one for each tab and worker. A tab that is closed leaves its drafts to the next one that opens
// the worker.

const PREFIX = "rs-worker.draft.";

// Storage may be missing or full: then nothing is remembered.
function attempt(act) {
  try {
    return act() ?? null;
  } catch {
    return null;
  }
}

/** Drafts in `own` (of this tab) and `left` (of closed tabs), which are storages. */
export function draftsIn(own, left) {
  const keys = () => Object.keys(own()).filter((key) => key.startsWith(PREFIX));
  const write = (storage, key, text) => (text ? storage.setItem(key, text) : storage.removeItem(key));
  return {
    /** The draft for a worker; one that a closed tab has left becomes this tab's. */
    get(worker) {
      const key = PREFIX + worker;
      const mine = attempt(() => own().getItem(key));
      if (mine !== null) return mine;
      const found = attempt(() => left().getItem(key));
      if (found === null) return "";
      attempt(() => left().removeItem(key));
      const text = unquoted(found);
      attempt(() => write(own(), key, text));
      return text;
    },
    set(worker, text) {
      attempt(() => write(own(), PREFIX + worker, text));
    },
    /** The names of drafts that begin with `prefix`, without it. */
    names(prefix) {
      const begin = PREFIX + prefix;
      const all = [own, left].flatMap((storage) => attempt(() => Object.keys(storage())) ?? []);
      return [...new Set(all)].filter((key) => key.startsWith(begin)).map((key) => key.slice(begin.length));
    },
    /** Forgets the drafts for a worker that was deleted, and those whose names begin with its id and a space. */
    forget(worker) {
      for (const name of [worker, ...this.names(`${worker} `).map((rest) => `${worker} ${rest}`)])
        for (const storage of [own, left]) attempt(() => storage().removeItem(PREFIX + name));
    },
    /** The tab closes, or is loaded again. */
    leave() {
      attempt(() => keys().forEach((key) => left().setItem(key, own().getItem(key))));
    },
    /** The tab is back: what it left is its own. */
    takeBack() {
      attempt(() =>
        keys().forEach((key) => {
          if (left().getItem(key) === own().getItem(key)) left().removeItem(key);
        }),
      );
    },
  };
}

// Earlier versions of the page kept drafts as JSON.
function unquoted(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "string" ? value : text;
  } catch {
    return text;
  }
}

export const drafts = draftsIn(
  () => sessionStorage,
  () => localStorage,
);

/** Follows the tab's life. */
export function mountDrafts() {
  drafts.takeBack();
  window.addEventListener("pagehide", () => drafts.leave());
  window.addEventListener("pageshow", () => drafts.takeBack());
}
