// Changes of files by tools, and what an edit would change before it is allowed: with the line numbers of the file,
// once the server has shown it. Loaded with the first edit.

import { ofInput, ofInputIn, pathOf } from "../lib/diff.js";
import { fill, h } from "../lib/dom.js";
import { relative } from "../lib/text.js";
import { diffView } from "./diffs.js";

export { ofInput, ofResult } from "../lib/diff.js";
export { counts, countsOf, diffView } from "./diffs.js";

/** The view of an edit tool's input, or null where it is none. `context` has `fileText` and the folders. */
export function editView(input, context, worker) {
  const files = ofInput(input);
  if (!files) return null;
  const options = { heads: true, cwd: context.cwd?.() };
  const view = h("div", { class: "edit" }, diffView(files, options));
  number(input, context, worker).then(
    (found) => found && fill(view, diffView(found, options)),
    () => {},
  );
  return view;
}

// The same lines with their numbers; null where the file is not to be had.
async function number(input, context, worker) {
  const path = relative(pathOf(input), await context.projectOf(worker));
  if (!path || path.startsWith("/")) return null;
  const text = await context.fileText(worker, path);
  return text === null ? null : ofInputIn(input, text);
}
