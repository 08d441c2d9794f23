// The fields of question prompts: choices, free text, and forms.

import { h, emit } from "../lib/dom.js";
import { plain } from "../lib/text.js";

/** The questions of a prompt; one whose text alone is known asks for free text. */
export const questionsOf = (event) =>
  Array.isArray(event.questions) ? event.questions : [{ question: event.content ?? "", options: [] }];

let groups = 0;

/** The form of a question prompt. Emits `answer`. */
export function questionForm(prompt) {
  const questions = questionsOf(prompt.event);
  const fields = questions.map(questionField);
  const isForm = questions.some((asked) => asked.field !== undefined);
  const problem = h("p", { class: "field-error", role: "alert", hidden: true });
  const form = h(
    "form",
    {
      class: "question",
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          const answers = {};
          let missing = null;
          for (const field of fields) {
            const value = field.value();
            if (value !== "" && value.length !== 0) answers[field.key] = value;
            else if (field.required) missing ??= field;
          }
          problem.hidden = !missing;
          if (missing) {
            problem.textContent = missing.label
              ? `${missing.label}: an answer is needed.`
              : "Choose or write an answer first.";
            missing.focus();
            return;
          }
          emit(form, "answer", { key: prompt.key, worker: prompt.worker_id, request: prompt.request_id, answers });
        },
      },
    },
    fields.length === 0 || questions[0].field !== undefined
      ? h("p", { dir: "auto" }, plain(prompt.event.content ?? ""))
      : null,
    fields.map((field) => field.el),
    problem,
    h(
      "div",
      { class: "prompt-actions" },
      h("button", { type: "submit", class: "primary" }, "Answer"),
      h(
        "button",
        {
          type: "button",
          on: {
            click: () =>
              emit(form, "answer", {
                key: prompt.key,
                worker: prompt.worker_id,
                request: prompt.request_id,
                option: "decline",
              }),
          },
        },
        isForm ? "Decline" : "Skip",
      ),
    ),
  );
  return form;
}

function questionField(asked) {
  return asked.field === undefined ? choiceField(asked) : formField(asked);
}

const INPUT_TYPES = { number: "number", integer: "number" };
const FORMAT_TYPES = { email: "email", uri: "url", date: "date" };

// A field of a form: its type says what it takes.
function formField({
  field,
  question,
  description,
  type,
  format,
  options = [],
  multi_select: many,
  required,
  default: preset,
  minimum,
  maximum,
  min_length: shortest,
  max_length: longest,
}) {
  groups += 1;
  const name = `q${groups}`;
  const label = plain(question);
  const about = description && h("span", { class: "muted", dir: "auto" }, plain(description));
  const common = { el: null, key: field, label, required: required && preset === undefined };
  if (type === "boolean") {
    const box = h("input", { type: "checkbox", checked: preset === true });
    return {
      ...common,
      required: false,
      el: h("label", { class: "choice" }, box, h("span", { dir: "auto" }, label, about && " ", about)),
      focus: () => box.focus(),
      value: () => box.checked,
    };
  }
  const mark = required ? h("span", { class: "muted" }, " (needed)") : null;
  if (options.length) {
    const preselected = [preset].flat();
    const inputs = options.map((option) =>
      h("input", {
        type: many ? "checkbox" : "radio",
        name,
        value: option.value,
        checked: preselected.includes(option.value),
      }),
    );
    const el = h("fieldset", null, h("legend", { dir: "auto" }, label, mark), about, choiceLabels(options, inputs));
    const chosen = () => inputs.filter((input) => input.checked).map((input) => input.value);
    return { ...common, el, focus: () => inputs[0].focus(), value: () => (many ? chosen() : (chosen()[0] ?? "")) };
  }
  const input = h("input", {
    type: INPUT_TYPES[type] ?? FORMAT_TYPES[format] ?? "text",
    value: preset ?? "",
    min: minimum,
    max: maximum,
    step: type === "number" ? "any" : undefined,
    minlength: shortest,
    maxlength: longest,
    dir: "auto",
    "aria-label": label,
  });
  return {
    ...common,
    el: h("fieldset", null, h("legend", { dir: "auto" }, label, mark), about, input),
    focus: () => input.focus(),
    value: () => input.value.trim(),
  };
}

/** The choices of a question: each input with its label and description. */
function choiceLabels(options, inputs) {
  return options.map((option, at) =>
    h(
      "label",
      { class: "choice" },
      inputs[at],
      h(
        "span",
        { dir: "auto" },
        plain(option.label),
        option.description && h("span", { class: "muted" }, ` ${plain(option.description)}`),
      ),
    ),
  );
}

function choiceField({ question, header, options = [], multi_select: many }) {
  groups += 1;
  const name = `q${groups}`;
  const type = many ? "checkbox" : "radio";
  const other = h("input", {
    type: "text",
    placeholder: options.length ? "Answer in your own words…" : "Your answer",
    "aria-label": `${options.length ? "Other answer" : "Answer"}: ${plain(question)}`,
    dir: "auto",
  });
  const inputs = options.map((option) => h("input", { type, name, value: option.label }));
  other.addEventListener("input", () => {
    if (type === "radio" && other.value) for (const input of inputs) input.checked = false;
  });
  const el = h(
    "fieldset",
    null,
    h("legend", { dir: "auto" }, header && h("span", { class: "tag" }, plain(header)), plain(question)),
    choiceLabels(options, inputs),
    other,
  );
  return {
    el,
    key: question,
    required: true,
    focus: () => (inputs[0] ?? other).focus(),
    value: () =>
      [...inputs.filter((input) => input.checked).map((input) => input.value), other.value.trim()]
        .filter(Boolean)
        .join(", "),
  };
}
