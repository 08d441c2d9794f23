// Fields of forms, each with a place for what is wrong with it.

import { h } from "../lib/dom.js";

let ids = 0;

/** A part of a form with a place for what is wrong with it. */
export function wrap(el, input = el) {
  ids += 1;
  const error = h("p", { class: "field-error", id: `error-${ids}`, role: "alert", hidden: true });
  el.append(error);
  input.setAttribute("aria-describedby", error.id);
  return { el, input, error };
}

/** The same for a field with its label. */
export function field(label, input) {
  return wrap(h("div", { class: "field" }, h("label", null, h("span", null, label), input)), input);
}

/** Says what is wrong with a part; an empty text for nothing. */
export function show({ input, error }, text) {
  error.textContent = text;
  error.hidden = !text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  if (text && input.matches("input")) input.focus();
}

/** Which fields a refusal concerns, as `[{entry, text}]`; entry "" is the form. */
export function problemsOf({ detail, field, message }) {
  if (Array.isArray(detail))
    return detail.map(({ loc, msg }) => ({ entry: loc.filter((part) => part !== "body").join("."), text: msg }));
  return [{ entry: field ?? "", text: detail ?? message }];
}
