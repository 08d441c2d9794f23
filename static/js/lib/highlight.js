// Light colouring of code: comments, strings, numbers, keywords. Pure; one pass, linear in the code.

// Longer code is shown without colours.
const CODE_MAX = 100_000;

const words = (text) => new Set(text.split(" "));
const C_LIKE =
  "as async auto await bool boolean break byte case catch char class const continue crate debugger " +
  "default defer delete do double else enum export extends extern false final finally float fn for from " +
  "func function go goto if impl implements import in instanceof int interface let long loop map match " +
  "mod mut namespace new nil null of override package private protected pub public range readonly ref " +
  "return self short static string struct super switch template this throw throws trait true try type " +
  "typedef typeof undefined union unsafe use using var virtual void volatile where while with yield";
const PYTHON =
  "and as assert async await break case class continue def del elif else except False finally for from " +
  "global if import in is lambda match None nonlocal not or pass raise return self True try while with " +
  "yield begin end module require then unless until puts nil do";
const SHELL =
  "if then else elif fi for while until do done case esac in function return local export set unset " +
  "exit cd echo source alias sudo FROM RUN COPY WORKDIR ENV CMD ENTRYPOINT";
const SQL =
  "select from where and or not insert into values update set delete create table index view drop alter " +
  "add primary key foreign references join left right inner outer on group by order having limit offset " +
  "as distinct union all null is in like between case when then else end begin commit rollback default " +
  "unique exists with returning";
const NUMBER = "\\b(?:0[xX][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\b";
const WORD = "[A-Za-z_$][\\w$]*";
const QUOTED = '"(?:[^"\\\\\\n]|\\\\.)*"?';
const SINGLE = "'(?:[^'\\\\\\n]|\\\\.)*'?";

const family = (comments, strings, keywords, fold = false) => ({
  pattern: new RegExp(`(${comments})|(${strings})|(${NUMBER})|(${WORD})`, "g"),
  keywords: words(keywords),
  fold,
});
const FAMILIES = {
  c: () =>
    family(
      "//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)",
      `${QUOTED}|'(?:[^'\\\\\\n]|\\\\.){1,80}'|\`(?:[^\`\\\\]|\\\\[\\s\\S])*\`?`,
      C_LIKE,
    ),
  python: () => family("#[^\\n]*", `"""[\\s\\S]*?(?:"""|$)|'''[\\s\\S]*?(?:'''|$)|${QUOTED}|${SINGLE}`, PYTHON),
  shell: () => family("(?<![\\w$])#[^\\n]*", `"(?:[^"\\\\]|\\\\[\\s\\S])*"?|'[^']*'?`, SHELL),
  sql: () => family("--[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)", `${SINGLE}|${QUOTED}`, SQL, true),
  data: () => family("(?<![\\w$])#[^\\n]*", `${QUOTED}|${SINGLE}`, "true false null yes no on off"),
  markup: () =>
    family(
      "<!--[\\s\\S]*?(?:-->|$)|/\\*[\\s\\S]*?(?:\\*/|$)",
      `${QUOTED}|${SINGLE}`,
      "DOCTYPE important media import",
    ),
};
const LANGUAGES = {
  c:
    "c cc cpp c++ h hpp cs csharp css scss java javascript js jsx mjs cjs ts tsx typescript rust rs go golang " +
    "kotlin kt swift php dart scala zig proto json5 jsonc",
  python: "python py ruby rb elixir ex nim",
  shell: "sh bash zsh shell console dockerfile docker make makefile fish terminal",
  sql: "sql sqlite postgres mysql",
  data: "json yaml yml toml ini env properties hcl",
  markup: "html xml svg vue markdown-html",
};
const byLanguage = new Map();
for (const [name, list] of Object.entries(LANGUAGES))
  for (const language of list.split(" ")) byLanguage.set(language, name);
const made = new Map();

/** Code as `[kind, text]` pairs that add up to it; kind is "" or one of `comment`, `string`, `number`, `keyword`. */
export function tokens(code, language) {
  const name = byLanguage.get(String(language ?? "").toLowerCase());
  if (!name || code.length > CODE_MAX) return [["", code]];
  if (!made.has(name)) made.set(name, FAMILIES[name]());
  const { pattern, keywords, fold } = made.get(name);
  const out = [];
  let done = 0;
  for (const match of code.matchAll(pattern)) {
    const text = match[0];
    const kind = kindOf(match, keywords, fold);
    if (!kind || text === "") continue;
    if (match.index > done) out.push(["", code.slice(done, match.index)]);
    out.push([kind, text]);
    done = match.index + text.length;
  }
  if (done < code.length) out.push(["", code.slice(done)]);
  return out;
}

function kindOf(match, keywords, fold) {
  if (match[1] !== undefined) return "comment";
  if (match[2] !== undefined) return "string";
  if (match[3] !== undefined) return "number";
  return keywords.has(fold ? match[4].toLowerCase() : match[4]) ? "keyword" : "";
}

/** The language that a file's name suggests, for `tokens`. */
export function languageOf(path) {
  const name = String(path ?? "")
    .split("/")
    .pop()
    .toLowerCase();
  return name.includes(".") ? name.split(".").pop() : name;
}
