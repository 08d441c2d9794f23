// Dialogs of the work loop, which take the whole page of a phone.

import { style } from "../lib/dom.js";
import { openDialog } from "./dialogs.js";

/** Opens a dialog once its styles are there; `broad` has room for a diff. */
export async function openSheet(title, body, { broad = false } = {}) {
  await Promise.all(["dialogs", "sheets"].map(style));
  const dialog = openDialog(title, body, { wide: true });
  dialog.classList.add("sheet");
  dialog.classList.toggle("broad", broad);
  return dialog;
}
