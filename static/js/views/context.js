// The used part of the model's context: a ring with its number, always there. It opens a menu of remedies.
// Emits `command` {text}: a slash command of the CLI.

import { fill, h, memory, emit } from "../lib/dom.js";
import { plain, short } from "../lib/text.js";

// The share of the context from which on it is marked.
const HIGH = 0.8;
const COUNT = new Intl.NumberFormat("en");
/** Slash commands that make room, in the order in which they are offered. */
const COMMANDS = [
  { name: "compact", label: "Compact", about: "Go on with a summary of the conversation." },
  { name: "compress", label: "Compress", about: "Go on with a summary of the conversation." },
  { name: "clear", label: "Clear", about: "Begin a new conversation. What is here stays readable.", sure: true },
  { name: "new", label: "New", about: "Begin a new conversation. What is here stays readable.", sure: true },
];

/** The commands of a CLI that make room. */
export function roomMakers(commands) {
  const names = new Set((commands ?? []).map((one) => String(one?.name ?? one).replace(/^\//, "")));
  return COMMANDS.filter(({ name }) => names.has(name));
}

/**
 * The known facts of the context: `{tokens, window, share}`. How many tokens fit is reported late by some CLIs; until
 * then it is what the same model had before.
 */
export function contextOf(conv, model) {
  const tokens = conv?.context?.tokens;
  const key = `window.${model}`;
  const known = conv?.context?.window;
  if (known && model && memory.get(key) !== known) memory.set(key, known);
  const window = known ?? (model ? memory.get(key) : null);
  return { tokens, window, share: window && tokens !== undefined ? Math.min(1, tokens / window) : null };
}

/** The meter. `commands()` promises the CLI's slash commands. */
export function mountContext(commands) {
  const ring = h("span", { class: "context-ring", "aria-hidden": "true" });
  const number = h("span", { class: "context-number" });
  const unit = h("span", { class: "context-unit", hidden: true }, "tokens");
  const button = h(
    "button",
    { type: "button", class: "setting context-meter", "aria-haspopup": "dialog", "aria-expanded": "false" },
    ring,
    number,
    " ",
    unit,
  );
  const sheet = h("div", {
    class: "context-sheet",
    popover: "auto",
    role: "dialog",
    "aria-label": "Context",
    tabindex: "-1",
  });
  const el = h("span", { class: "context" }, button, sheet);
  let now = { tokens: undefined, window: null, share: null };

  button.addEventListener("click", async () => {
    if (sheet.matches(":popover-open")) return sheet.hidePopover();
    draw([]);
    sheet.showPopover();
    place();
    sheet.focus();
    draw(roomMakers(await commands().catch(() => [])));
    place();
    return undefined;
  });
  sheet.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    // It closes this, and nothing else.
    event.preventDefault();
    event.stopPropagation();
    sheet.hidePopover();
    button.focus();
  });
  sheet.addEventListener("toggle", (event) => {
    const { newState } = /** @type {ToggleEvent} */ (event);
    button.setAttribute("aria-expanded", String(newState === "open"));
  });

  function place() {
    const box = button.getBoundingClientRect();
    sheet.style.left = `${Math.max(8, Math.min(box.left, innerWidth - sheet.offsetWidth - 8))}px`;
    sheet.style.top = `${Math.max(8, box.top - sheet.offsetHeight - 6)}px`;
  }

  function draw(makers) {
    const { tokens, window, share } = now;
    const head =
      share !== null
        ? `${Math.round(share * 100)} % of the context is used`
        : tokens !== undefined
          ? `${COUNT.format(tokens)} tokens are in the context`
          : "The agent has not said yet how much of its context is used.";
    const line = share !== null && `${COUNT.format(tokens)} of ${COUNT.format(window)} tokens`;
    fill(
      sheet,
      h("strong", null, head),
      line && h("p", { class: "muted" }, line),
      share !== null && h("div", { class: `context-bar${share > HIGH ? " high" : ""}` }, bar(share)),
      makers.map(action),
    );
  }

  function bar(share) {
    return h("span", { class: "fill", style: { width: `${share * 100}%` } });
  }

  function action({ name, label, about, sure }) {
    const run = h("button", { type: "button" }, label);
    let asked = !sure;
    run.addEventListener("click", () => {
      if (!asked) {
        asked = true;
        run.textContent = `${label} now`;
        run.classList.add("danger");
        return;
      }
      sheet.hidePopover();
      emit(el, "command", { text: `/${name}` });
    });
    return h("div", { class: "context-action" }, run, h("span", { class: "muted" }, about));
  }

  /** Shows the context of a conversation. */
  function update(conv, model) {
    now = contextOf(conv, model);
    const { tokens, share } = now;
    const text = share !== null ? `${Math.round(share * 100)} %` : tokens !== undefined ? short(tokens) : "Context";
    const said =
      share !== null
        ? `${text} of the context is used`
        : tokens !== undefined
          ? `${plain(text)} tokens in the context`
          : "Context: nothing is known yet";
    if (number.textContent === text && button.title === said) return;
    number.textContent = text;
    unit.hidden = share !== null || tokens === undefined;
    button.title = said;
    button.setAttribute("aria-label", said);
    ring.style.setProperty("--share", String(share ?? 0));
    button.classList.toggle("high", share !== null && share > HIGH);
    button.classList.toggle("unknown", share === null);
    button.classList.toggle("empty", tokens === undefined);
  }

  return { el, update };
}
