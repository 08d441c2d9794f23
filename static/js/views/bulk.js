// Many workers at once: stop, start, pin, snooze, archive, delete. One confirmation names what is lost; each failure
// is reported with its worker, and can be tried again.

import { drafts } from "../lib/drafts.js";
import { fill, h } from "../lib/dom.js";
import { openDialog, openMenu } from "./dialogs.js";
import { navigate } from "../lib/router.js";
import { clock, plain, plural } from "../lib/text.js";

// Requests at once.
const PARALLEL_MAX = 4;
// Workers that a dialog names.
const NAMED_MAX = 12;
const RUNNING = new Set(["preparing", "starting", "idle", "busy", "waiting", "stalled", "stopping"]);
const IN_TURN = new Set(["busy", "waiting", "stalled"]);

/**
 * Times until which a worker can be hidden, as `[word, time]`.
 * @returns {[string, Date][]}
 */
export function snoozeTimes(now) {
  const at = (days, hour) => {
    const time = new Date(now);
    time.setDate(time.getDate() + days);
    time.setHours(hour, 0, 0, 0);
    return time;
  };
  const start = new Date(now);
  const toMonday = (8 - start.getDay()) % 7 || 7;
  return [
    ["For an hour", new Date(start.getTime() + 3_600_000)],
    .../** @type {[string, Date][]} */ (start.getHours() < 17 ? [["Until this evening", at(0, 18)]] : []),
    ["Until tomorrow", at(1, 9)],
    ["Until Monday", at(toMonday, 9)],
  ];
}

/** Opens the menu of times; `act` gets the chosen one as ISO 8601, or null to end the snoozing. */
export function openSnoozeMenu(button, isSnoozed, act) {
  const now = new Date();
  openMenu(button, [
    ...snoozeTimes(now).map(([word, time]) => ({
      label: `${word} (${clock(time.toISOString(), now)})`,
      act: () => act(time.toISOString()),
    })),
    ...(isSnoozed ? [null, { label: "Show again now", act: () => act(null) }] : []),
  ]);
}

/** Does `action` with the workers `ids`. `button` is where a menu opens. */
export function runBulk(app, { action, ids, button, done = () => {} }) {
  const { api, state } = app;
  const workers = ids.map((id) => state.workers.get(id)).filter(Boolean);
  if (!workers.length) return undefined;
  const all = (test) => workers.every(test);
  const change = (word, fields) => run(app, { word, workers, done, work: (worker) => api.change(worker.id, fields) });
  switch (action) {
    case "pin":
      return change(all((worker) => worker.pinned) ? "Unpin" : "Pin", { pinned: !all((worker) => worker.pinned) });
    case "archive":
      return all((worker) => worker.archived)
        ? change("Restore", { archived: false })
        : change("Archive", { archived: true, pinned: false });
    case "snooze":
      return openSnoozeMenu(
        button,
        workers.some((worker) => worker.snoozed_until),
        (until) => change("Snooze", { snoozed_until: until }),
      );
    case "start":
      return run(app, {
        word: "Start",
        workers: workers.filter((worker) => !RUNNING.has(worker.status)),
        done,
        work: (worker) => api.act(worker.id, "start"),
      });
    case "stop":
      return stop(
        app,
        workers.filter((worker) => RUNNING.has(worker.status)),
        done,
      );
    default:
      return remove(app, workers, done);
  }
}

function stop(app, workers, done) {
  const plan = { word: "Stop", workers, done, work: (worker) => app.api.act(worker.id, "stop") };
  const lost = workers.filter((worker) => IN_TURN.has(worker.status)).map((worker) => [worker, "its turn ends"]);
  if (!lost.length) return run(app, plan);
  const some = lost.length === 1 ? "One is" : `${lost.length} are`;
  const text =
    `The processes of ${plural(workers.length, "worker")} end. Their history stays, and a message starts ` +
    `them again. ${some} in a turn:`;
  return run(app, { ...plan, ask: { title: `Stop ${plural(workers.length, "worker")}`, text, lost } });
}

