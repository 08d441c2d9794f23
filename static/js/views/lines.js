// The lines of a diff that can be commented on: a button for each, arrow keys between them, and ranges of them.

import { h } from "../lib/dom.js";
import { plain } from "../lib/text.js";

/** The lines of a file on one side of its diff, `[{line, text, hunk}]`, as they can be commented on. */
export function linesOn(file, side) {
  const out = [];
  let hunk = 0;
  for (const row of file.rows) {
    if (row.op === "@") hunk += 1;
    const line = side === "old" ? row.a : row.b;
    if (row.op !== "@" && line !== null) out.push({ line, text: row.text, hunk });
  }
  return out;
}

/** The lines that are in one hunk with `line`. */
export function linesAround(file, side, line) {
  const all = linesOn(file, side);
  const hunk = all.find((one) => one.line === line)?.hunk;
  return all.filter((one) => one.hunk === hunk);
}

/**
 * Buttons at the lines below `root`. `comment(place)` is called with `{file, side, start, end}` when one or several
 * are chosen. `gutter` is for `diffRows`; `cellOf(file, side, line)` is where a line is drawn, or undefined.
 */
export function lineButtons(root, comment) {
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();
  /** @type {{ file: string, side: string, line: number } | null} */
  let anchor = null;
  let head = null;
  const keyOf = (file, side, line) => `${side} ${line} ${file}`;

  function gutter(cell, { path, side, line }) {
    const which = side === "old" ? `old line ${line}` : `line ${line}`;
    const button = h(
      "button",
      {
        type: "button",
        class: "line-button",
        tabindex: "-1",
        "aria-label": `Comment on ${which} of ${plain(path)}`,
        data: { file: path, side, line: String(line) },
      },
      "+",
    );
    cell.append(button);
    cells.set(keyOf(path, side, line), cell);
  }

  // One button of each file can be reached by Tab; arrow keys move between them.
  function settle(box) {
    if (box.querySelector('.line-button[tabindex="0"]')) return;
    box.querySelector(".line-button")?.setAttribute("tabindex", "0");
  }

  const placeOf = ({ dataset }) => ({ file: dataset.file, side: dataset.side, line: Number(dataset.line) });
  const isBeside = (a, b) => a && a.file === b.file && a.side === b.side;

  function mark() {
    for (const el of root.querySelectorAll(".picked")) el.classList.remove("picked");
    if (!anchor || !head || anchor.line === head.line) return;
    for (const { line } of between())
      cells.get(keyOf(anchor.file, anchor.side, line))?.parentElement.classList.add("picked");
  }

  // In two columns arrow keys stay in theirs; a range is of one side.
  function buttonsOf(button, isRange) {
    /** @type {HTMLElement[]} */
    const all = [...button.closest(".diff-rows").querySelectorAll(".line-button")];
    const { side } = button.dataset;
    return all.filter((one) => one.dataset.side === side || (!isRange && !one.closest(".half")));
  }

  function between() {
    const [from, to] = [anchor.line, head.line].sort((a, b) => a - b);
    const lines = [];
    for (let line = from; line <= to; line += 1) lines.push({ line });
    return lines;
  }

  function move(button, to, extend) {
    const all = buttonsOf(button, extend);
    const next = all[Math.min(all.length - 1, Math.max(0, to(all.indexOf(button), all.length)))];
    if (!next) return;
    if (extend) {
      anchor ??= placeOf(button);
      if (!isBeside(anchor, placeOf(next))) return;
      head = placeOf(next);
    } else anchor = head = null;
    focusOn(next);
    mark();
  }

  function focusOn(button) {
    for (const other of button.closest(".diff-rows").querySelectorAll('.line-button[tabindex="0"]'))
      other.setAttribute("tabindex", "-1");
    button.setAttribute("tabindex", "0");
    button.focus({ preventScroll: true });
    button.scrollIntoView({ block: "nearest" });
  }

  root.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    /** @type {HTMLElement | null} */
    const button = target.closest(".line-button") ?? touched(target);
    if (!button) return;
    const place = placeOf(button);
    if (event.shiftKey && isBeside(anchor, place)) head = place;
    else if (!(isBeside(anchor, place) && head && isWithin(place))) anchor = head = place;
    const [start, end] = [anchor.line, head.line].sort((a, b) => a - b);
    for (const other of button.closest(".diff-rows").querySelectorAll('.line-button[tabindex="0"]'))
      other.setAttribute("tabindex", "-1");
    button.setAttribute("tabindex", "0");
    mark();
    comment({ file: place.file, side: place.side, start, end });
  });

  const isWithin = ({ line }) => between().some((one) => one.line === line);

  // A finger finds the number of a line more easily than the button beside it.
  function touched(target) {
    const number = target.closest(".no");
    const place = number?.closest(".half") ?? number?.closest(".row");
    return place && root.contains(place) ? place.querySelector(":scope > .gutter .line-button") : null;
  }

  root.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!target.matches(".line-button") || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = {
      ArrowDown: (at) => at + 1,
      ArrowUp: (at) => at - 1,
      PageDown: (at) => at + 10,
      PageUp: (at) => at - 10,
      Home: () => 0,
      End: (_at, count) => count - 1,
    }[event.key];
    if (event.key === "Escape" && anchor && head && anchor.line !== head.line) clear();
    else if (to) move(target, to, event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function clear() {
    anchor = head = null;
    mark();
  }

  /** Shows a range as chosen, such as that of an editor. */
  function show({ file, side, start, end }) {
    anchor = { file, side, line: start };
    head = { file, side, line: end };
    mark();
  }

  return {
    gutter,
    settle,
    clear,
    show,
    cellOf: (file, side, line) => {
      const cell = cells.get(keyOf(file, side, line));
      return cell?.isConnected ? cell : undefined;
    },
    /** Goes to the last line of a place, from which Shift then chooses a range. */
    focus: ({ file, side, end }) => {
      /** @type {HTMLElement | null | undefined} */
      const button = cells.get(keyOf(file, side, end))?.querySelector(".line-button");
      if (!button?.isConnected) return false;
      anchor = head = placeOf(button);
      focusOn(button);
      return true;
    },
    forget: () => cells.clear(),
  };
}
