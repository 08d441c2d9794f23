// The conversation: a window onto a long list of items. Only those near the viewport are in the page; the others are
// two spacers. It follows the end while the reader is at the end and keeps still otherwise.
// Tells: `older` (an older page is wanted), `reachedEnd`.

import { arrange, h, icon, emit } from "../lib/dom.js";
import { itemView } from "./items.js";
import { mountBeginning } from "./loading.js";
import { keepPlace } from "../state/state.js";
import { Extent } from "../lib/window.js";

// Distance from the end, in pixels, that still counts as being there.
const END_SLACK = 48;
// Pixels that are drawn beyond the viewport on each side.
const MARGIN = 900;
// An older page is asked for this near to the top, in pixels.
const OLDER_AT = 1200;
// Rounds of drawing and measuring within one update, until the window is filled.
const ROUNDS_MAX = 4;
// The last items of a conversation that are printed; its export has all.
const PRINTED_MAX = 2_000;

export function mountConversation(root, context) {
  const above = h("div", { class: "spacer", "aria-hidden": "true" });
  const below = h("div", { class: "spacer", "aria-hidden": "true" });
  const beginning = h("div", { class: "beginning" });
  const list = h("div", { class: "items" }, above, below);
  const scroller = h(
    "div",
    { class: "scroller", tabindex: "0", role: "region", "aria-label": "Conversation" },
    beginning,
    list,
  );
  const jump = h(
    "button",
    { type: "button", class: "jump", hidden: true, on: { click: () => toEnd() } },
    icon("down"),
    h("span", null, "New output"),
  );
  root.append(scroller, jump);
  const showBeginning = mountBeginning(beginning, context.olderAgain);
  let isPrinting = false;
  for (const [type, is] of /** @type {[string, boolean][]} */ ([
    ["beforeprint", true],
    ["afterprint", false],
  ])) {
    window.addEventListener(type, () => {
      isPrinting = is;
      draw();
    });
  }

  const extent = new Extent();
  const views = new Map();
  let conv = null;
  let follow = true;
  let lastTop = 0;
  let drawnRev = -1;
  let endKey = null;
  let width = 0;
  let goal = null;
  let wanted = false;

  const observer = new ResizeObserver(() => {
    if (conv && !wanted) {
      wanted = true;
      requestAnimationFrame(() => {
        wanted = false;
        if (scroller.clientWidth !== width) forgetHeights();
        draw();
      });
    }
  });
  observer.observe(scroller);

  scroller.addEventListener(
    "scroll",
    () => {
      const top = scroller.scrollTop;
      const atEnd = scroller.scrollHeight - top - scroller.clientHeight < END_SLACK;
      if (atEnd) {
        follow = true;
      } else if (top < lastTop - 1) follow = false;
      lastTop = top;
      if (conv) draw();
    },
    { passive: true },
  );
  for (const type of ["wheel", "touchmove", "pointerdown", "keydown"]) {
    scroller.addEventListener(
      type,
      () => {
        goal = null;
      },
      { passive: true },
    );
  }
  list.addEventListener("toggle", () => draw(), true);

  function forgetHeights() {
    width = scroller.clientWidth;
    for (const it of conv?.timeline.shown() ?? []) it.height = 0;
  }

  // The first drawn item that is in view, and its place, which must not move.
  function anchor() {
    const edge = scroller.getBoundingClientRect().top;
    for (const el of list.children) {
      if (el === above || el === below) continue;
      const box = el.getBoundingClientRect();
      if (box.bottom > edge) return { key: el.dataset.key, offset: box.top - edge };
    }
    return null;
  }

  function draw() {
    if (!conv || scroller.clientHeight === 0) return;
    const items = conv.timeline.shown();
    const fixed = follow || goal ? null : anchor();
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      extent.measure(items);
      const height = scroller.clientHeight;
      let top = follow ? extent.total - height : scroller.scrollTop - list.offsetTop;
      if (goal) top = extent.top(Math.max(0, goalAt(items))) - height / 4;
      else if (fixed) {
        const at = items.findIndex((it) => it.key === fixed.key);
        if (at >= 0) top = extent.top(at) - fixed.offset;
      }
      const [from, to] = isPrinting
        ? [Math.max(0, items.length - PRINTED_MAX), items.length]
        : extent.range(top, height, MARGIN);
      show(items, from, to);
      if (!measure(items, from, to)) break;
    }
    if (follow) scroller.scrollTop = scroller.scrollHeight;
    else if (goal) reach();
    else if (fixed) hold(fixed);
    lastTop = scroller.scrollTop;
    finish(items);
  }

  function show(items, from, to) {
    const wantedKeys = new Set();
    const els = [above];
    for (let at = from; at < to; at += 1) {
      const it = items[at];
      wantedKeys.add(it.key);
      let view = views.get(it.key);
      if (!view) {
        view = itemView(it, context);
        view.rev = it.rev;
        view.el.dataset.key = it.key;
        views.set(it.key, view);
        observer.observe(view.el);
      } else if (view.rev !== it.rev || it.kind === "prompt") {
        view.rev = it.rev;
        view.update(it);
      }
      view.el.dataset.seq = it.seq;
      els.push(view.el);
    }
    for (const [key, view] of views) {
      // The focused element stays, so that keys go where the reader left them.
      if (wantedKeys.has(key) || view.el.contains(document.activeElement)) continue;
      observer.unobserve(view.el);
      views.delete(key);
    }
    els.push(below);
    arrange(list, els);
    above.style.height = `${extent.top(from)}px`;
    below.style.height = `${extent.total - extent.top(to)}px`;
  }

  // Reads the heights of what is drawn; true when a guess was off.
  function measure(items, from, to) {
    let changed = false;
    const heights = [];
    for (let at = from; at < to; at += 1) heights.push(views.get(items[at].key).el.getBoundingClientRect().height);
    for (let at = from; at < to; at += 1) {
      const height = Math.max(1, heights[at - from]);
      if (Math.abs(items[at].height - height) > 0.5) {
        items[at].height = height;
        changed = true;
      }
    }
    return changed;
  }

  function hold(fixed) {
    const el = views.get(fixed.key)?.el;
    if (!el?.isConnected) return;
    const moved = el.getBoundingClientRect().top - scroller.getBoundingClientRect().top - fixed.offset;
    if (Math.abs(moved) > 0.5) scroller.scrollTop += moved;
  }

  const goalAt = (items) => items.findIndex((it) => it.key === goal.key);

  function reach() {
    const view = views.get(goal.key);
    if (!view?.el.isConnected) return;
    const box = view.el.getBoundingClientRect();
    scroller.scrollTop += box.top - scroller.getBoundingClientRect().top - scroller.clientHeight / 4;
    if (goal.fresh) {
      goal.fresh = false;
      view.el.focus({ preventScroll: true });
      view.el.classList.add("target");
      setTimeout(() => view.el.classList.remove("target"), 2500);
    }
  }

  function finish(items) {
    const last = items[items.length - 1];
    const sign = last ? `${last.key}:${last.rev}` : null;
    if (follow) {
      endKey = sign;
      jump.hidden = true;
    } else {
      jump.hidden = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < END_SLACK;
      jump.classList.toggle("fresh", sign !== endKey);
      jump.querySelector("span").textContent = sign !== endKey ? "New output" : "To the end";
    }
    showBeginning(conv);
    if (
      conv.hasMore &&
      !conv.loadingOlder &&
      !conv.olderError &&
      conv.phase === "live" &&
      scroller.scrollTop < OLDER_AT
    )
      emit(root, "older", { worker: conv.id });
    if (follow && document.visibilityState === "visible") emit(root, "reachedEnd", { worker: conv.id });
  }

  function clear() {
    for (const view of views.values()) observer.unobserve(view.el);
    views.clear();
    arrange(list, [above, below]);
  }

  function toEnd() {
    follow = true;
    goal = null;
    draw();
    scroller.focus({ preventScroll: true });
  }

  /** Shows a conversation; cheap when nothing has changed. */
  function update(next, rev) {
    if (next !== conv) {
      if (conv) keepPlace(conv, follow ? null : anchor());
      clear();
      conv = next;
      follow = true;
      goal = null;
      endKey = null;
      drawnRev = -1;
      width = scroller.clientWidth;
      if (conv) forgetHeights();
      context.worker = conv?.id ?? null;
    }
    if (!conv || rev === drawnRev) return;
    drawnRev = rev;
    scroller.setAttribute("aria-busy", String(conv.phase === "replaying"));
    draw();
  }

  /** Goes to the item of the event `seq`; false when it is not loaded. */
  function goTo(seq) {
    const it = conv?.timeline.shownAt(seq);
    if (!it) return false;
    follow = false;
    goal = { key: it.key, fresh: true };
    draw();
    // Images and fonts may still move it: it is held until the reader scrolls.
    return true;
  }

  return { update, goTo, toEnd, focus: () => scroller.focus({ preventScroll: true }), scroller };
}
