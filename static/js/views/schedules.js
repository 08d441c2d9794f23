// Schedules: the list with the next instants and the history of each, and a form for a new one.

import { call } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { moment, plain } from "../lib/text.js";
import { confirm, openDialog } from "./dialogs.js";
import { troubleLine } from "./troubles.js";

// Time from the last key to the look at the next instants.
const PREVIEW_AFTER_MS = 300;
const STATES = {
  begun: "is being sent",
  sent: "sent",
  completed: "completed",
  interrupted: "interrupted",
  failed: "failed",
  skipped: "left out",
  withdrawn: "withdrawn",
};

const path = (schedule, rest = "") => `api/schedules/${encodeURIComponent(schedule.id)}${rest}`;
const button = (label, text, click, props = {}) =>
  h("button", { type: "button", "aria-label": label, on: { click }, ...props }, text);

/** Opens the dialog. */
export function openSchedules() {
  const list = h("ul", { class: "logins", "aria-label": "Schedules" });
  const note = h("p", { class: "muted", role: "status" }, "Loading…");
  const error = h("div");
  const form = h("div");
  openDialog("Schedules", [note, list, error, form], { wide: true });
  act();
  loadForm();

  /**
   * Runs a command, then draws the schedules that there are.
   * @param {() => Promise<unknown>} [command]
   */
  async function act(command) {
    fill(error);
    try {
      await command?.();
      const { schedules } = await call("GET", "api/schedules");
      note.textContent = schedules.length ? "Messages that are sent by the clock." : "No schedules yet.";
      fill(list, schedules.map(row));
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(command)),
      );
    }
  }

  async function loadForm() {
    try {
      const [{ workers }, { presets }] = await Promise.all([call("GET", "api/workers"), call("GET", "api/presets")]);
      fill(
        form,
        newSchedule({ workers, presets }, (fields) => act(() => call("POST", "api/schedules", fields))),
      );
    } catch (failure) {
      fill(form, troubleLine(failure.message, loadForm));
    }
  }

  function row(schedule) {
    const name = plain(schedule.name);
    const history = h("div");
    const remove = async () => {
      if (await confirm("Remove schedule", `${name} and its history are removed.`, "Remove"))
        await act(() => call("DELETE", path(schedule)));
    };
    const pause = () => act(() => call("PATCH", path(schedule), { paused: !schedule.paused }));
    const pauses = schedule.paused ? "Resume" : "Pause";
    return h(
      "li",
      null,
      h("div", null, h("strong", { dir: "auto" }, name), facts(schedule), history),
      h(
        "span",
        { class: "token-actions" },
        button(`Run ${name} now`, "Run now", () => act(() => call("POST", path(schedule, "/run"), {}))),
        button(`${pauses} ${name}`, pauses, pause),
        button(`History of ${name}`, "History", () => showRuns(schedule, history)),
        button(`Remove ${name}`, "Remove", remove, { class: "danger" }),
      ),
    );
  }
}

function facts({ when, target, next, paused, last_run: last, error }) {
  const receiver = target.worker ? `to worker ${target.worker.slice(0, 8)}` : `a new worker from ${target.preset}`;
  const times = when.cron ? `${when.cron} (${when.time_zone})` : moment(when.at);
  const lines = [`${times} · ${receiver}`];
  if (paused) lines.push("Paused");
  else lines.push(next.length ? `Next: ${next.map(moment).join(", ")}` : "No further instants");
  if (last) lines.push(`Last: ${moment(last.slot)}, ${STATES[last.state] ?? last.state}`);
  return [
    lines.map((line) => h("div", { class: "muted", dir: "auto" }, plain(line))),
    error && h("p", { class: "field-error" }, plain(error)),
  ];
}

