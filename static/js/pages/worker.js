// The page of an open worker: its conversation, composer and settings. Loaded when a worker is first opened, so that
// the list does not wait for it.

import { mountComposer } from "../views/composer.js";
import { mountConversation } from "../views/conversation.js";
import { mountSettings } from "../views/settings.js";

/** Mounts the three views. `sources` are the composer's: `commands` and `files`. */
export function mountWorkerPage(parts, app, context, sources) {
  const settings = mountSettings(app, sources.commands);
  const conversation = mountConversation(parts.conversation, context);
  const composer = mountComposer(parts.composer, { settings: settings.el, ...sources });
  return { settings, conversation, composer };
}
