// The parts of the landing dialog that leave this machine: push, and the pull request. What is pushed goes to the
// address that is shown, or nowhere: an agent can change the one of a remote.

import { fill, h } from "../lib/dom.js";
import { plain, plural, safeUrl } from "../lib/text.js";
import { work } from "../lib/work.js";
import { confirm } from "./dialogs.js";
import { action, part } from "./landing.js";

const check = (label, name, isOn = false) => {
  const input = h("input", { type: "checkbox", data: { name } });
  input.checked = isOn;
  return { input, el: h("label", { class: "check" }, input, label) };
};

const textField = (name, value, props = {}) => {
  const field = h("input", {
    type: "text",
    dir: "auto",
    autocomplete: "off",
    spellcheck: "false",
    data: { name },
    ...props,
  });
  field.value = value;
  return field;
};

/** The choice of a remote, with its address; `drawn` is called with the chosen one. */
function remoteChoice(name, { remotes, upstream }, picked, drawn) {
  const choice = h(
    "select",
    { data: { name } },
    remotes.map((remote) => h("option", { value: remote.name }, plain(remote.name))),
  );
  const usual = [picked[name], upstream?.name, "origin"].find((wanted) => remotes.some((it) => it.name === wanted));
  choice.value = usual ?? remotes[0].name;
  const address = h("p", { class: "muted path", dir: "auto" });
  const chosen = () => remotes.find((remote) => remote.name === choice.value) ?? remotes[0];

  function draw() {
    const { url, problem } = chosen();
    address.textContent = problem ? `Not possible: ${plain(problem)}` : `at ${plain(url)}`;
    drawn(chosen());
  }

  choice.addEventListener("change", () => {
    picked[name] = choice.value;
    draw();
  });
  return { els: [h("label", null, "Remote", choice), address], chosen, draw };
}

/** The distance of a remote branch from the worker's side, as far as it is known here. */
function distance({ ahead, behind, branch }) {
  if (ahead === null) return "";
  if (!ahead && !behind) return `${plain(branch)} there has all commits, as last seen.`;
  const more = behind ? `, and ${plural(behind, "commit")} there that ${behind === 1 ? "is" : "are"} not here` : "";
  return `${plural(ahead, "commit")} to push${more}, as last seen.`;
}

export function pushPart({ id, done, picked }, plan) {
  const { remotes = [], branch, upstream, head } = plan;
  if (!remotes.length || !branch) return null;
  const to = textField("push-branch", "");
  const follow = check("Follow it from now on (upstream)", "upstream", !upstream);
  const seen = h("p", { class: "muted" });
  const choice = remoteChoice("push-remote", plan, picked, draw);

  async function push(problem, lease) {
    const { name, url } = choice.chosen();
    const target = to.value.trim() || branch;
    const what = lease
      ? `Commits there that are not here are lost: ${plain(target)} is replaced, if it is still ${lease.slice(0, 10)}.`
      : `${plain(branch)} goes to ${plain(target)}.`;
    const words = `${what} The address of ${plain(name)} is ${plain(url)}`;
    const title = lease ? `Replace ${plain(target)} of ${plain(name)}?` : `Push to ${plain(name)}?`;
    if (!(await confirm(title, words, lease ? "Replace" : "Push"))) return;
    try {
      const pushed = await work.push(id, {
        remote: name,
        branch: target,
        expected_url: url,
        expected_head: head,
        set_upstream: follow.input.checked,
        ...(lease ? { force_with_lease: lease } : {}),
      });
      const more = [pushed.words, pushed.note].filter(Boolean).map((text) => ` ${plain(text)}`);
      const all = pushed.result === "up_to_date" ? " It had all commits already." : "";
      await done(`Pushed to ${plain(target)} of ${plain(name)}.${all}${more.join("")}`);
    } catch (error) {
      const there = error.answer?.remote_head;
      if (!there || !["not_fast_forward", "lease"].includes(error.code)) throw error;
      fill(
        problem,
        refusal(error, () => push(problem, there)),
      );
    }
  }

  const { el, button } = action("push", "", (problem) => push(problem));

  function draw(remote) {
    to.value = picked["push-branch"] ?? remote.branch ?? branch;
    seen.textContent = distance(remote);
    button.textContent = `Push ${plain(branch)} to ${plain(remote.name)}`;
    button.disabled = Boolean(remote.problem);
  }

  to.addEventListener("change", () => (picked["push-branch"] = to.value.trim() || undefined));
  choice.draw();
  return part("push", "Push", false, choice.els, h("label", null, "As the branch", to), seen, follow.el, el);
}

// A refusal because commits would be lost, with the way to push nevertheless.
function refusal({ message }, replace) {
  const problem = h("div", { role: "alert" });
  const button = h("button", { type: "button", class: "danger", data: { name: "replace" } }, "Replace what is there");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await replace();
    } catch (error) {
      fill(problem, h("p", { class: "field-error" }, error.message));
    }
    button.disabled = false;
  });
  return h(
    "div",
    null,
    h("p", { class: "field-error" }, message),
    problem,
    h("div", { class: "dialog-actions" }, button),
  );
}

export function pullRequestPart({ id, picked }, plan) {
  const { remotes = [], into, branch } = plan;
  if (!remotes.length || !branch) return null;
  const title = textField("title", "", { placeholder: "as the commits say" });
  const text = h("textarea", { rows: "3", dir: "auto", placeholder: "as the commits say", data: { name: "body" } });
  const target = textField("pull-request-into", into ?? "");
  const draft = check("As a draft", "draft");
  const result = h("p", { role: "status" });
  const choice = remoteChoice("pull-request-remote", plan, picked, draw);
  const { el, button } = action("pull-request", "", async () => {
    fill(result);
    const { name, url, branch: from } = choice.chosen();
    const opened = await work.pullRequest(id, {
      remote: name,
      expected_url: url,
      branch: from ?? branch,
      draft: draft.input.checked,
      ...(target.value.trim() ? { into: target.value.trim() } : {}),
      ...(title.value.trim() ? { title: title.value.trim() } : {}),
      ...(text.value.trim() ? { body: text.value } : {}),
    });
    const address = safeUrl(opened.url);
    const words = opened.created
      ? "The pull request is open: "
      : opened.existing
        ? "It is open already: "
        : "Open it on this page: ";
    fill(
      result,
      words,
      address
        ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, plain(opened.url))
        : plain(opened.url),
      opened.note && ` (${plain(opened.note)})`,
    );
  });

  function draw(remote) {
    button.textContent = `Open a pull request at ${plain(remote.name)}`;
    button.disabled = Boolean(remote.problem);
  }

  choice.draw();
  return part(
    "pull-request",
    "Pull request",
    false,
    h("p", { class: "muted" }, "Push first."),
    choice.els,
    h("label", null, "Into the branch", target),
    h("label", null, "Title", title),
    h("label", null, "Text", text),
    draft.el,
    el,
    result,
  );
}
