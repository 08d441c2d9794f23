// The page of an open worker: its conversation, composer and settings, and what moves the focus. Loaded when a worker
// is first opened or the page is idle, so that the list does not wait for it.

import * as look from "../lib/look.js";
import "../state/timeline.js";
import { mountComposer } from "../views/composer.js";
import { mountConversation } from "../views/conversation.js";
import { mountDrafts } from "../lib/drafts.js";
import { mountFocus } from "./focus.js";
import { mountHistory } from "./history.js";
import { mountLoading } from "../views/loading.js";
import { mountSettings } from "../views/settings.js";
import { linkLater, style, emit } from "../lib/dom.js";
import { loadColours } from "../lib/colours.js";
import { loadEdits } from "../views/tools.js";
import { timelinesLoaded } from "../state/pending.js";

/** Mounts the views into `open`. `files(query)` promises paths for the composer. */
export function mountWorkerPage(parts, app, context, open, files) {
  timelinesLoaded(app.state);
  mountDrafts();
  style("print");
  const history = mountHistory(app, (seq) => open.conversation.goTo(seq));
  const settings = mountSettings(app, history.commands);
  Object.assign(open, {
    history,
    look,
    settings,
    loading: { update: mountLoading(parts.conversation, history.again) },
    conversation: mountConversation(parts.conversation, context),
    composer: mountComposer(parts.composer, {
      settings: settings.el,
      commands: history.commands,
      files,
      imageUrl: app.api.imageUrl,
    }),
    focus: mountFocus(app, parts, open),
  });
  // A frame beside another worker names its parts by it.
  emit(parts.main, "workerPage");
  // Most conversations need both; while the history is on its way they come beside it.
  linkLater("last");
  loadColours();
  loadEdits().catch(() => {});
}
