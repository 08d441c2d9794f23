// The dialog that sends a review: its comments once more, and an overall text.

import { drafts } from "../lib/drafts.js";
import { h, randomId } from "../lib/dom.js";
import { work } from "../lib/work.js";
import { plain, plural } from "../lib/text.js";
import { placeWords } from "./comments.js";
import { openSheet } from "./sheets.js";

// One message for one set of comments and one text, however often it is tried.
/** @type {{ sign: string, key: string }} */
let tried = { sign: "", key: "" };

/** Opens the dialog; `sent` is called when the server has the message. */
export async function openSending(id, comments, sent) {
  const kept = `${id} review`;
  const text = h("textarea", { rows: "3", dir: "auto", autofocus: true, placeholder: "optional" });
  text.value = drafts.get(kept);
  text.addEventListener("input", () => drafts.set(kept, text.value));
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const word = `Send ${plural(comments.length, "comment")}`;
  const submit = h("button", { type: "submit", class: "primary" }, word);
  const form = h(
    "form",
    { class: "fields sending" },
    h("p", { class: "muted" }, "All of them go to the agent as one message."),
    h(
      "ol",
      { class: "sending-list", tabindex: "0", "aria-label": "Comments" },
      comments.map((comment) =>
        h(
          "li",
          null,
          h("span", { class: "path" }, placeWords(comment)),
          h("span", { dir: "auto" }, plain(comment.text) || "A suggested replacement"),
        ),
      ),
    ),
    h("label", null, "To say about all of it", text),
    problem,
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      submit,
    ),
  );
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    problem.hidden = true;
    const ids = comments.map((comment) => comment.id);
    const overall = text.value.trim();
    const sign = JSON.stringify([id, comments, overall]);
    if (tried.sign !== sign) tried = { sign, key: randomId() };
    try {
      const fields = { comments: ids, client_message_id: tried.key };
      await work.sendReview(id, overall ? { ...fields, text: overall } : fields);
      drafts.set(kept, "");
      dialog.close();
      await sent();
    } catch (error) {
      problem.textContent = `Not sent: ${error.message}`;
      problem.hidden = false;
      submit.textContent = "Try again";
      submit.disabled = false;
      submit.focus();
    }
  });
  const dialog = await openSheet("Send review", form);
}
