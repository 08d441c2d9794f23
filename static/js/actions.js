// What the page does when a view tells an action: the only place where commands are sent.

import { answering, conversation } from "./state.js";
import { memory, randomId, style, toast } from "./dom.js";

// Dialogs are loaded when one is wanted.
const dialogs = async () => (await Promise.all([import("./dialogs.js"), style("dialogs")]))[0];

export function mountActions(app, { composer, conversation: view }) {
  const { state, socket, api, root } = app;
  const on = (name, act) => root.addEventListener(name, (event) => act(event.detail ?? {}));
  const selected = () => state.workers.get(state.selected);
  const failed = (error) => toast(error.message, true);
  const redraw = () => {
    state.rev.queue += 1;
    app.update();
  };

  app.created = (worker) => {
    if (worker?.id && !state.workers.has(worker.id)) {
      state.workers.set(worker.id, worker);
      state.seen[worker.id] = worker.last_seq ?? 0;
      state.rev.workers += 1;
    }
    if (worker?.id) app.openWorker(worker.id);
  };

  on("create", async () => {
    await dialogs();
    (await import("./create.js")).openCreate(app);
  });
  on("search", async () => {
    await dialogs();
    (await import("./search.js")).openSearch(app);
  });
  on("help", async () => {
    const { openDialog } = await dialogs();
    openDialog("Keys and help", (await import("./help.js")).helpSheet(), { wide: true });
  });
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

  on("send", ({ text, attachments }) => {
    const message = { client_message_id: randomId(), content: text };
    if (attachments.length) message.attachments = attachments;
    const conv = conversation(state, state.selected);
    conv.outbox.push(message);
    view.toEnd();
    composer.focus();
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
      if (error.status !== 409) return failed(error);
      const sure = await (await dialogs()).confirm("Take over", error.message, "Take over all the same");
      if (sure) api.act(id, "takeover", { force: true }).catch(failed);
    }
    return undefined;
  });

  // A message stays in the outbox until the server has it; the same id again is the same message, so that trying
  // once more after a lost connection never sends it twice.
  async function deliver(worker, message) {
    delete message.error;
    message.waiting = !socket.isOpen;
    redraw();
    if (message.waiting) return;
    const { client_message_id, content, attachments } = message;
    try {
      if (attachments) await api.message(worker, { client_message_id, content, attachments });
      else await socket.command({ type: "message", worker_id: worker, content, client_message_id });
      drop(worker, message);
    } catch (error) {
      if (error.lost || error.status === 0) message.waiting = true;
      else message.error = error.message;
      redraw();
    }
  }

  function drop(worker, message) {
    const conv = state.conversations.get(worker);
    if (conv) conv.outbox = conv.outbox.filter((other) => other !== message);
    redraw();
  }

  on("interrupt", () => socket.command({ type: "interrupt", worker_id: state.selected }).catch(failed));
  on("editQueued", ({ id, text }) => api.editQueued(state.selected, id, text).then(() => {
    conversation(state, state.selected).queue.set(id, { id, text });
    redraw();
  }, failed));
  on("removeQueued", ({ id }) => api.removeQueued(state.selected, id).then(() => {
    conversation(state, state.selected).queue.delete(id);
    redraw();
  }, failed));

  on("answer", async ({ key, worker, request, option, message, answers }) => {
    if (state.answers.get(key)?.sending) return;
    answering(state, key, { sending: true });
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
    answering(state, key, answer);
    app.update();
  }

  on("setting", ({ name, value }) => set(name, value).catch((error) => {
    failed(error);
    redraw();
  }));
  on("chooseModel", async () => (await dialogs()).ask("Model", "Model of this worker (empty for the CLI's own choice)", app.session().model ?? selected()?.model ?? "", { optional: true, save: (value) => set("model", value || "default") }));

  function set(name, value) {
    const worker = state.selected;
    return socket.command(name === "model" ? { type: "set_model", worker_id: worker, model: value } : { type: "set_permission_mode", worker_id: worker, permission_mode: value });
  }

  on("menu", async ({ button }) => {
    const worker = selected();
    await dialogs();
    if (worker) (await import("./menu.js")).openWorkerMenu(app, worker, button, failed);
  });
}
