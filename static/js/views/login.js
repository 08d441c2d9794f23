// The login page: it lies over the place where the reader was, and leaves that as it is.

import { api } from "../lib/api.js";
import { h } from "../lib/dom.js";

/**
 * Shows the login, once, with the server's words; `done` is called when it has worked. `again` uses a login link once
 * more that did not reach the server.
 */
export function login(done, why, again) {
  if (document.querySelector(".login-dialog")) return;
  const field = h("input", {
    type: "password",
    name: "token",
    autocomplete: "current-password",
    required: true,
    "aria-describedby": "login-error",
  });
  const error = h("p", { id: "login-error", class: "field-error", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "primary" }, "Log in");
  const link = h("button", { type: "button", class: "primary" }, "Try the link again");
  link.addEventListener("click", () => attempt(link, again));
  const form = h(
    "form",
    { class: "login" },
    h("h1", null, "rs-worker"),
    h("p", null, why ?? "This server asks for its access token."),
    h(
      "p",
      { class: "muted" },
      "The easy way in is a login link: the server printed one when it started, and ",
      h("code", null, "rs-worker login-link"),
      " prints a new one.",
    ),
    again && link,
    h("label", null, "Access token", field),
    error,
    button,
  );
  const dialog = h("dialog", { class: "login-dialog", "aria-label": "Log in" }, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(button, () => api.login(field.value.trim()));
  });

  async function attempt(pressed, run) {
    pressed.disabled = true;
    error.hidden = true;
    try {
      await run();
      api.linkFailed("");
      field.value = "";
      dialog.remove();
      done();
    } catch (failure) {
      error.textContent =
        failure.status === 401 && failure.message === "the token is wrong"
          ? "That token is not right."
          : failure.message;
      error.hidden = false;
      field.focus();
      field.select();
    }
    pressed.disabled = false;
  }

  /** @type {NodeListOf<HTMLDialogElement>} */
  const others = document.querySelectorAll("dialog[open]");
  for (const other of others) other.close();
  dialog.showModal();
  field.focus();
}
