// Keyboard, paste, wheel and mouse of a terminal, as messages to its process.

import { h } from "../lib/dom.js";

const NAMED = new Set(
  (
    "Enter Tab Escape Backspace Delete Insert Home End PageUp PageDown ArrowUp ArrowDown ArrowLeft ArrowRight " +
    "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12"
  ).split(" "),
);

/** The message for a key that was pressed; null where the browser or the text field sees to it. */
export function keyMessage(event, hasSelection = false) {
  const { key, ctrlKey: ctrl, altKey: alt, shiftKey: shift, metaKey: meta } = event;
  if (event.isComposing || key === "Process" || key === "Unidentified" || meta) return null;
  // Copy and paste of the browser, and AltGr, which types a character.
  if (ctrl && shift && /^[cv]$/i.test(key)) return null;
  if (ctrl && key === "c" && hasSelection) return null;
  if (shift && key === "Insert") return null;
  if (event.getModifierState?.("AltGraph")) return null;
  if (NAMED.has(key)) return { type: "key", key, ctrl, alt, shift };
  if ([...key].length === 1 && (ctrl || alt)) return { type: "key", key, ctrl, alt, shift };
  return null;
}

// The keys that a phone's keyboard lacks.
const ROW = [
  ["Esc", "Escape"],
  ["Tab", "Tab"],
  ["Ctrl", null, "ctrl"],
  ["Alt", null, "alt"],
  ["←", "ArrowLeft", "Left"],
  ["↓", "ArrowDown", "Down"],
  ["↑", "ArrowUp", "Up"],
  ["→", "ArrowRight", "Right"],
  ["PgUp", "PageUp"],
  ["PgDn", "PageDown"],
];

/** Mounts what is typed and pointed at. `send` sends a message; `leave` is called for the keys that leave. */
export function mountKeys(root, screen, send, leave) {
  const field = h("textarea", {
    class: "term-input",
    "aria-label": "Terminal input; Shift+Escape leaves",
    autocapitalize: "off",
    autocomplete: "off",
    autocorrect: "off",
    spellcheck: "false",
    rows: "1",
  });
  // Ctrl and Alt of the row of keys, for the next key.
  const held = { ctrl: false, alt: false };
  const buttons = ROW.map(([word, key, name]) => {
    const isHeld = key === null;
    const button = h(
      "button",
      { type: "button", "aria-label": isHeld ? word : (name ?? word), "aria-pressed": isHeld ? "false" : null },
      word,
    );
    // The field keeps the focus, and a phone its keyboard.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      if (isHeld) hold(name, !held[name]);
      else press({ type: "key", key, ctrl: held.ctrl, alt: held.alt, shift: false });
      field.focus({ preventScroll: true });
    });
    return button;
  });
  const row = h("div", { class: "term-keys", role: "toolbar", "aria-label": "Keys" }, buttons);

  function hold(name, down) {
    held[name] = down;
    buttons[name === "ctrl" ? 2 : 3].setAttribute("aria-pressed", String(down));
  }

  function press(message) {
    screen.forget();
    send(message);
    hold("ctrl", false);
    hold("alt", false);
  }

  function typed(text) {
    if (!text) return;
    const [first] = text;
    if ((held.ctrl || held.alt) && [...text].length === 1)
      press({ type: "key", key: first, ctrl: held.ctrl, alt: held.alt, shift: false });
    else press({ type: "text", text: text.replaceAll("\n", "\r") });
  }

  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape" && event.shiftKey) {
      event.preventDefault();
      return leave();
    }
    if (event.shiftKey && ["PageUp", "PageDown"].includes(event.key) && !screen.modes().alternate) {
      event.preventDefault();
      return screen.scroll(event.key === "PageUp" ? -20 : 20);
    }
    const message = keyMessage(event, !document.getSelection().isCollapsed);
    if (!message) return undefined;
    event.preventDefault();
    return press({ ...message, ctrl: message.ctrl || held.ctrl, alt: message.alt || held.alt });
  });
  field.addEventListener("beforeinput", (event) => {
    // Keyboards of phones name no key for these.
    const key = { deleteContentBackward: "Backspace", insertLineBreak: "Enter" }[event.inputType];
    if (!key || event.isComposing) return;
    event.preventDefault();
    press({ type: "key", key, ctrl: false, alt: false, shift: false });
  });
  field.addEventListener("input", (event) => {
    if (event.isComposing) return;
    typed(field.value);
    field.value = "";
  });
  field.addEventListener("compositionend", () => {
    typed(field.value);
    field.value = "";
  });
  field.addEventListener("paste", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const text = event.clipboardData?.getData("text/plain");
    if (text) press({ type: "paste", text });
  });

  const modifiers = ({ ctrlKey: ctrl, altKey: alt, shiftKey: shift }) => ({ ctrl, alt, shift });
  let wheel = 0;
  root.addEventListener(
    "wheel",
    (event) => {
      const { mouse, alternate } = screen.modes();
      if (!mouse && !alternate) {
        if (event.deltaY < 0) screen.scroll(-1);
        return;
      }
      event.preventDefault();
      wheel += event.deltaMode === 1 ? event.deltaY : event.deltaY / 30;
      const lines = Math.trunc(wheel);
      wheel -= lines;
      if (lines) send({ type: "wheel", lines, ...screen.place(event), ...modifiers(event) });
    },
    { passive: false },
  );
  // With Shift the mouse selects text all the same.
  let pressed = null;
  root.addEventListener("pointerdown", (event) => {
    if (!screen.modes().mouse || event.shiftKey || event.pointerType !== "mouse") return;
    event.preventDefault();
    pressed = event.button;
    field.focus({ preventScroll: true });
    send({ type: "mouse", action: "press", button: pressed, ...screen.place(event), ...modifiers(event) });
  });
  const moved = (action) => (event) => {
    if (pressed === null) return;
    send({ type: "mouse", action, button: pressed, ...screen.place(event), ...modifiers(event) });
    if (action === "release") pressed = null;
  };
  root.addEventListener("pointermove", moved("drag"));
  root.addEventListener("pointerup", moved("release"));
  // A click that selects nothing gives the keyboard back.
  root.addEventListener("click", () => {
    if (document.getSelection().isCollapsed) field.focus({ preventScroll: true });
  });
  return { field, row };
}
