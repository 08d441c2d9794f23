// What the page does when a view tells an action: the only place where commands are sent.

import * as outbox from "../state/outbox.js";
import * as model from "../state/state.js";
import { memory, randomId, style, toast } from "../lib/dom.js";

// Dialogs are loaded when one is wanted.
const dialogs = async () => (await Promise.all([import("../views/dialogs.js"), style("dialogs")]))[0];

export function mountActions(app, open) {
  const { state, socket, api, root } = app;
  const on = (name, act) => root.addEventListener(name, (event) => act(event.detail ?? {}));
  const selected = () => state.workers.get(state.selected);
  const failed = (error) => toast(error.message, true);

  app.created = (worker) => {
    if (!worker?.id) return;
    model.created(state, worker);
    app.openWorker(worker.id);
  };

  on("create", async () => {
    await Promise.all([dialogs(), style("home")]);
    (await import("../views/create.js")).openCreate(app);
  });
  on("search", async ({ text }) => {
    await dialogs();
    (await import("../views/search.js")).openSearch(app, text);
  });
  on("help", async () => {
    const { openDialog } = await dialogs();
    openDialog("Keys and help", (await import("../views/help.js")).helpSheet(), { wide: true });
  });
  on("logins", async () => {
    await dialogs();
    (await import("../views/logins.js")).openLogins(app);
  });
  for (const name of ["bulk", "arrangeList", "palette", "doctor"])
    on(name, async (detail) => (await import("./listing.js")).ACTIONS[name](app, detail));
  on("toast", ({ text }) => toast(text));
  on("panel", () => app.panel.toggle());
  on("theme", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    // Back at the system's own theme nothing is remembered, so it follows the system again.
    if ((next === "dark") === dark) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    memory.set("theme", document.documentElement.dataset.theme ?? null);
  });

  on("send", ({ text, attachments, withHistory }) => {
    const message = { client_message_id: randomId(), content: text };
    if (withHistory) message.with_history = true;
    if (attachments.length) message.attachments = attachments;
    outbox.composed(state, state.selected, message);
    open.conversation.toEnd();
    open.composer.focus();
    deliver(state.selected, message);
  });
  on("command", ({ text }) => {
    const message = { client_message_id: randomId(), content: text };
    outbox.composed(state, state.selected, message);
    open.conversation.toEnd();
    deliver(state.selected, message);
  });
  on("deliver", ({ worker, message }) => deliver(worker, message));
  on("retry", ({ message }) => deliver(state.selected, message));
  on("discard", ({ message }) => drop(state.selected, message));

  on("takeOver", async () => {
    const id = state.selected;
    try {
      await api.act(id, "takeover");
    } catch (error) {
      // A daemon lets go by itself; before that, force would only fail.
      if (error.status !== 409 || error.code === "held_by_daemon") return failed(error);
      const sure = await (await dialogs()).confirm("Take over", error.message, "Take over all the same");
      if (sure) api.act(id, "takeover", { force: true }).catch(failed);
    }
    return undefined;
  });

  // A message stays in the outbox until the server has it; the same id again is the same message, so that trying
  // once more after a lost connection never sends it twice.
  async function deliver(worker, message) {
    progress(message, { waiting: !socket.isOpen });
    if (message.waiting) return;
    const { client_message_id, content, attachments, with_history } = message;
    try {
      if (attachments) await api.message(worker, { client_message_id, content, attachments, with_history });
      else await socket.command({ type: "message", worker_id: worker, content, client_message_id, with_history });
      drop(worker, message);
    } catch (error) {
      progress(message, error.lost || error.status === 0 ? { waiting: true } : { error: error.message });
    }
  }

  function progress(message, how) {
    outbox.delivering(state, message, how);
    app.update();
  }

  function drop(worker, message) {
    outbox.discarded(state, worker, message);
    app.update();
  }

  function edited(worker, id, text) {
    outbox.queueEdited(state, worker, id, text);
    app.update();
  }

  on("interrupt", () => socket.command({ type: "interrupt", worker_id: state.selected }).catch(failed));
  on("editQueued", ({ id, text }) => {
    const worker = state.selected;
    api.editQueued(worker, id, text).then(() => edited(worker, id, text), failed);
  });
  on("removeQueued", ({ id }) => {
    const worker = state.selected;
    api.removeQueued(worker, id).then(() => edited(worker, id, null), failed);
  });

  on("answer", async ({ key, worker, request, option, message, answers }) => {
    if (state.answers.get(key)?.sending) return;
    model.answering(state, key, { sending: true });
    app.update();
    const command = answers
      ? { type: "answer", worker_id: worker, request_id: request, answers }
      : { type: "permission", worker_id: worker, request_id: request, option_id: option, message };
    try {
      await socket.command(command);
      // The card closes when the server says that the prompt is resolved; until then it stays as sent.
      setTimeout(() => settle(key, null), 3000);
    } catch (error) {
      settle(key, { error: error.lost ? "Not sent: the connection was lost. Try again." : error.message });
    }
  });

  function settle(key, answer) {
    model.answering(state, key, answer);
    app.update();
  }

  on("setting", ({ name, value }) =>
    set(name, value).catch((error) => {
      failed(error);
      outbox.settingRefused(state);
      app.update();
    }),
  );
  on("chooseModel", async () =>
    (await dialogs()).ask(
      "Model",
      "Model of this worker (empty for the CLI's own choice)",
      app.session().model ?? selected()?.model ?? "",
      { optional: true, save: (value) => set("model", value || "default") },
    ),
  );

  function set(name, value) {
    const worker = state.selected;
    if (name === "model") return socket.command({ type: "set_model", worker_id: worker, model: value });
    if (name === "permission_mode")
      return socket.command({ type: "set_permission_mode", worker_id: worker, permission_mode: value });
    return socket.command({ type: "set_option", worker_id: worker, option: name, value });
  }

  on("menu", async ({ button }) => {
    const worker = selected();
    await dialogs();
    if (worker) (await import("../views/menu.js")).openWorkerMenu(app, worker, button, failed);
  });
}
