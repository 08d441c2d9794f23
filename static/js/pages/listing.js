// What the page does with many workers at once and with its list; loaded when it is asked for.

import { style, tell } from "../lib/dom.js";
import { navigate } from "../lib/router.js";

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
      { label: "\u2003 Go to or do…", act: () => tell(app.root, "palette") },
    ]);
  },
  async palette(app) {
    await dialogs();
    (await import("../views/palette.js")).openPalette(app);
  },
  async doctor(app) {
    const { openDialog } = await dialogs();
    const [{ mountDoctor }] = await Promise.all([import("../views/doctor.js"), style("home")]);
    openDialog("CLIs on this server", mountDoctor(app).el, { wide: true });
  },
};
