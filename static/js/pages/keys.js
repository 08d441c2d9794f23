// The keyboard, for the whole page.

import { isTyping, tell } from "../lib/dom.js";
import { optionFor } from "../state/options.js";
import { navigate } from "../lib/router.js";
import { openPrompts } from "../state/state.js";

// A prompt that has just appeared cannot be answered by a key that was meant for something else.
const PROMPT_GUARD_MS = 600;

// There Ctrl+K deletes to the end of the line.
const IS_MAC = /Mac/.test(globalThis.navigator?.platform ?? "");

export function mountKeys(app, workers, open) {
  const { state, root } = app;
  const firstSeen = new Map();

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open], .menu")) return;
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      const next = workers.neighbour(event.key === "ArrowDown" ? 1 : -1);
      if (next) app.openWorker(next);
      return;
    }
    if (event.key.toLowerCase() === "k" && (IS_MAC ? event.metaKey : event.ctrlKey) && !event.shiftKey) {
      event.preventDefault();
      return tell(root, "palette");
    }
    if (event.key === "Escape") return escape(event);
    if (isTyping(event.target) || event.altKey || event.ctrlKey || event.metaKey) return;
    const act = ACTS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  function escape(event) {
    const busy = ["busy", "waiting", "stalled"].includes(state.workers.get(state.selected)?.status);
    if (app.panel.isOverlay()) app.panel.toggle();
    else if (busy) tell(root, "interrupt");
    else if (isTyping(event.target)) open.conversation.focus();
    else return;
    event.preventDefault();
  }

  function answer(meaning) {
    /** @type {HTMLElement | null | undefined} */
    const card = document.activeElement?.closest?.(".prompt-card");
    const prompt = (card && state.prompts.get(card.dataset.key)) ?? openPrompts(state, state.selected ?? null)[0];
    if (!prompt || prompt.kind !== "permission" || Date.now() - (firstSeen.get(prompt.key) ?? 0) < PROMPT_GUARD_MS)
      return;
    const option = optionFor(prompt.event, meaning);
    if (option)
      tell(root, "answer", {
        key: prompt.key,
        worker: prompt.worker_id,
        request: prompt.request_id,
        option: option.id,
      });
  }

  // When each prompt was first on the page.
  setInterval(() => {
    for (const key of firstSeen.keys()) if (!state.prompts.has(key)) firstSeen.delete(key);
    for (const key of state.prompts.keys()) if (!firstSeen.has(key)) firstSeen.set(key, Date.now());
  }, 100);

  const ACTS = {
    "?": () => tell(root, "help"),
    n: () => tell(root, "create"),
    s: () => tell(root, "search"),
    "/": () => workers.focusFilter(),
    g: () => navigate("#/inbox"),
    l: () => workers.focusList(),
    i: () => open.composer.focus(),
    p: () => app.panel.toggle(),
    t: () => tell(root, "theme"),
    a: () => answer("allow"),
    A: () => answer("always"),
    d: () => answer("deny"),
    End: () => open.conversation.toEnd(),
  };
}
