// The login page: it lies over the place where the reader was, and leaves that as it is.

import { api } from "./api.js";
import { h } from "./dom.js";

/** Shows the login, once; `done` is called when it has worked. */
export function login(done) {
  if (document.querySelector(".login-dialog")) return;
  const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-describedby": "login-error" });
  const error = h("p", { id: "login-error", class: "field-error", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: "primary" }, "Log in");
  const form = h("form", { class: "login" }, h("h1", null, "rs-worker"),
    h("p", { class: "muted" }, "This server asks for its access token. It printed a login link with the token when it started."),
    h("label", null, "Access token", field), error, button);
  const dialog = h("dialog", { class: "login-dialog", "aria-label": "Log in" }, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.hidden = true;
    try {
      await api.login(field.value.trim());
      field.value = "";
      dialog.remove();
      done();
    } catch (failure) {
      error.textContent = failure.status === 401 || failure.status === 403 ? "That token is not right." : failure.message;
      error.hidden = false;
      field.focus();
      field.select();
    }
    button.disabled = false;
  });

  for (const other of document.querySelectorAll("dialog[open]")) other.close();
  dialog.showModal();
  field.focus();
}
