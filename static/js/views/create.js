// The dialog that makes a worker. Errors are shown at the field they concern.

import { api } from "../lib/api.js";
import { suggestPaths } from "./paths.js";
import { field, problemsOf, show, wrap } from "./fields.js";
import { openDialog } from "./dialogs.js";
import { findings, isUsable, mountDoctor } from "./doctor.js";
import { arrange, fill, h, memory, randomId } from "../lib/dom.js";
import { now } from "../lib/clock.js";
import { mountOffspring } from "./offspring.js";
import { mountLimits } from "./limits.js";
import { choicesOf, modelsOf } from "./settings.js";
import { ago, baseName, plain, plural } from "../lib/text.js";
import { projectOf } from "../state/listed.js";
import { troubleLine } from "./troubles.js";

const RECENT_MAX = 8;
const TYPED = { type: "text", autocomplete: "off", spellcheck: "false" };

/** Opens the dialog. */
export function openCreate(app) {
  const form = h("form", { class: "fields create", novalidate: true });
  // A repeated request makes one worker; a changed one is another request and has another key.
  let key = randomId();
  let asked = "";
  const offered = { clis: [], sessions: [], notes: [] };
  const general = h("p", { class: "field-error", role: "alert", hidden: true });
  const clis = h(
    "div",
    { class: "clis", role: "radiogroup", "aria-label": "CLI" },
    h("p", { class: "muted" }, "Looking for CLIs…"),
  );
  // CLIs that cannot be used are below the others, with the remedy.
  const doctor = mountDoctor(
    app,
    ({ available_clis: list, default: standard, limits: usual }) => {
      offered.clis = list ?? [];
      limits.update(usual);
      drawClis(standard);
    },
    (cli) => findings(cli).state !== "ok",
    () => {
      fill(clis);
      doctorTitle.textContent = "What to do";
      unusable.hidden = false;
      unusable.open = true;
    },
  );
  const doctorTitle = h("summary");
  const unusable = h("details", { class: "unusable-clis", hidden: true }, doctorTitle, doctor.el);
  const cliField = wrap(h("fieldset", { class: "plain" }, h("legend", null, "CLI"), clis, unusable));
  const path = field(
    "Project folder",
    h("input", {
      type: "text",
      name: "project_path",
      required: true,
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "/home/you/project",
      autofocus: true,
    }),
  );
  const recent = h("div", { class: "recent" });
  const name = field(
    "Name",
    h("input", {
      type: "text",
      name: "name",
      autocomplete: "off",
      dir: "auto",
      maxlength: "200",
      placeholder: "as the folder",
    }),
  );
  const message = field(
    "First message",
    h("textarea", { name: "initial_message", rows: "3", dir: "auto", placeholder: "optional" }),
  );
  const model = field("Model", h("input", { ...TYPED, name: "model", placeholder: "the CLI's own choice" }));
  const models = h("datalist", { id: "create-models" });
  model.input.after(models);
  model.input.setAttribute("list", models.id);
  const mode = field("Permission mode", h("select", { name: "permission_mode" }));
  const effort = field("Effort", h("input", { ...TYPED, name: "effort", placeholder: "the CLI's own choice" }));
  const efforts = h("datalist", { id: "create-efforts" });
  effort.input.after(efforts);
  effort.input.setAttribute("list", efforts.id);
  const resume = field(
    "Resume a session",
    h("select", { name: "resume_session" }, h("option", { value: "" }, "Begin a new one")),
  );
  const worktree = h(
    "label",
    { class: "check" },
    h("input", { type: "checkbox", name: "worktree" }),
    "Work in a new git worktree of the project",
  );
  const offspring = mountOffspring();
  const limits = mountLimits();
  const presetPlace = h("div", { class: "fields", hidden: true });
  let presets = null;
  const listNote = h("p", { class: "muted", hidden: true });
  resume.el.append(listNote);
  const sessionsFailed = h("div");
  const more = h(
    "details",
    null,
    h("summary", null, "More options"),
    h(
      "div",
      { class: "fields" },
      h("div", { class: "pair" }, model.el, mode.el),
      effort.el,
      resume.el,
      sessionsFailed,
      worktree,
      offspring.el,
      limits.el,
    ),
  );
  const submit = h("button", { type: "submit", class: "primary" }, "Create");
  form.append(
    presetPlace,
    cliField.el,
    path.el,
    recent,
    name.el,
    message.el,
    more,
    general,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", class: "quiet", on: { click: best } }, "Best of several…"),
      h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      submit,
    ),
  );
  // Opened when it is filled, so that the focus goes to the field that has `autofocus`.
  const dialog = openDialog("New worker", form, { wide: true });
  const fields = {
    ai_cli_type: cliField,
    project_path: path,
    name,
    initial_message: message,
    model,
    permission_mode: mode,
    effort,
    resume_session: resume,
    ...limits.fields,
  };
  drawRecent();
  loadSessions();
  loadPresets();
  suggestPaths(path.input);
  path.input.addEventListener("change", drawSessions);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  async function loadPresets() {
    try {
      const { mountPresets } = await import("./presets.js");
      presets = mountPresets(presetPlace, {
        path: path.input,
        model: model.input,
        permission_mode: mode.input,
        effort: effort.input,
        initial_message: message.input,
        worktree: worktree.querySelector("input"),
        mcp: offspring.input,
        ...limits.inputs,
        cli: chosen,
        chooseCli,
      });
      more.after(presets.saving);
    } catch {
      fill(presetPlace, troubleLine("The presets could not be loaded.", loadPresets));
      presetPlace.hidden = false;
    }
  }

  function best() {
    return app.opening("“Best of several”", async () => {
      const { openBest } = await import("./best.js");
      const given = { project_path: path.input.value.trim(), prompt: message.input.value.trim() };
      dialog.close();
      await openBest(app, given);
    });
  }

  function chooseCli(type) {
    const input = [...form.querySelectorAll("input[name=ai_cli_type]")].find(({ value }) => value === type);
    if (input) input.checked = true;
    drawModes();
  }

  const chosen = () => form.querySelector("input[name=ai_cli_type]:checked")?.value ?? "";

  function drawClis(standard) {
    const chosenBefore = chosen();
    const usable = offered.clis.filter(isUsable);
    const last = chosenBefore || memory.get("last-cli", standard);
    const first = usable.find((cli) => cli.type === last) ?? usable.find((cli) => cli.type === standard) ?? usable[0];
    const away = offered.clis.length - usable.length;
    arrange(clis, usable.length ? usable.map((cli) => choice(cli, cli === first)) : [noCli()]);
    doctorTitle.textContent = usable.length ? `${plural(away, "CLI")} cannot be used yet` : "What to do";
    unusable.hidden = usable.length > 0 && doctor.isEmpty();
    if (!usable.length) unusable.open = true;
    else if (!away) doctorTitle.textContent = "Check the CLIs";
    submit.disabled = usable.length === 0;
    show(cliField, "");
    drawModes();
    presets?.clisDrawn();
  }
  function choice(cli, checked) {
    const input = h("input", { type: "radio", name: "ai_cli_type", value: cli.type });
    input.checked = checked;
    input.addEventListener("change", () => {
      presets?.cliChosen(cli.type);
      drawModes();
    });
    return h(
      "label",
      { class: "cli", title: plain(cli.description ?? "") },
      input,
      h("span", { class: "cli-name" }, plain(cli.name ?? cli.type)),
      h("span", { class: "muted" }, plain(String(cli.version ?? "")).slice(0, 120)),
    );
  }

  function noCli() {
    return h("p", { class: "no-cli" }, "No CLI can be used on this server yet. Install one, or try the demo agent.");
  }

  function drawModes() {
    const cli = offered.clis.find((one) => one.type === chosen());
    const choices = choicesOf(cli, "permission_mode");
    arrange(
      models,
      (modelsOf(null, cli) ?? []).map(({ value, label }) => h("option", { value }, label)),
    );
    arrange(mode.input, [
      h("option", { value: "" }, "the CLI's own choice"),
      ...choices.map(({ value, label }) => h("option", { value }, label)),
    ]);
    mode.el.hidden = choices.length === 0;
    effort.el.hidden = !cli?.config_options?.some((option) => option.name === "effort");
    arrange(
      efforts,
      choicesOf(cli, "effort").map(({ value }) => h("option", { value })),
    );
    offspring.draw(cli);
    drawSessions();
  }

  async function loadSessions() {
    try {
      const answer = await api.sessions();
      offered.sessions = answer.sessions;
      offered.notes = answer.agents ?? [];
      fill(sessionsFailed);
    } catch (failure) {
      fill(sessionsFailed, troubleLine(`Sessions could not be listed: ${failure.message}`, loadSessions));
    }
    drawSessions();
  }

  function drawSessions() {
    const fits = (session) => !session.ai_cli_type || session.ai_cli_type === chosen();
    const here = path.input.value.trim();
    const list = offered.sessions
      .filter(fits)
      .sort((a, b) => Number(b.project_path === here) - Number(a.project_path === here))
      .slice(0, 100);
    const kept = resume.input.value;
    arrange(resume.input, [
      h("option", { value: "" }, "Begin a new one"),
      ...list.map((session) =>
        h(
          "option",
          { value: session.session_id, "data-path": session.project_path },
          [
            plain(session.title ?? session.session_id).slice(0, 70),
            baseName(session.project_path),
            ago(session.last_activity, now()),
          ].join(" · "),
        ),
      ),
    ]);
    resume.input.value = kept;
    const note = offered.notes.find((agent) => agent.ai_cli_type === chosen())?.note ?? "";
    listNote.textContent = note && `This list may be old or short: ${plain(note)}`;
    listNote.hidden = !note;
    resume.el.hidden = list.length === 0 && !note;
  }
  resume.input.addEventListener("change", () => {
    const from = resume.input.selectedOptions[0]?.dataset.path;
    if (!from) return;
    path.input.value = from;
    path.input.dispatchEvent(new Event("change"));
  });

  function drawRecent() {
    const known = [...memory.get("recent", []), ...[...app.state.workers.values()].map(projectOf)];
    // A worktree belongs to one worker: its project is what another one can work in.
    const worktrees = new Map(
      [...app.state.workers.values()]
        .filter(({ worktree }) => worktree)
        .map(({ worktree }) => [worktree.path, worktree]),
    );
    const projects = known.map((path) => worktrees.get(path)?.project ?? path);
    const paths = [...new Set(projects)].filter(Boolean).slice(0, RECENT_MAX);
    recent.hidden = paths.length === 0;
    arrange(
      recent,
      paths.map((one) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            title: plain(one),
            on: {
              click: () => {
                path.input.value = one;
                path.input.dispatchEvent(new Event("change"));
                name.input.focus();
              },
            },
          },
          baseName(plain(one)),
        ),
      ),
    );
  }

  async function save() {
    for (const entry of Object.values(fields)) show(entry, "");
    general.hidden = true;
    /** @type {import("page").NewWorker} */
    const wanted = { name: "", ai_cli_type: chosen(), project_path: path.input.value.trim() };
    if (!wanted.ai_cli_type) return show(cliField, "Choose a CLI.");
    if (!wanted.project_path) return show(path, "Which folder is the project in?");
    wanted.name = name.input.value.trim() || baseName(wanted.project_path);
    for (const entry of ["initial_message", "model", "permission_mode", "effort", "resume_session"]) {
      const value = fields[entry].el.hidden ? "" : fields[entry].input.value.trim();
      if (value) wanted[entry] = value;
    }
    Object.assign(wanted, limits.given());
    if (worktree.querySelector("input").checked) wanted.worktree = true;
    if (offspring.input.checked && !offspring.el.hidden) wanted.mcp = true;
    if (presets && !presets.apply(wanted)) return undefined;
    const asking = JSON.stringify(wanted);
    if (asked && asked !== asking) key = randomId();
    asked = asking;
    wanted.idempotency_key = key;
    submit.disabled = true;
    try {
      const worker = await api.create(wanted);
      memory.set("last-cli", wanted.ai_cli_type);
      memory.set(
        "recent",
        [wanted.project_path, ...memory.get("recent", []).filter((one) => one !== wanted.project_path)].slice(
          0,
          RECENT_MAX,
        ),
      );
      dialog.close();
      app.created(worker);
    } catch (failure) {
      refused(failure);
    }
    submit.disabled = false;
    return undefined;
  }

  function refused(failure) {
    for (const { entry, text } of problemsOf(failure)) {
      if (fields[entry]) {
        show(fields[entry], text);
        if (more.contains(fields[entry].el)) more.open = true;
      } else {
        general.textContent = text;
        general.hidden = false;
      }
    }
    (form.querySelector("[aria-invalid=true]") ?? submit).focus();
  }
}
