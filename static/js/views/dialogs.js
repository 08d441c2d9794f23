// Dialogs on the platform's own <dialog>: it keeps the focus inside, and Escape closes it.

import { h, iconButton, live } from "../lib/dom.js";
import { releaseKeys } from "../lib/held.js";

/** A dialog with a head and a body; it is removed when it closes, and the focus goes back. */
export function openDialog(title, body, { wide = false, onClose = () => {} } = {}) {
  const before = document.activeElement;
  const dialog = h(
    "dialog",
    { class: wide ? "wide" : "", "aria-label": title },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", null, title),
      iconButton("close", "Close", () => dialog.close()),
    ),
    h("div", { class: "dialog-body" }, body),
  );
  dialog.addEventListener("close", () => {
    // This comes a moment after the closing: who has put the focus elsewhere since keeps it there.
    const held = document.activeElement === document.body || dialog.contains(document.activeElement);
    dialog.remove();
    onClose();
    if (held && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  });
  dialog.addEventListener("mousedown", (event) => {
    if (event.target === dialog) dialog.close();
  });
  // The page's root listens for the actions of dialogs.
  document.getElementById("app").append(dialog);
  dialog.showModal();
  // When whoever opens it is done.
  setTimeout(releaseKeys);
  return dialog;
}

/** Asks before something that cannot be undone; resolves to whether it was confirmed. */
export function confirm(title, text, word) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = h(
      "button",
      {
        type: "button",
        class: "danger",
        on: {
          click: () => {
            answer = true;
            dialog.close();
          },
        },
      },
      word,
    );
    const no = h("button", { type: "button", autofocus: true, on: { click: () => dialog.close() } }, "Cancel");
    const dialog = openDialog(
      title,
      [h("p", { dir: "auto" }, text), h("div", { class: "dialog-actions" }, no, yes)],
      { onClose: () => resolve(answer) },
    );
  });
}

/** Asks for one line of text; resolves to it, or to null. `check` may refuse it with a message, or do the work. */
export function ask(
  title,
  label,
  value,
  { word = "Save", options = [], save = async (_text) => {}, optional = false } = {},
) {
  return new Promise((resolve) => {
    let answer = null;
    const field = h("input", {
      type: "text",
      name: "value",
      autofocus: true,
      dir: "auto",
      autocomplete: "off",
      list: options.length ? "ask-options" : null,
      required: !optional,
    });
    field.value = value ?? "";
    const error = h("p", { class: "field-error", role: "alert", hidden: true });
    const form = h(
      "form",
      { class: "fields" },
      h("label", null, label, field),
      h(
        "datalist",
        { id: "ask-options" },
        options.map((option) => h("option", { value: option })),
      ),
      error,
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        h("button", { type: "submit", class: "primary" }, word),
      ),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await save(field.value.trim());
        answer = field.value.trim();
        dialog.close();
      } catch (failure) {
        error.textContent = failure.message;
        error.hidden = false;
      }
    });
    const dialog = openDialog(title, form, { onClose: () => resolve(answer) });
    field.select();
  });
}

// The outermost part of the page around `el`: no view draws that again.
function landmarkOf(el) {
  let found = el.closest("dialog");
  for (let at = el; at && !found?.matches("dialog"); at = at.parentElement) {
    if (at.matches("main, aside, nav, header, footer")) found = at;
  }
  return found ?? document.body;
}

/** A menu below a button. Entries are `{label, act, danger?, disabled?}` or null for a line. */
export function openMenu(button, entries) {
  document.querySelector(".menu")?.remove();
  const items = [];
  const menu = h(
    "div",
    { class: "menu", role: "menu", popover: "auto" },
    entries.map((entry) => {
      if (!entry) return h("div", { role: "separator" });
      const item = h(
        "button",
        {
          type: "button",
          role: "menuitem",
          class: entry.danger ? "danger-text" : "",
          disabled: entry.disabled,
          tabindex: "-1",
          on: {
            click: () => {
              close(true);
              entry.act();
            },
          },
        },
        entry.label,
      );
      items.push(item);
      return item;
    }),
  );
  const usable = items.filter((item) => !item.disabled);
  const close = (refocus) => {
    menu.remove();
    const shown = live(button);
    shown.setAttribute("aria-expanded", "false");
    if (refocus) shown.focus();
  };
  menu.addEventListener("keydown", (event) => {
    const at = usable.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + usable.length, Home: 0, End: usable.length - 1 }[event.key];
    if (to !== undefined) usable[to % usable.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("toggle", (event) => {
    if (event.newState === "closed" && menu.isConnected) close(false);
  });
  // Not beside the button: what holds it may be drawn again while the menu is open.
  const shown = live(button);
  landmarkOf(shown).append(menu);
  menu.showPopover();
  const box = shown.getBoundingClientRect();
  const width = menu.offsetWidth;
  menu.style.top = `${Math.min(box.bottom + 4, innerHeight - menu.offsetHeight - 8)}px`;
  menu.style.left = `${Math.max(8, Math.min(box.right - width, innerWidth - width - 8))}px`;
  shown.setAttribute("aria-expanded", "true");
  usable[0]?.focus();
  setTimeout(releaseKeys);
}
