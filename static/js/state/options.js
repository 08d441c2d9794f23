// The answers to a permission prompt. Pure.

/** The options of a prompt; every prompt can at least be allowed and denied. */
export function optionsOf(event) {
  const options = Array.isArray(event.options) ? event.options : [];
  return options.length
    ? options
    : [
        { id: "allow_once", label: "Allow once", kind: "allow_once" },
        { id: "deny", label: "Deny", kind: "reject_once" },
      ];
}

const KEYS = { allow: "allow_once", always: "allow_always", deny: "reject_once" };

/** Returns whether a single key may allow it: not if the CLI wants a person to look at it first. */
export const keyMayAllow = (event) => !event.default_to_no && !event.requires_user_interaction;

/** The option that a key means: `allow`, `always` or `deny`. Of several that last, it is the rule, else the first. */
export function optionFor(event, meaning) {
  const kind = KEYS[meaning];
  if (meaning !== "deny" && !keyMayAllow(event)) return null;
  const fitting = optionsOf(event).filter((option) => option.kind === kind);
  return fitting.find((option) => option.id === kind) ?? fitting[0] ?? null;
}
