// Code as coloured pieces. The highlighter is loaded with the first code; until then code is without colours.

import { h } from "./dom.js";

/** @type {((code: string, name: string) => string[][]) | null} */
let tokens = null;
let loading = null;
// Texts that wait for their colours, by their nodes, with their languages.
/** @type {Map<Text, string>} */
const waiting = new Map();

/** Loads the highlighter. Without it code stays as it is; the next code asks for it again. */
export function loadColours() {
  loading ??= import("./highlight.js").then(
    (loaded) => {
      tokens = loaded.tokens;
      for (const [node, language] of waiting) if (node.parentNode) node.replaceWith(...pieces(node.data, language));
      waiting.clear();
    },
    () => {
      loading = null;
    },
  );
  return loading;
}

const pieces = (text, language) =>
  tokens(text, language).map(([kind, piece]) => (kind ? h("span", { class: `t-${kind}` }, piece) : piece));

/** The nodes of a text in a language, or in that of a file's name. */
export function coloured(text, language) {
  if (!language) return [text];
  if (tokens) return pieces(text, language);
  const node = document.createTextNode(text);
  waiting.set(node, language);
  loadColours();
  return [node];
}