/** Draws the last runs of a schedule, newest first. */
async function showRuns(schedule, place) {
  try {
    const { runs } = await call("GET", path(schedule, "/runs"));
    const line = (run) => {
      const text = run.reason ?? run.result;
      const missed = run.missed ? ` · ${run.missed} missed` : "";
      return h(
        "li",
        { dir: "auto" },
        `${moment(run.slot)} · ${STATES[run.state] ?? run.state}${missed}`,
        text && h("div", { class: "muted" }, plain(text)),
      );
    };
    fill(place, runs.length ? h("ol", { "aria-label": "Runs" }, runs.map(line)) : h("p", null, "No runs yet."));
  } catch (failure) {
    fill(
      place,
      troubleLine(failure.message, () => showRuns(schedule, place)),
    );
  }
}

/** A choice of some values, each with its label. */
const choice = (name, options) =>
  h(
    "select",
    { name },
    options.map(([value, label]) => h("option", { value }, plain(label))),
  );

/**
 * The form for a new schedule.
 * @param {{ workers: { id: string, name: string }[], presets: { name: string }[] }} targets
 * @param {(fields: object) => Promise<void>} create
 */
function newSchedule({ workers, presets }, create) {
  const input = (name, props) => h("input", { type: "text", name, autocomplete: "off", dir: "auto", ...props });
  const name = input("name", { required: true, maxlength: 60 });
  const target = choice("target", [
    ...workers.map((worker) => [`worker:${worker.id}`, worker.name]),
    ...presets.map((preset) => [`preset:${preset.name}`, `New worker from ${preset.name}`]),
  ]);
  const project = input("project_path", { placeholder: "/srv/docs" });
  const text = h("textarea", { name: "text", rows: 3, dir: "auto" });
  const at = input("at", { type: "datetime-local" });
  const cron = input("cron", { placeholder: "0 2 * * 1-5", maxlength: 256 });
  const zone = input("time_zone", { maxlength: 256 });
  zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const missed = choice("missed", [
    ["run_once", "Run once afterwards"],
    ["skip", "Leave out"],
  ]);
  const busy = choice("busy", [
    ["queue", "Wait in the queue"],
    ["skip", "Leave out"],
  ]);
  const preview = h("p", { class: "muted", role: "status" });
  const when = () =>
    cron.value.trim()
      ? { cron: cron.value.trim(), time_zone: zone.value.trim() || "UTC" }
      : at.value && { at: new Date(at.value).toISOString() };
  const form = h(
    "form",
    { class: "fields" },
    h("h3", null, "New schedule"),
    h("label", null, "Name", name),
    h("label", null, "Receiver", target),
    h("label", null, "Project folder of a new worker", project),
    h("label", null, "Message, with {{date}}, {{time}} and {{last_result}}", text),
    h("label", null, "Once, at", at),
    h("label", null, "Or by cron: minute, hour, day, month, day of the week", cron),
    h("label", null, "Time zone of the cron", zone),
    preview,
    h("label", null, "If the server was down", missed),
    h("label", null, "If the worker is busy", busy),
    h("div", { class: "dialog-actions" }, h("button", { type: "submit", class: "primary" }, "Create schedule")),
  );
  let timer = 0;
  const look = async () => {
    const wanted = when();
    if (!wanted) return void (preview.textContent = "");
    const said = await call("POST", "api/schedules/preview", { when: wanted }).then(
      ({ next }) => (next.length ? `Next: ${next.map(moment).join(", ")}` : "No instant is left"),
      (failure) => failure.message,
    );
    if (JSON.stringify(wanted) === JSON.stringify(when())) preview.textContent = plain(said);
  };
  for (const field of [at, cron, zone])
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = window.setTimeout(look, PREVIEW_AFTER_MS);
    });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [kind, ...rest] = target.value.split(":");
    const receiver = { [kind]: rest.join(":") };
    if (kind === "preset") receiver.project_path = project.value.trim();
    const fields = { name: name.value.trim(), target: receiver, text: text.value };
    await create({ ...fields, when: when() || null, missed: missed.value, busy: busy.value });
  });
  return form;
}