function remove(app, workers, done) {
  const losses = (worker) =>
    [
      IN_TURN.has(worker.status) && "its turn ends",
      worker.queued_messages > 0 && `${plural(worker.queued_messages, "message")} not delivered`,
      worker.worktree && `its worktree (branch ${plain(worker.worktree.branch)})`,
    ]
      .filter(Boolean)
      .join(", ");
  const text =
    `The history of ${plural(workers.length, "worker")} is removed from this server, for good. Project folders stay ` +
    "as they are. A worktree with changes that are not committed is kept, and reported.";
  return run(app, {
    word: "Delete",
    workers,
    done,
    work: (worker, force) => app.api.remove(worker.id, force),
    after(worker) {
      drafts.forget(worker.id);
      if (app.state.selected === worker.id) navigate("#/", true);
    },
    ask: {
      title: `Delete ${plural(workers.length, "worker")}`,
      text,
      lost: workers.map((one) => [one, losses(one)]),
    },
  });
}

function named(list) {
  const items = list
    .slice(0, NAMED_MAX)
    .map(([worker, what]) =>
      h("li", null, h("b", { dir: "auto" }, plain(worker.name)), what && h("span", { class: "muted" }, ` — ${what}`)),
    );
  if (list.length > NAMED_MAX) items.push(h("li", { class: "muted" }, `and ${list.length - NAMED_MAX} more`));
  return h("ul", { class: "bulk-list" }, items);
}

// Asks if there is something to ask, does the work, and says what has failed.
async function run(app, { word, workers, work, ask = null, after = (_worker) => {}, done }) {
  const body = h("div", { class: "bulk-body" });
  const past = PAST[word] ?? word.toLowerCase();
  let dialog = null;
  let closed = false;
  const open = (title) => {
    dialog ??= openDialog(title, body, { onClose: () => (closed = true) });
    dialog.querySelector("h2").textContent = title;
    return dialog;
  };
  if (ask) {
    const sure = await new Promise((resolve) => {
      open(ask.title).addEventListener("close", () => resolve(false));
      const go = h("button", { type: "button", class: "danger", on: { click: () => resolve(true) } }, ask.title);
      const no = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
      fill(body, h("p", null, ask.text), named(ask.lost), h("div", { class: "dialog-actions" }, no, go));
      no.focus();
    });
    if (!sure) return;
  }
  await attempt(workers, false);

  async function attempt(list, force) {
    const failures = [];
    const status = h("p", { role: "status" });
    let count = 0;
    const say = () => (status.textContent = `${past} ${count} of ${list.length}…`);
    if (dialog && !closed) fill(body, status);
    say();
    const rest = [...list];
    const worker = async () => {
      for (let one = rest.shift(); one; one = rest.shift()) {
        try {
          await work(one, force);
          after(one);
        } catch (error) {
          failures.push([one, error]);
        }
        count += 1;
        say();
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_MAX }, worker));
    if (!failures.length) {
      dialog?.close();
      app.announce(`${plural(list.length, "worker")}: ${past}`);
      return done();
    }
    return report(failures, list.length);
  }

  function report(failures, total) {
    if (closed) dialog = null;
    open(`${word}: ${failures.length} of ${total} failed`);
    const again = (force) =>
      attempt(
        failures.map(([worker]) => worker),
        force,
      );
    const kept = word === "Delete" && failures.some(([worker, error]) => worker.worktree && error.status === 409);
    fill(
      body,
      h(
        "p",
        { role: "alert" },
        `${failures.length} of ${plural(total, "worker")} could not be ${past.toLowerCase()}:`,
      ),
      named(failures.map(([worker, error]) => [worker, plain(error.message)])),
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", on: { click: () => dialog.close() } }, "Close"),
        kept &&
          h(
            "button",
            { type: "button", class: "danger", on: { click: () => again(true) } },
            "Delete with their changes",
          ),
        h(
          "button",
          { type: "button", class: "primary", autofocus: true, on: { click: () => again(false) } },
          "Try again",
        ),
      ),
    );
    body.querySelector(".primary").focus();
    done();
  }
}

const PAST = {
  Stop: "Stopped",
  Start: "Started",
  Delete: "Deleted",
  Pin: "Pinned",
  Unpin: "Unpinned",
  Archive: "Archived",
  Restore: "Restored",
  Snooze: "Snoozed",
};
