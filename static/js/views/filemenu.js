// The menu of one changed file.

import { style } from "../lib/dom.js";
import { openMenu } from "./dialogs.js";
import { mention } from "./mention.js";

/** Opens the menu. `given`: the `file` with its `hash`, the `button`, and what `comment`s on it and loads it again. */
export async function openFileMenu(app, id, { file, hash, button, canDiscard, comment, reload }) {
  await style("dialogs");
  const opens = (what, act) => () => app.opening(what, act);
  const discard = {
    label: "Discard all changes of this file…",
    danger: true,
    act: opens("The dialog", async () => {
      const { openDiscard } = await import("./discard.js");
      await openDiscard(app, id, { file, hash }, reload);
    }),
  };
  openMenu(button, [
    { label: "Comment on this file", act: () => comment({ file: file.path }) },
    { label: "Mention in the message", act: () => mention(app, `@${file.path} `) },
    {
      label: "Its history over the turns…",
      act: opens("The history", async () => {
        const { openFileHistory } = await import("./filehistory.js");
        await openFileHistory(app, id, file.path, reload);
      }),
    },
    ...(canDiscard ? [null, discard] : []),
  ]);
}
