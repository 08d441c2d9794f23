// The keyboard, for the whole page.

import { isTyping, emit } from "../lib/dom.js";
import { optionFor } from "../state/options.js";
import { navigate } from "../lib/router.js";

// A prompt that has just appeared cannot be answered by a key that was meant for something else.
const PROMPT_GUARD_MS = 600;
// The second Escape interrupts if it comes within this time.
const ARMED_MS = 3000;
// A key on a card that has taken the focus from the composer answers it if no letter follows within this time: it may
// be the beginning of a message.
const ALONE_MS = 350;
const MEANINGS = { a: "allow", A: "always", d: "deny" };
const BUSY = new Set(["busy", "waiting", "stalled"]);

// There Ctrl+K deletes to the end of the line.
const IS_MAC = /Mac/.test(globalThis.navigator?.platform ?? "");

export function mountKeys(app, workers, open) {
  const { state, root } = app;
  const firstSeen = new Map();
  let armed = 0;
  // The answer that is given unless more is typed.
  let pending = null;

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") disarm();
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open], .menu")) return;
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      const next = workers.neighbour(event.key === "ArrowDown" ? 1 : -1);
      if (next) app.openWorker(next);
      return;
    }
    if (event.key.toLowerCase() === "k" && (IS_MAC ? event.metaKey : event.ctrlKey) && !event.shiftKey) {
      event.preventDefault();
      return emit(root, "palette");
    }
    if (event.key === "Escape") return escape(event);
    if (isTyping(event.target) || event.altKey || event.ctrlKey || event.metaKey) return;
    if (open.focus.isTaken()) return keyOnTakenCard(event);
    const act = ACTS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Escape leaves what has the focus. It interrupts from the conversation and the composer only, the second time.
  function escape(event) {
    event.preventDefault();
    drop();
    const { target } = event;
    const card = isTyping(target) && target.closest(".prompt-card");
    const isMain = target === document.body || target.closest(".conversation, .composer-place, #main:focus");
    if (card) card.focus();
    else if (app.panel.isOverlay() || target.closest(".panel") || (isMain && app.panel.isOpen())) app.panel.toggle();
    else if (!isMain) open.focus.settle();
    else if (BUSY.has(state.workers.get(state.selected)?.status)) interrupt(event.repeat);
    else if (isTyping(target)) open.conversation.focus();
  }

  function interrupt(isHeld) {
    if (!armed) {
      armed = setTimeout(disarm, ARMED_MS);
      open.composer.arm(true);
      app.announce("Press Escape again to interrupt.");
    } else if (!isHeld) {
      disarm();
      emit(root, "interrupt");
    }
  }

  function disarm() {
    if (!armed) return;
    clearTimeout(armed);
    armed = 0;
    open.composer.arm(false);
  }

  function answer(meaning) {
    const card = open.focus.keyedCard();
    const prompt = card && state.prompts.get(card.dataset.key);
    if (prompt?.kind !== "permission" || Date.now() - (firstSeen.get(prompt.key) ?? Infinity) < PROMPT_GUARD_MS)
      return;
    const option = optionFor(prompt.event, meaning);
    if (!option) return;
    const box = card.getBoundingClientRect();
    // A hidden element is shown first.
    if (box.bottom < 0 || box.top > innerHeight - 40) {
      card.scrollIntoView({ block: "nearest" });
      card.focus({ preventScroll: true });
      return;
    }
    emit(root, "answer", {
      key: prompt.key,
      worker: prompt.worker_id,
      request: prompt.request_id,
      option: option.id,
    });
  }

  // The card has taken the focus from the composer: its keys answer it, and what else is typed is a message.
  function keyOnTakenCard(event) {
    const { key } = event;
    if (key === "Enter" && pending) {
      event.preventDefault();
      return decide();
    }
    if (key.length !== 1) return drop();
    event.preventDefault();
    const before = pending?.key ?? "";
    drop();
    if (!before && MEANINGS[key]) {
      pending = { key, timer: setTimeout(decide, ALONE_MS) };
      return undefined;
    }
    open.composer.setText(before + key);
    return open.composer.focus();
  }

  function decide() {
    const { key } = pending;
    drop();
    answer(MEANINGS[key]);
  }

  function drop() {
    clearTimeout(pending?.timer);
    pending = null;
  }

  /** Notes when each prompt was first on the page. */
  function update() {
    for (const key of firstSeen.keys()) if (!state.prompts.has(key)) firstSeen.delete(key);
    for (const key of state.prompts.keys()) if (!firstSeen.has(key)) firstSeen.set(key, Date.now());
  }

  const ACTS = {
    "?": () => emit(root, "help"),
    ",": () => emit(root, "preferences"),
    n: () => emit(root, "create"),
    s: () => emit(root, "search"),
    "/": () => workers.focusFilter(),
    g: () => navigate("#/inbox"),
    l: () => workers.focusList(),
    i: () => open.composer.focus(),
    p: () => app.panel.toggle(),
    t: () => emit(root, "theme"),
    a: () => answer("allow"),
    A: () => answer("always"),
    d: () => answer("deny"),
    End: () => open.conversation.toEnd(),
  };
  return { update };
}
