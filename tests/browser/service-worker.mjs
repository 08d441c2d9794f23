// The page's service worker in tests.

import { until } from "./push-service.mjs";

/** The page's service worker, and a way to deliver a message to it. */
export async function serviceWorker(page, server) {
  const context = page.context();
  const scope = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  await until("an active service worker", () => scope.evaluate(() => self.registration.active?.state === "activated"));
  const session = await context.newCDPSession(page);
  const registered = new Promise((resolve) => {
    session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const mine = registrations.find(({ scopeURL, isDeleted }) => !isDeleted && scopeURL.startsWith(server.url));
      if (mine) resolve(mine.registrationId);
    });
  });
  await session.send("ServiceWorker.enable");
  const registrationId = await registered;
  const deliver = (message) => session.send("ServiceWorker.deliverPushMessage", { origin: server.url, registrationId, data: JSON.stringify(message) });
  const notes = () =>
    scope.evaluate(async () => {
      const shown = await self.registration.getNotifications();
      return shown.map(({ title, body, tag, actions, data }) => ({ title, body, tag, actions: actions.map(({ title: text }) => text), data }));
    });
  // A click on the notification of a worker, or on one of its buttons.
  const click = (tag, action = "") =>
    scope.evaluate(
      async (wanted) => {
        const [notification] = await self.registration.getNotifications({ tag: wanted.tag });
        const event = new NotificationEvent("notificationclick", { notification, action: wanted.action });
        self.dispatchEvent(event);
      },
      { tag, action },
    );
  return { scope, deliver, notes, click };
}
