// The tokens with scopes: each with a button that ends it and one that pairs a device, and a form for a new one.

import { now } from "../lib/clock.js";
import { fill, h } from "../lib/dom.js";
import { ago, moment, plain } from "../lib/text.js";
import { tokens as calls } from "../lib/tokens.js";
import { confirm, openDialog } from "./dialogs.js";
import { troubleLine } from "./troubles.js";

// The scopes in plain words.
const SCOPES = {
  read: "Read only",
  answer: "Read, and answer prompts",
  send: "Read, answer, send messages, stop and start",
  admin: "Everything",
};
// Pixels of a module of a QR code.
const MODULE_PX = 4;
const DAY_MS = 24 * 3600 * 1000;

/** The address of this page for another device, without what follows the path. */
const ownAddress = () => new URL(".", document.baseURI).href;

/** Returns whether no other device reaches an address. */
export function isHere(address) {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

/** A picture of a QR code: its rows are texts, 1 for dark. */
export function picture(rows) {
  const side = rows.length * MODULE_PX;
  const canvas = h("canvas", {
    class: "qr",
    width: side,
    height: side,
    role: "img",
    "aria-label": "QR code of the link",
  });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, side, side);
  pen.fillStyle = "black";
  rows.forEach((row, y) =>
    [...row].forEach((bit, x) => {
      if (bit === "1") pen.fillRect(x * MODULE_PX, y * MODULE_PX, MODULE_PX, MODULE_PX);
    }),
  );
  return canvas;
}

/** Opens the dialog. */
export function openTokens() {
  const list = h("ul", { class: "logins", "aria-label": "Access tokens" });
  const note = h("p", { class: "muted", role: "status" }, "Loading…");
  const shown = h("div");
  const error = h("div");
  const form = newToken((fields) => act(() => create(fields)));
  openDialog("Access tokens", [note, list, shown, error, form], { wide: true });
  act();

  /** Runs a command, then draws the tokens that there are. */
  async function act(command) {
    fill(error);
    try {
      await command?.();
      const answer = await calls.tokens();
      note.textContent = answer.tokens.length
        ? "A token may do what its scope says. Ending it also ends the devices that were paired with it."
        : "There are no tokens with a scope yet.";
      fill(list, answer.tokens.map(row));
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(command)),
      );
    }
  }

  async function create(fields) {
    const made = await calls.createToken(fields);
    form.reset();
    const secret = h("input", { type: "text", readonly: true, class: "secret", "aria-label": "The new token" });
    secret.value = made.secret;
    fill(
      shown,
      h("p", { role: "status" }, `Token ${plain(made.token.name)} was created. Copy it now: it is not shown again.`),
      secret,
    );
    secret.focus();
    secret.select();
  }

  async function pair(token) {
    const page = ownAddress();
    const { link, qr, expires_at } = await calls.pair(token.id, page);
    fill(
      shown,
      h(
        "p",
        { role: "status" },
        `Scan this with the device, or open the link on it. It works once, until ${moment(expires_at)}, ` +
          `with the scope of ${plain(token.name)}.`,
      ),
      isHere(page) &&
        h(
          "p",
          { class: "field-error" },
          "No other device reaches this address: open the page by its real name first.",
        ),
      picture(qr),
      h("a", { class: "pair-link", href: link, rel: "noreferrer" }, link),
    );
    shown.scrollIntoView({ block: "nearest" });
  }

  function row(token) {
    const narrowed = [...token.workers.map((id) => id.slice(0, 8)), ...token.projects];
    const facts = [
      SCOPES[token.scope] ?? token.scope,
      narrowed.length ? `only ${plain(narrowed.join(", "))}` : "",
      token.last_used ? `used ${ago(token.last_used, now())} from ${plain(token.last_address ?? "?")}` : "never used",
      token.logins ? `${token.logins} paired` : "",
      token.expired ? "expired" : token.expires_at ? `ends ${moment(token.expires_at)}` : "",
    ].filter(Boolean);
    const name = plain(token.name);
    const end = async () => {
      const text = `${name} and everything that was paired with it lose access at once.`;
      if (await confirm("End token", text, "End token")) await act(() => calls.endToken(token.id));
    };
    return h(
      "li",
      null,
      h(
        "div",
        null,
        h("strong", { dir: "auto" }, name),
        h("div", { class: "muted", dir: "auto" }, facts.join(" · ")),
      ),
      h(
        "span",
        { class: "token-actions" },
        !token.expired &&
          h(
            "button",
            {
              type: "button",
              "aria-label": `Pair a device with ${name}`,
              on: { click: () => act(() => pair(token)) },
            },
            "Pair",
          ),
        h("button", { type: "button", class: "danger", "aria-label": `End ${name}`, on: { click: end } }, "End"),
      ),
    );
  }
}

/** The form for a new token. */
function newToken(create) {
  const name = h("input", {
    type: "text",
    name: "name",
    required: true,
    maxlength: 64,
    autocomplete: "off",
    dir: "auto",
  });
  const scope = h(
    "select",
    { name: "scope" },
    Object.entries(SCOPES).map(([value, label]) => h("option", { value }, label)),
  );
  const project = h("input", { type: "text", name: "project", placeholder: "all projects", autocomplete: "off" });
  const days = h("input", { type: "number", name: "days", min: 1, max: 3650, placeholder: "never" });
  const form = h(
    "form",
    { class: "fields" },
    h("h3", null, "New token"),
    h("label", null, "Name", name),
    h("label", null, "It may", scope),
    h("label", null, "Only in project folder", project),
    h("label", null, "Ends after days", days),
    h("div", { class: "dialog-actions" }, h("button", { type: "submit", class: "primary" }, "Create token")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = { name: name.value.trim(), scope: scope.value };
    if (project.value.trim()) fields.projects = [project.value.trim()];
    if (days.value) fields.expires_at = new Date(now() + Number(days.value) * DAY_MS).toISOString();
    create(fields);
  });
  return form;
}
