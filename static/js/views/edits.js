// What an edit would change, before it is allowed: with the line numbers of the file, once the server has shown it.

import { ofInput, ofInputIn, pathOf } from "../lib/diff.js";
import { fill, h } from "../lib/dom.js";
import { relative } from "../lib/text.js";
import { diffView } from "./diffs.js";

/** The view of an edit tool's input, or null where it is none. `context` has `fileText` and the folders. */
export function editView(input, context, worker) {
  const files = ofInput(input);
  if (!files) return null;
  const options = { heads: true, cwd: context.cwd?.() };
  const view = h("div", { class: "edit" }, diffView(files, options));
  const path = relative(pathOf(input), context.project?.(worker) ?? "");
  if (!path || path.startsWith("/") || !context.fileText) return view;
  context.fileText(worker, path).then(
    (text) => {
      const found = text === null ? null : ofInputIn(input, text);
      if (found) fill(view, diffView(found, options));
    },
    () => {},
  );
  return view;
}
