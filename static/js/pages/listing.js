// What the page does with many workers at once and with its list: loaded when the list is first used.

import { style, tell } from "../lib/dom.js";
import { navigate } from "../lib/router.js";

const dialogs = async () => (await Promise.all([import("../views/dialogs.js"), style("dialogs"), style("home")]))[0];

/** Listens for the actions of the list. `workers` is the mounted list. */
export function mountListing(app, workers) {
  const on = (name, act) => app.root.addEventListener(name, (event) => act(event.detail ?? {}));
  app.list = workers;

  on("bulk", async ({ action, ids, button }) => {
    await dialogs();
    const { runBulk } = await import("../views/bulk.js");
    runBulk(app, { action, ids, button, done: () => workers.selection.isActive() && workers.selection.set(false) });
  });
  on("arrangeList", async ({ button }) => {
    const { openMenu } = await dialogs();
    const { grouping, rows } = workers.arrangement();
    const entry = (label, isOn, change) => ({
      label: `${isOn ? "✓" : "\u2003"} ${label}`,
      act: () => workers.arrangement(change),
    });
    openMenu(button, [
      entry("Group by project", grouping === "project", { grouping: "project" }),
      entry("One flat list", grouping !== "project", { grouping: "none" }),
      null,
      entry("Full rows", rows !== "compact", { rows: "full" }),
      entry("Compact rows", rows === "compact", { rows: "compact" }),
      null,
      { label: "\u2003 Select many…", act: () => workers.selection.set(true) },
      { label: "\u2003 Overview", act: () => navigate("#/overview") },
      { label: "\u2003 Go to or do…", act: () => tell(app.root, "palette") },
    ]);
  });
  on("palette", async () => {
    await dialogs();
    (await import("../views/palette.js")).openPalette(app);
  });
  on("doctor", async () => {
    const { openDialog } = await dialogs();
    const { mountDoctor } = await import("../views/doctor.js");
    openDialog("CLIs on this server", mountDoctor(app).el, { wide: true });
  });
}
