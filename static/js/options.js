// What a permission prompt can be answered with. Pure.

/** The options of a prompt; every prompt can at least be allowed and denied. */
export function optionsOf(event) {
  const options = Array.isArray(event.options) ? event.options : [];
  return options.length ? options : [{ id: "allow_once", label: "Allow once", kind: "allow_once" }, { id: "deny", label: "Deny", kind: "reject_once" }];
}

/** The option that a key means: `allow`, `always` or `deny`. */
export function optionFor(event, meaning) {
  const kind = { allow: "allow_once", always: "allow_always", deny: "reject_once" }[meaning];
  return optionsOf(event).find((option) => option.kind === kind) ?? null;
}
