// The screen of a terminal as rows of text: what is selected and copied is the text itself.

import { fill, h } from "../lib/dom.js";

// Characters that a fixed-width font has in the width of a cell; others get a cell of their own.
const PLAIN = /^[\u0020-\u007e\u00a0-\u024f\u0370-\u04ff\u2500-\u259f]*$/;
const SEGMENTS = new Intl.Segmenter(undefined, { granularity: "grapheme" });

const isShade = (tint) => typeof tint === "number" && tint < 16;

/** The colour of an entry of the palette above the 16 of the theme, or of a text such as `#1a2b3c`. */
export function color(tint) {
  if (typeof tint === "string") return /^#[0-9a-f]{6}$/.test(tint) ? tint : "";
  if (tint >= 232)
    return `rgb(${Array(3)
      .fill(8 + (tint - 232) * 10)
      .join(" ")})`;
  const part = (at) => [0, 95, 135, 175, 215, 255][Math.floor((tint - 16) / at) % 6];
  return `rgb(${part(36)} ${part(6)} ${part(1)})`;
}

/** The classes and colours of a run. */
export function look({ f, b, a = "" }) {
  const reversed = a.includes("r");
  const [front, back] = reversed ? [b, f] : [f, b];
  const classes = [...a].filter((letter) => letter !== "r").map((letter) => `t-${letter}`);
  const style = {};
  if (isShade(front)) classes.push(`tf${front}`);
  else if (front !== undefined) style.color = color(front);
  else if (reversed) classes.push("tf-back");
  if (isShade(back)) classes.push(`tb${back}`);
  else if (back !== undefined) style["background-color"] = color(back);
  else if (reversed) classes.push("tb-front");
  return { classes, style };
}

/** The elements of a row's runs. */
export function rowParts(runs) {
  return runs.flatMap((run) => {
    const { classes, style } = look(run);
    const span = (text, more) =>
      h("span", { class: [...classes, more].filter(Boolean).join(" ") || null, style }, text);
    if (run.w) return [span(run.t, "t-wide")];
    if (PLAIN.test(run.t)) return [classes.length || Object.keys(style).length ? span(run.t) : run.t];
    return [...SEGMENTS.segment(run.t)].map(({ segment }) => span(segment, PLAIN.test(segment) ? "" : "t-cell"));
  });
}

const row = (runs) => h("div", { class: "term-row" }, rowParts(runs));

/** Mounts a screen in `root`. `ask(above, count)` asks for lines above it; they come by `history`. */
export function mountScreen(root, ask) {
  const past = h("div", { class: "term-past" });
  const rows = h("div", { class: "term-rows" });
  const cursor = h("div", { class: "term-cursor", hidden: true });
  const body = h("div", { class: "term-body" }, past, h("div", { class: "term-now" }, rows, cursor));
  const ruler = h("span", { class: "term-ruler", "aria-hidden": "true" }, "M".repeat(10));
  fill(root, body, ruler);
  let last = null;
  // Lines above the screen that were asked for, and where they go.
  const asked = [];
  const PAGE = 100;

  const isAtEnd = () => root.scrollTop + root.clientHeight >= root.scrollHeight - 4;

  /** Width and height of a cell. */
  function cell() {
    const box = ruler.getBoundingClientRect();
    return { width: box.width / 10 || 8, height: box.height || 16 };
  }

  /** The size of the terminal that fits. */
  function size() {
    const { width, height } = cell();
    const style = getComputedStyle(root);
    const free = (one, other, all) => all - parseFloat(style[one]) - parseFloat(style[other]);
    return {
      cols: Math.max(2, Math.floor(free("paddingLeft", "paddingRight", root.clientWidth) / width)),
      rows: Math.max(2, Math.floor(free("paddingTop", "paddingBottom", root.clientHeight) / height)),
    };
  }

  /** The cell at a place in the window. */
  function place(event) {
    const box = rows.getBoundingClientRect();
    const { width, height } = cell();
    const within = (value, end) => Math.min(Math.max(0, Math.floor(value)), end - 1);
    return {
      row: within((event.clientY - box.top) / height, last?.rows ?? 1),
      col: within((event.clientX - box.left) / width, last?.cols ?? 1),
    };
  }

  function draw(update) {
    const stays = past.firstChild && !isAtEnd();
    if (past.firstChild && update.scrolled > last.scrolled) {
      const count = update.scrolled - last.scrolled;
      if (!stays || count > PAGE) forget();
      else request(0, count, false);
    }
    while (rows.children.length > update.rows) rows.lastChild.remove();
    while (rows.children.length < update.rows) rows.append(row([]));
    for (const [at, runs] of update.lines) fill(rows.children[at], rowParts(runs));
    const { row: line, col, visible, shape } = update.cursor;
    const { width, height } = cell();
    cursor.hidden = !visible;
    cursor.className = `term-cursor is-${shape}`;
    cursor.style.transform = `translate(${col * width}px, ${line * height}px)`;
    cursor.style.width = `${width}px`;
    cursor.style.height = `${height}px`;
    last = update;
    if (!stays) root.scrollTop = root.scrollHeight;
  }

  function request(above, count, isOlder) {
    asked.push(isOlder);
    ask(above, count);
  }

  /** Loads lines above those that are shown. */
  function older() {
    const shown = past.children.length;
    if (asked.length || !last || shown >= last.history) return;
    request(shown, PAGE, true);
  }

  function history(lines) {
    const isOlder = asked.shift();
    const before = root.scrollHeight - root.scrollTop;
    if (isOlder) past.prepend(...lines.map(row));
    else past.append(...lines.map(row));
    if (isOlder) root.scrollTop = root.scrollHeight - before;
  }

  function forget() {
    fill(past);
  }

  root.addEventListener("scroll", () => {
    if (past.firstChild && root.scrollTop < root.clientHeight) older();
  });

  /** Scrolls by lines, into what is above the screen. */
  function scroll(lines) {
    if (lines < 0 && !past.firstChild) older();
    root.scrollTop += lines * cell().height;
  }

  return { draw, history, size, place, scroll, forget, cursor, modes: () => last?.modes ?? {} };
}
