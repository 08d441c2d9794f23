// Notifications: on or off in this browser, a test, the browsers that get them, and the page as an app.

import { fill, h } from "../lib/dom.js";
import { canPush, pushId, serviceWorker, subscribe, unsubscribe } from "../lib/push.js";
import { openDialog } from "./dialogs.js";
import { browserName } from "./logins.js";
import { ago, plain } from "../lib/text.js";
import { troubleLine } from "./troubles.js";

const IS_APPLE_PHONE = /iPhone|iPad/;

/**
 * Opens the dialog.
 * @param {any} app
 */
export function openNotifications(app) {
  const { api, alerts } = app;
  const what = h("p", { class: "muted", id: "notify-what" });
  const box = h("input", {
    type: "checkbox",
    role: "switch",
    "aria-describedby": "notify-what",
    on: { change: () => act(turn) },
  });
  const test = h("button", { type: "button", on: { click: () => act(sendTest) } }, "Send a test");
  const result = h("p", { class: "push-result", role: "status", hidden: true });
  const error = h("div");
  const devices = h("section", { hidden: true });
  const install = h(
    "button",
    { type: "button", hidden: !app.installPrompt, on: { click: () => act(installApp) } },
    "Install as an app",
  );
  let push = null;
  openDialog(
    "Notifications",
    h(
      "div",
      { class: "notifications" },
      h("label", { class: "switch" }, h("span", null, "Notify this device"), box),
      what,
      error,
      h("div", { class: "push-actions" }, test, install),
      result,
      devices,
    ),
  );
  draw();
  act(load);

  async function load() {
    push = await api.push();
  }

  // Runs something, says why it failed, and draws what there is now.
  async function act(run) {
    try {
      await run();
      fill(error);
    } catch (failure) {
      fill(
        error,
        troubleLine(failure.message, () => act(run)),
      );
    }
    draw();
    // The button that had the focus may be gone.
    if (document.activeElement === document.body) box.focus();
  }

  async function turn() {
    result.hidden = true;
    if (!box.checked) {
      alerts.set(false);
      if (pushId()) await unsubscribe(api);
      return load();
    }
    if ((await Notification.requestPermission()) !== "granted") return undefined;
    // Without a push service the page notifies by itself, for as long as it is open.
    alerts.set(true);
    if (canPush() && (await serviceWorker())) await subscribe(api);
    return load();
  }

  async function sendTest() {
    result.hidden = false;
    result.dataset.level = "";
    result.textContent = "Sending…";
    const { accepted, status, answer, milliseconds } = await api.testPush(pushId()).catch((failure) => {
      result.hidden = true;
      throw failure;
    });
    const said = answer ? `: ${plain(answer)}` : "";
    result.dataset.level = accepted ? "good" : "bad";
    result.textContent = accepted
      ? `The push service took it (${status}, ${milliseconds} ms). It appears on this device in a moment.`
      : status
        ? `The push service refused it with ${status}${said}`
        : `The push service did not answer${said}`;
    if (!accepted) await load();
  }

  async function installApp() {
    await app.installPrompt.prompt();
    app.installPrompt = null;
    install.hidden = true;
  }

  async function remove(id) {
    await (id === pushId() ? unsubscribe(api) : api.removePush(id));
    if (!pushId() && canPush()) alerts.set(false);
    await load();
  }

  function draw() {
    const known = push?.subscriptions ?? [];
    const isPushed = known.some((one) => one.id === pushId());
    const permission = globalThis.Notification?.permission;
    box.checked = alerts.isOn();
    box.disabled = !permission || permission === "denied";
    what.textContent = words({ permission, isPushed, isOn: alerts.isOn(), reason: push?.reason });
    test.hidden = !isPushed;
    devices.hidden = known.length === 0;
    fill(
      devices,
      h("h3", null, "Devices that are notified"),
      h(
        "ul",
        { class: "devices" },
        known.map((one) => {
          const name = browserName(one.user_agent);
          const removal = () => act(() => remove(one.id));
          const facts = `${plain(one.service)} · page last open ${ago(one.renewed_at, Date.now())}`;
          return h(
            "li",
            null,
            h(
              "div",
              null,
              h("strong", null, name),
              one.id === pushId() && h("span", { class: "muted" }, " (this device)"),
              h("div", { class: "muted" }, facts),
            ),
            h(
              "button",
              { type: "button", "aria-label": `Remove ${name}, ${facts}`, on: { click: removal } },
              "Remove",
            ),
          );
        }),
      ),
    );
  }
}

/** Describes the state of notifications on this device. */
export function words({ permission, isPushed, isOn, reason }, agent = navigator.userAgent) {
  if (!globalThis.isSecureContext)
    return (
      "Browsers allow notifications only over HTTPS and on localhost. " +
      "Over plain HTTP the server can notify you through ntfy, Slack, Discord, Telegram or Gotify (WEBHOOK_FORMAT)."
    );
  if (!permission && IS_APPLE_PHONE.test(agent))
    return "On an iPhone or iPad, add this page to the home screen first: Share, then Add to Home Screen.";
  if (!permission) return "This browser has no notifications.";
  if (permission === "denied")
    return "The browser does not allow notifications for this page. Its settings for this site can change that.";
  const when = "when a worker waits for you, has ended its turn or has failed";
  if (!isOn) return `Off. Turn it on to be notified ${when}.`;
  if (isPushed) return `On, also while this page is closed: ${when}. Nothing is sent about what you are looking at.`;
  const why = reason ? ` The server cannot push: ${plain(reason)}.` : "";
  return `On while this page is open in a tab: ${when}.${why}`;
}
