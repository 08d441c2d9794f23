// Drawing a part of the page again in place: focus, selected text, scroll positions and open details stay.

import { arrange, h } from "./dom.js";

/**
 * Makes `el` hold `children`, and changes only what differs. Elements that stay keep their listeners, which therefore
 * may not depend on what was drawn. Elements with `data-key` are matched by it, others by their kind and order.
 */
export function redraw(el, ...children) {
  adopt(el, h("div", null, children));
}

function adopt(old, fresh) {
  const wanted = [...fresh.childNodes];
  if (wanted.some((node) => node.nodeType !== Node.ELEMENT_NODE) || old.childElementCount !== old.childNodes.length) {
    const isSame =
      old.childNodes.length === wanted.length && wanted.every((node, at) => node.isEqualNode(old.childNodes[at]));
    if (!isSame) old.replaceChildren(...wanted);
    return;
  }
  const rest = [...old.children];
  const kept = wanted.map((child) => {
    const at = rest.findIndex((other) => signOf(other) === signOf(child));
    if (at < 0) return child;
    const [match] = rest.splice(at, 1);
    return update(match, child);
  });
  arrange(old, kept);
}

const signOf = (el) => `${el.localName} ${el.dataset.key ?? el.getAttribute("class") ?? ""}`;

/** Makes an element equal to a fresh one, and returns the one of them that is to be shown. */
function update(old, fresh) {
  if (old.isEqualNode(fresh)) return old;
  if (old.localName === "details") {
    // What a reader has opened or unfolded inside is a state that the fresh one has not.
    if (old.textContent === fresh.textContent) return old;
    fresh.open = old.open;
    return fresh;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) === value) continue;
    // The policy of the page refuses styles that are set as an attribute.
    if (name === "style")
      for (const key of fresh.style) old.style.setProperty(key, fresh.style.getPropertyValue(key));
    else old.setAttribute(name, value);
  }
  adopt(old, fresh);
  return old;
}
