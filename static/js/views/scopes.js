// The scopes of a diff as a menu, and the files that can be restored from a turn.

import { fill, h } from "../lib/dom.js";
import { now } from "../lib/clock.js";
import { clock, plain } from "../lib/text.js";

// Longest subject of a commit in the menu, in characters.
const SUBJECT_MAX = 60;

const ALWAYS = [
  ["base", "All changes since the base"],
  ["uncommitted", "Not committed yet"],
];

/** The menu of the scopes of a worker's changes; `changed` is called after another was chosen. */
export function scopeMenu(app, id, changed) {
  const select = h("select", { "aria-label": "Changes to show", class: "scope" });
  const restore = h("button", { type: "button", class: "quiet", hidden: true }, "Restore to before this turn…");
  let chosen = "base";

  select.addEventListener("change", () => {
    chosen = select.value;
    draw();
    changed();
  });
  restore.addEventListener("click", () =>
    app.opening("The restoring", async () => {
      const { openRestore } = await import("./restore.js");
      await openRestore(app, id, { turn: query().turn }, changed);
    }),
  );

  function query() {
    const [scope, what] = chosen.split(":");
    if (scope === "commit") return { scope, commit: what };
    if (scope === "turn") return { scope, turn: what };
    return scope === "base" ? {} : { scope };
  }

  function draw() {
    restore.hidden = query().scope !== "turn";
  }

  /** Lists what the answer of a diff says there is. */
  function show({ commits = [], turns = [] }) {
    const option = (value, label) => h("option", { value }, label);
    const group = (label, options) => options.length > 0 && h("optgroup", { label }, options);
    const known = turns.filter((turn) => turn.has_trees);
    const sign = JSON.stringify([commits, known]);
    if (select.dataset.sign !== sign) {
      select.dataset.sign = sign;
      fill(
        select,
        ALWAYS.map(([value, label]) => option(value, label)),
        group(
          "One turn",
          known.map((turn) => option(`turn:${turn.turn_id}`, turnWords(turn))),
        ),
        group(
          "One commit",
          commits.map((one) => option(`commit:${one.id}`, plain(one.subject).slice(0, SUBJECT_MAX) || one.id)),
        ),
      );
    }
    if (![...select.options].some(({ value }) => value === chosen)) select.append(option(chosen, "An earlier state"));
    select.value = chosen;
    draw();
  }

  show({});
  return { el: h("span", { class: "scopes" }, select, restore), query, show };
}

function turnWords({ began_at: began, ended_at: ended }) {
  return `The turn of ${clock(began, now())}${ended ? "" : ", which still runs"}`;
}
