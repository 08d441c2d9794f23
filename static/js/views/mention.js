// Puts text into the message that is being written.

import { emit } from "../lib/dom.js";

/** Adds text to the composer's, and goes there. */
export function mention(app, text) {
  if (app.panel.isOverlay()) app.panel.toggle(false);
  emit(app.root, "mention", { text });
}
