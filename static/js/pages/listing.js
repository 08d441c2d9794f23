// Actions on many workers at once and on the list; loaded on the first one.

import { style, emit } from "../lib/dom.js";
import { addressOf, navigate } from "../lib/router.js";

const dialogs = async () =>
  (await Promise.all([import("../views/dialogs.js"), style("dialogs"), style("palette")]))[0];

/** The actions, by the events that ask for them. */
export const ACTIONS = {
  async bulk(app, { action, ids, button }) {
    await dialogs();
    const { runBulk } = await import("../views/bulk.js");
    runBulk(app, { action, ids, button, done: app.list.endSelection });
  },
  async arrangeList(app, { button }) {
    const { openMenu } = await dialogs();
    const { grouping, rows } = app.list.arrangement();
    const entry = (label, isOn, change) => ({
      label: `${isOn ? "✓" : "\u2003"} ${label}`,
      act: () => app.list.arrangement(change),
    });
    openMenu(button, [
      entry("Group by project", grouping === "project", { grouping: "project" }),
      entry("One flat list", grouping !== "project", { grouping: "none" }),
      null,
      entry("Full rows", rows !== "compact", { rows: "full" }),
      entry("Compact rows", rows === "compact", { rows: "compact" }),
      null,
      { label: "\u2003 Select many…", act: app.list.select },
      { label: "\u2003 Overview", act: () => navigate("#/overview") },
      { label: "\u2003 Go to or do…", act: () => emit(app.root, "palette") },
    ]);
  },
  async palette(app, { beside = false }) {
    await dialogs();
    (await import("../views/palette.js")).openPalette(app, beside);
  },
  // Asked of the page around all frames.
  async beside(app, { worker }) {
    if (!app.state.selected) return navigate(addressOf(worker));
    (await app.loadPanes()).add(worker);
  },
  async doctor(app) {
    const { openDialog } = await dialogs();
    const [{ mountDoctor }] = await Promise.all([import("../views/doctor.js"), style("home")]);
    openDialog("CLIs on this server", mountDoctor(app).el, { wide: true });
  },
};
