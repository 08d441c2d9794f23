// Keys that are typed while what they are meant for is still being loaded: they wait, and go to what has the focus
// then.

const HELD_MAX = 1000;
const HELD = new Set(["Enter", "Escape", "Backspace", "ArrowUp", "ArrowDown"]);
const NOT_TEXT = "[type=checkbox], [type=radio], [type=file], [type=range], [type=color]";

/** @type {string[] | null} */
let held = null;
let loads = 0;
// Dialogs that were open before.
let dialogs = 0;

const openDialogs = () => document.querySelectorAll("dialog[open]").length;

/** Runs what opens something, and holds the keys that are typed until it is open, or has failed. */
export async function holdKeys(open) {
  loads += 1;
  if (!held) {
    held = [];
    dialogs = openDialogs();
    document.addEventListener("keydown", hold, true);
  }
  try {
    return await open();
  } finally {
    loads -= 1;
    // After what its caller does with it.
    if (loads === 0) setTimeout(releaseKeys);
  }
}

function hold(event) {
  // It is open, though it may not be complete: it gets what was typed before, and this key itself.
  if (openDialogs() !== dialogs) return releaseKeys();
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (event.key.length > 1 && (event.shiftKey || !HELD.has(event.key))) return undefined;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (held.length < HELD_MAX) held.push(event.key);
  return undefined;
}

/** Gives the keys that were held to what has the focus: something has opened. */
export function releaseKeys() {
  const keys = held ?? [];
  held = null;
  document.removeEventListener("keydown", hold, true);
  for (const key of keys) give(key, /** @type {HTMLElement} */ (document.activeElement ?? document.body));
}

// As a browser does: to those who listen, and if they leave it, the key's own effect.
function give(key, target) {
  const isLeft = target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  if (!isLeft) return;
  if (key === "Escape") target.closest("dialog")?.close();
  else if (target.matches("textarea, input") && !target.matches(NOT_TEXT)) type(key, target);
  else if (key === "Enter" && target.matches("a, button")) target.click();
}

function type(key, field) {
  if (key === "Enter" && field.matches("input")) return field.form?.requestSubmit();
  const text = key === "Enter" ? "\n" : key;
  const [from, to] = [field.selectionStart, field.selectionEnd];
  if (key === "Backspace") field.setRangeText("", from === to ? Math.max(0, from - 1) : from, to, "end");
  else if (text.length === 1) field.setRangeText(text, from, to, "end");
  else return undefined;
  field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertText", data: text }));
}
