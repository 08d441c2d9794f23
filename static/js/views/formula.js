// Formulas, as the browser's own MathML, from the nodes that the server makes of LaTeX.

import { h } from "../lib/dom.js";
import { plain } from "../lib/text.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";
// The server says only such elements and attributes; they are looked at again where it counts.
const ELEMENT = new RegExp(
  "^(math|m(enclose|frac|i|n|o|over|padded|phantom|root|row|space|sqrt|style|sub|subsup|sup|table|td|text|tr|under|" +
    "underover))$",
);
const ATTRIBUTE = new RegExp(
  "^(accent|accentunder|class|columnspan|depth|display|displaystyle|fence|form|height|largeop|linethickness|lspace|" +
    "mathvariant|maxsize|minsize|movablelimits|rspace|scriptlevel|separator|stretchy|symmetric|width)$",
);

/** The element of a formula; its source where it has an element of another kind. */
export function formula({ v, block, c }) {
  const el = element(c) ?? h("code", null, plain(v));
  return h("span", { class: block ? "formula is-block" : "formula", title: plain(v), dir: "ltr" }, el);
}

function element(node) {
  if (!ELEMENT.test(node?.n ?? "")) return null;
  const el = document.createElementNS(MATHML, node.n);
  for (const [name, value] of Object.entries(node.a)) if (ATTRIBUTE.test(name)) el.setAttribute(name, value);
  for (const child of node.c) {
    const inner = typeof child === "string" ? plain(child) : element(child);
    if (inner === null) return null;
    el.append(inner);
  }
  return el;
}
