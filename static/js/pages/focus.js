// Moves the focus: after each action, and when what had it is gone. Each view has a place for it.

import { isTyping } from "../lib/dom.js";

// Somebody who has typed this recently is writing: a prompt does not take the focus then.
const TYPED_MS = 1000;
// A request that is there this soon after its worker was opened was loaded with it.
const OPENED_MS = 2000;
const CARD = ".prompt-card";

const isThere = (el) => el.isConnected && el.checkVisibility() && !el.disabled && !el.closest("[inert]");
// Another worker beside this frame has it.
const isElsewhere = () => parent !== window && !document.hasFocus();
const isFine = () => matchMedia("(pointer: fine)").matches;

/**
 * Mounts it. `update` is called after each drawing; `settle` puts the focus where the open view has its place for it.
 */
export function mountFocus(app, parts, open) {
  const { state, root } = app;
  // The element that has the focus, or had it until it was hidden or removed.
  let last = null;
  let typedAt = 0;
  let settledAt = 0;
  // The place of the view is not there yet.
  let isPending = false;
  // The card that has taken the focus from the empty composer, where somebody may be about to write.
  let taken = null;
  const offered = new Set();

  document.addEventListener("focusin", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    last = target;
    isPending = false;
    if (!target.matches(CARD) || target.dataset.key !== taken) taken = null;
    mark();
  });
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    if (relatedTarget) return;
    // An element that lost the focus by a click still exists; a removed one does not.
    setTimeout(() => {
      if (last === target && document.activeElement === document.body && isThere(target)) last = null;
      mark();
    });
  });
  document.addEventListener("keydown", ({ target }) => {
    if (isTyping(target)) typedAt = Date.now();
  });

  /** The card that keys answer, where it can be seen; null where keys write text. */
  function keyedCard() {
    const active = document.activeElement;
    if (isTyping(active)) return null;
    return active?.closest(CARD) ?? firstCard(root);
  }

  function firstCard(within) {
    /** @type {NodeListOf<HTMLElement>} */
    const cards = within.querySelectorAll(CARD);
    return [...cards].find((card) => card.checkVisibility() && state.prompts.has(card.dataset.key));
  }

  // Keys are printed on the card that they answer, and only while they do.
  function mark() {
    const keyed = keyedCard();
    for (const card of root.querySelectorAll(CARD)) card.classList.toggle("keyed", card === keyed);
  }

  function placeOfView() {
    if (!parts.panel.hidden && parts.main.inert) return parts.panel.querySelector('[aria-selected="true"]');
    const { view, gone } = root.dataset;
    if (view === "inbox") return firstCard(parts.inbox) ?? parts.inbox.querySelector(".inbox-scroll");
    if (view === "worker" && gone !== "true") return placeOfWorker();
    return (
      [".workers [aria-current]", ".workers a", ".welcome button"]
        .map((selector) => root.querySelector(selector))
        .find((el) => el && isThere(el)) ?? (state.loaded ? parts.main : null)
    );
  }

  function placeOfWorker() {
    if (!parts.takeOver.hidden) return parts.takeOver.querySelector("button");
    if (open.composer.isEmpty()) {
      const card = firstCard(parts.conversation);
      if (card) return card;
    }
    // On a touch screen the composer would bring up the keyboard.
    return isFine() ? parts.composer.querySelector(".composer-box > textarea") : parts.header.querySelector("h1");
  }

  function settle() {
    if (isElsewhere() || document.querySelector("dialog[open]")) return;
    const wasTaken = taken !== null;
    settledAt = Date.now();
    const place = placeOfView();
    if (place?.matches(CARD)) offer(place, wasTaken);
    else place?.focus({ preventScroll: true });
    isPending = !place || document.activeElement !== place;
    last = isPending ? null : place;
  }

  function offer(card, take) {
    offered.add(card.dataset.key);
    taken = take ? card.dataset.key : null;
    card.focus({ preventScroll: true });
  }

  function update() {
    mark();
    for (const key of offered) if (!state.prompts.has(key)) offered.delete(key);
    if (isElsewhere() || document.querySelector("dialog[open], .menu")) return;
    const active = document.activeElement;
    // A newly hidden element keeps the focus until the page is drawn.
    if (active && active !== document.body && active.checkVisibility()) {
      if (active.matches(".composer-box > textarea")) offerNew();
      return;
    }
    if (isPending) settle();
    if (!last) return;
    if (isThere(last)) last.focus({ preventScroll: true });
    else if (!last.disabled || !last.isConnected || !last.checkVisibility()) settle();
  }

  // A new prompt takes the focus from an empty composer, so that its keys answer it.
  function offerNew() {
    if (!open.composer.isEmpty() || !isFine() || Date.now() - typedAt < TYPED_MS) return;
    const card = firstCard(parts.conversation);
    const isOwn = Date.now() - settledAt < OPENED_MS && typedAt < settledAt;
    if (card && !offered.has(card.dataset.key)) offer(card, !isOwn);
  }

  return { update, settle, keyedCard, isTaken: () => taken !== null };
}
