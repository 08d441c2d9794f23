// Usage over time as bars: one a turn.

import { clock, dollars, short } from "../lib/text.js";
import { h } from "../lib/dom.js";

const TURNS_SHOWN = 40;
const WIDTH = 320;
const HEIGHT = 80;

/** A chart of the tokens that were written in each turn. */
export function usageChart(turns) {
  const shown = turns.slice(-TURNS_SHOWN);
  const of = (turn) => turn.usage.output_tokens ?? 0;
  const max = Math.max(1, ...shown.map(of));
  const step = WIDTH / Math.max(shown.length, 12);
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "chart");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Tokens out in the last ${shown.length} turns, at most ${short(max)}`);
  shown.forEach((turn, at) => {
    const bar = document.createElementNS(ns, "rect");
    const height = Math.max(1, (of(turn) / max) * (HEIGHT - 4));
    for (const [name, value] of Object.entries({
      x: at * step + 1,
      y: HEIGHT - height,
      width: Math.max(1, step - 2),
      height,
      rx: 1,
    }))
      bar.setAttribute(name, String(value));
    const title = document.createElementNS(ns, "title");
    title.textContent = `${clock(turn.time, Date.now())}: ${short(of(turn))} tokens out, ${dollars(turn.cost)}`;
    bar.append(title);
    svg.append(bar);
  });
  return h("figure", { class: "usage" }, h("figcaption", null, `Tokens out by turn, at most ${short(max)}`), svg);
}
