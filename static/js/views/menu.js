// The menu of a worker.

import { ask, confirm, openMenu } from "./dialogs.js";
import { drafts } from "../lib/drafts.js";
import { h, emit } from "../lib/dom.js";
import { addressOf, navigate } from "../lib/router.js";
import { plain } from "../lib/text.js";

const FORMATS = [
  ["md", "Markdown"],
  ["json", "JSON"],
  ["jsonl", "JSON lines"],
];

/** Opens the menu below `button`. */
export function openWorkerMenu(app, worker, button) {
  const { api, state, attempt } = app;
  const name = plain(worker.name);
  const running = !["stopped", "failed"].includes(worker.status);
  const isCutOff = !running && worker.preparing?.state === "failed";
  const act = (action) => () => attempt(`Could not ${action} “${name}”`, () => api.act(worker.id, action));
  const bulk = (action) => () => emit(button, "bulk", { action, ids: [worker.id], button });
  const opens = (what, load, open) => () => app.opening(what, async () => (await load())[open](app, worker));
  openMenu(button, [
    { label: "Changes, usage, process", act: () => app.panel.toggle() },
    { label: "Land the work…", act: opens("The landing", () => import("./land.js"), "openLand") },
    { label: "Hand over…", act: opens("The hand-over", () => import("./handover.js"), "openHandOver") },
    ...(worker.group
      ? [{ label: "Compare the attempts…", act: opens("The group", () => import("./compare.js"), "openGroupOf") }]
      : []),
    { label: "Open another beside…", act: () => emit(button, "palette", { beside: true }) },
    {
      label: "Rename…",
      act: () => ask("Rename worker", "Name", worker.name, { save: (name) => api.change(worker.id, { name }) }),
    },
    { label: worker.pinned ? "Unpin" : "Pin", act: bulk("pin") },
    { label: worker.archived ? "Restore" : "Archive", act: bulk("archive") },
    { label: "Snooze…", act: bulk("snooze") },
    { label: "Fork from here", act: fork },
    { label: "Terminal", act: () => app.opening("The terminal", terminal) },
    null,
    ...(isCutOff ? [{ label: "Set up again", act: act("prepare") }] : []),
    { label: isCutOff ? "Start without its setup" : "Start", act: act("start"), disabled: running },
    { label: "Stop", act: act("stop"), disabled: !running },
    { label: "Restart", act: act("restart") },
    null,
    ...FORMATS.map(([format, word]) => ({ label: `Export as ${word}`, act: () => download(format) })),
    null,
    { label: "Delete…", danger: true, act: remove },
  ]);

  function download(format) {
    h("a", { href: api.exportUrl(worker.id, format), download: `${worker.name}.${format}` }).click();
  }

  function fork() {
    return attempt(`Could not fork “${name}”`, async () => app.created(await api.act(worker.id, "fork")));
  }

  async function terminal() {
    await (await import("./terminal.js")).openTerminal(worker);
  }

  async function remove() {
    const sure = await confirm(
      "Delete worker",
      `Delete “${name}”? Its process is ended, and its history is removed from this server. ` +
        "The project folder stays as it is.",
      `Delete ${name}`,
    );
    if (sure) attempt(`Could not delete “${name}”`, removeNow);
  }

  async function removeNow() {
    try {
      await api.remove(worker.id);
    } catch (error) {
      // Refused for what its worktree would lose.
      if (!worker.worktree || error.status !== 409) throw error;
      if (!(await confirm("Delete worker", error.message, "Delete anyway"))) return;
      await api.remove(worker.id, true);
    }
    drafts.forget(worker.id);
    if (state.selected === worker.id) navigate(addressOf(null), true);
  }
}
