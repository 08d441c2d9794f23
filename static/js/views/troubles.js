// Requests that have failed: each is said, stays until it is tried again or put away, and has a button for it.

import { arrange, h, iconButton } from "../lib/dom.js";
import { holdKeys } from "../lib/held.js";

/** A failure in words with its button: `again` tries once more, `dismiss` puts it away. */
export function troubleLine(text, again, { dismiss = null, word = "Try again" } = {}) {
  const button = h("button", { type: "button" }, word);
  let isRunning = false;
  button.addEventListener("click", async () => {
    if (isRunning) return;
    isRunning = true;
    /** @type {HTMLElement | null} */
    const place = button.closest("dialog, .panel-body");
    await again();
    isRunning = false;
    // Another element is in the button's place now.
    if (button.isConnected || !place || document.activeElement !== document.body) return;
    /** @type {HTMLElement} */
    const next = place.querySelector(".trouble button") ?? place.querySelector(".dialog-body :is(a, input, button)");
    (next ?? place).focus();
  });
  return h(
    "div",
    { class: "trouble", role: "alert" },
    h("span", { class: "trouble-text", dir: "auto" }, text),
    button,
    dismiss && iconButton("close", "Dismiss", dismiss),
  );
}

// Browsers name the address of a module that they could not load; that says nothing to people.
const reason = ({ name, message }) =>
  name === "TypeError" && /module|import/i.test(message) ? "the server did not send this part of the page." : message;

/**
 * Mounts the list of failures of the whole page. `attempt(what, run)` runs a command; if it fails, `what` is said with
 * the reason, and "Try again" runs it once more. It resolves to the command's result, or to undefined.
 */
export function mountTroubles(root) {
  const lines = new Map();
  const list = h("div", { class: "troubles" });
  root.append(list);

  function draw() {
    arrange(list, [...lines.values()]);
  }

  function settle(what) {
    if (lines.delete(what)) draw();
  }

  async function attempt(what, run) {
    try {
      const result = await run();
      settle(what);
      return result;
    } catch (error) {
      const line = troubleLine(`${what}: ${reason(error)}`, () => attempt(what, run), {
        dismiss: () => settle(what),
      });
      const hadFocus = lines.get(what)?.contains(document.activeElement);
      lines.set(what, line);
      draw();
      if (hadFocus) line.querySelector("button").focus();
      return undefined;
    }
  }

  // Opens something that is loaded first: what is typed meanwhile is for it.
  const opening = (what, run) => attempt(`${what} could not be opened`, () => holdKeys(run));

  return { attempt, opening, settle };
}
