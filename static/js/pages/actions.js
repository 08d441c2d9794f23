// The actions that views emit: the only place where commands are sent.

import * as outbox from "../state/outbox.js";
import * as model from "../state/state.js";
import { randomId, style, toast } from "../lib/dom.js";
import { holdKeys } from "../lib/held.js";

// Dialogs are loaded when one is wanted.
const dialogs = async () => (await Promise.all([import("../views/dialogs.js"), style("dialogs")]))[0];

// The module for many workers and the list, by the events that need it.
const LISTING = {
  bulk: "The action",
  arrangeList: "The list's menu",
  palette: "The palette",
  beside: "The worker beside it",
  doctor: "The check of the CLIs",
};

export function mountActions(app, open) {
  const { state, socket, api, root, attempt, opening } = app;
  const on = (name, act) => root.addEventListener(name, (event) => act(event.detail ?? {}));
  const selected = () => state.workers.get(state.selected);

  app.created = (worker) => {
    if (!worker?.id) return;
    model.created(state, worker);
    app.openWorker(worker.id);
  };

  // Opens something whose code is loaded now.
  const opens = (name, what, load) => on(name, (detail) => opening(what, () => load(detail)));
  opens("create", "The form for a new worker", async () => {
    await Promise.all([dialogs(), style("home")]);
    (await import("../views/create.js")).openCreate(app);
  });
  opens("search", "The search", async ({ text }) => {
    await dialogs();
    (await import("../views/search.js")).openSearch(app, text);
  });
  opens("help", "The help", async () => {
    const { openDialog } = await dialogs();
    openDialog("Keys and help", (await import("../views/help.js")).helpSheet(app), { wide: true });
  });
  opens("logins", "The list of logins", async () => {
    await dialogs();
    (await import("../views/logins.js")).openLogins(app);
  });
  opens("rules", "The rules", async (detail) => {
    await dialogs();
    (await import("../views/rules.js")).openRules(detail);
  });
  opens("preferences", "The settings", async () => {
    await dialogs();
    (await import("../views/preferences.js")).openPreferences(app);
  });
  opens("menu", "The menu", async ({ button }) => {
    const worker = selected();
    await dialogs();
    if (worker) (await import("../views/menu.js")).openWorkerMenu(app, worker, button);
  });
  for (const [name, what] of Object.entries(LISTING))
    opens(name, what, async (detail) => (await import("./listing.js")).ACTIONS[name](app, detail));
  opens("notifications", "The notifications", async () => {
    await Promise.all([dialogs(), style("notifications")]);
    (await import("../views/notifications.js")).openNotifications(app);
  });
  on("toast", ({ text }) => toast(text));
  on("panel", () => app.panel.toggle());
  opens("theme", "The other theme", async () => (open.look ?? (await import("../lib/look.js"))).switchTheme());

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

  on("takeOver", () => {
    const id = state.selected;
    return attempt("Could not take over", async () => {
      try {
        await api.act(id, "takeover");
      } catch (error) {
        // A daemon lets go by itself; before that, force would only fail.
        if (error.status !== 409 || error.code === "held_by_daemon") throw error;
        const sure = await (await dialogs()).confirm("Take over", error.message, "Take over anyway");
        if (sure) await api.act(id, "takeover", { force: true });
      }
    });
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
      const unreached = error.lost || error.status === 0;
      // The next connection delivers it. If there is one, it did not help: people say when to try again.
      progress(message, unreached && !socket.isOpen ? { waiting: true } : { error: error.message, unreached });
      if (unreached) socket.look();
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

  on("interrupt", () => {
    const worker = state.selected;
    return attempt("Could not interrupt", () => socket.command({ type: "interrupt", worker_id: worker }));
  });
  on("editQueued", ({ id, text }) => {
    const worker = state.selected;
    return attempt(`Could not change the message to “${text.slice(0, 60)}”`, async () => {
      await api.editQueued(worker, id, text);
      edited(worker, id, text);
    });
  });
  on("removeQueued", ({ id }) => {
    const worker = state.selected;
    return attempt("Could not remove the message", async () => {
      await api.removeQueued(worker, id);
      edited(worker, id, null);
    });
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

  on("setting", ({ name, value }) => {
    const worker = state.selected;
    return attempt(`Could not change the ${name.replaceAll("_", " ")}`, async () => {
      try {
        await set(worker, name, value);
      } catch (error) {
        outbox.settingRefused(state);
        app.update();
        throw error;
      }
    });
  });
  on("chooseModel", async () =>
    (await holdKeys(dialogs)).ask(
      "Model",
      "Model of this worker (empty for the CLI's own choice)",
      app.session().model ?? selected()?.model ?? "",
      { optional: true, save: (value) => set(state.selected, "model", value || "default") },
    ),
  );

  function set(worker, name, value) {
    if (name === "model") return socket.command({ type: "set_model", worker_id: worker, model: value });
    if (name === "permission_mode")
      return socket.command({ type: "set_permission_mode", worker_id: worker, permission_mode: value });
    return socket.command({ type: "set_option", worker_id: worker, option: name, value });
  }
}
