// Colouring of code by the tables of `grammars.js`. Pure; one pass, linear in the code.

import { LANGUAGES } from "./grammars.js";

// Longer code is shown without colours.
const CODE_MAX = 100_000;
// Files without an ending that says it.
const FILES = {
  dockerfile: "dockerfile",
  containerfile: "dockerfile",
  makefile: "make",
  gnumakefile: "make",
  justfile: "make",
  gemfile: "ruby",
  rakefile: "ruby",
  ".bashrc": "sh",
  ".profile": "sh",
  ".zshrc": "sh",
  ".gitignore": "sh",
  ".dockerignore": "sh",
  ".env": "sh",
};

const byName = new Map(LANGUAGES.flatMap((language) => language.names.map((name) => [name, language])));
const patterns = new Map();

function patternOf(language) {
  if (!patterns.has(language)) {
    const source = language.rules.map(([, pattern]) => `(${pattern})`).join("|");
    patterns.set(language, new RegExp(source, "gm"));
  }
  return patterns.get(language);
}

/**
 * Code in a language, or in that of a file's name, as `[kind, text]` pairs that add up to it; kind is "" or one of
 * `comment`, `string`, `number`, `keyword`, `type`, `function`, `attribute`, `property`, `tag`, `variable`, `added`,
 * `removed`.
 */
export function tokens(code, name) {
  const language = byName.get(String(name ?? "").toLowerCase()) ?? byName.get(languageOf(name));
  if (!language || code.length > CODE_MAX) return [["", code]];
  const out = [];
  let done = 0;
  for (const match of code.matchAll(patternOf(language))) {
    const kind = kindOf(match, language, code);
    if (!kind || match[0] === "") continue;
    if (match.index > done) out.push(["", code.slice(done, match.index)]);
    out.push([kind, match[0]]);
    done = match.index + match[0].length;
  }
  if (done < code.length) out.push(["", code.slice(done)]);
  return out;
}

function kindOf(match, language, code) {
  const at = match.findIndex((group, index) => index > 0 && group !== undefined);
  const kind = language.rules[at - 1]?.[0] ?? "";
  if (kind === "function" && language.keywords.has(match[0])) return "keyword";
  return kind === "word" ? kindOfWord(match[0], language, code, match.index + match[0].length) : kind;
}

function kindOfWord(word, { keywords, types, capitals, fold }, code, end) {
  const known = fold ? word.toLowerCase() : word;
  if (keywords.has(known)) return "keyword";
  if (types.has(known)) return "type";
  if (code[end] === "(") return "function";
  return capitals && /^[A-Z]/.test(word) && /[a-z]/.test(word) ? "type" : "";
}

/** The pieces of each of these lines, which follow each other in one text. */
export function linesOf(lines, name) {
  const out = [[]];
  for (const [kind, text] of tokens(lines.join("\n"), name)) {
    text.split("\n").forEach((part, at) => {
      if (at) out.push([]);
      if (part) out.at(-1).push([kind, part]);
    });
  }
  return out;
}

/** The language that a file's name suggests, for `tokens`. */
export function languageOf(path) {
  const name = String(path ?? "")
    .split("/")
    .pop()
    .toLowerCase();
  if (name in FILES) return FILES[name];
  return name.includes(".") ? name.split(".").pop() : name;
}
