// The settings of this browser: how the page looks, and its login.

import { fill, h, emit } from "../lib/dom.js";
import { openDialog } from "./dialogs.js";
import { CHOICES, look, setLook, USUAL } from "../lib/look.js";
import { about } from "./help.js";
import { troubleLine } from "./troubles.js";

const TITLES = { theme: "Theme", size: "Text size", density: "Density" };
const FONT_MAX = 60;
// Names for those who know none; a browser does not say which fonts there are.
const FONTS = {
  font: ["Text font", "the system's", ["Inter", "Atkinson Hyperlegible", "Georgia", "Noto Serif", "OpenDyslexic"]],
  mono: ["Code font", "the system's", ["JetBrains Mono", "Fira Code", "Cascadia Code", "Source Code Pro", "Iosevka"]],
};

/** Opens the dialog. */
export function openPreferences(app) {
  const session = h("div", { class: "preference-login" });
  openDialog(
    "Settings",
    [
      h("p", { class: "muted" }, "They apply to this browser only, at once."),
      h(
        "div",
        { class: "fields preferences" },
        Object.keys(CHOICES).map(choice),
        h("div", { class: "pair" }, Object.keys(FONTS).map(font)),
      ),
      session,
      about(app),
    ],
    { wide: true },
  );
  drawLogin(app, session);
}

/** One of few values, as buttons in a row. */
function choice(name) {
  const now = CHOICES[name][look()[name]] ? look()[name] : USUAL[name];
  const values = Object.entries(CHOICES[name]);
  return h(
    "fieldset",
    { class: "plain segments" },
    h("legend", null, TITLES[name]),
    h(
      "div",
      { class: "segmented" },
      values.map(([value, word]) => {
        const input = h("input", { type: "radio", name, value, on: { change: () => setLook({ [name]: value }) } });
        input.checked = now === value;
        if (name === "theme" && input.checked) input.autofocus = true;
        return h("label", null, input, h("span", null, word));
      }),
    ),
  );
}

function font(name) {
  const [title, placeholder, known] = FONTS[name];
  const field = h("input", {
    type: "text",
    name,
    placeholder,
    maxlength: String(FONT_MAX),
    autocomplete: "off",
    spellcheck: "false",
    list: `fonts-${name}`,
    on: { input: () => setLook({ [name]: field.value.trim() || undefined }) },
  });
  field.value = look()[name] ?? "";
  return h(
    "label",
    null,
    h("span", null, title),
    field,
    h(
      "datalist",
      { id: `fonts-${name}` },
      known.map((value) => h("option", { value })),
    ),
  );
}

// A server that asks for no login has none to end.
async function drawLogin(app, place) {
  let own;
  try {
    own = (await app.api.logins()).logins.find((login) => login.current);
  } catch (error) {
    fill(
      place,
      troubleLine(`Logins could not be loaded: ${error.message}`, () => drawLogin(app, place)),
    );
    return;
  }
  const failed = h("div");
  const logout = async () => {
    fill(failed);
    try {
      await app.api.logout();
      // The answer to this request is that a login is needed, which brings it up.
      await app.api.workers().catch(() => {});
    } catch (error) {
      fill(failed, troubleLine(`Could not log out: ${error.message}`, logout));
    }
  };
  fill(
    place,
    own && h("button", { type: "button", on: { click: logout } }, "Log out"),
    h(
      "button",
      {
        type: "button",
        class: "chip",
        on: {
          click: ({ currentTarget }) => {
            emit(currentTarget, "logins");
            currentTarget.closest("dialog").close();
          },
        },
      },
      "Logins…",
    ),
    failed,
  );
}
