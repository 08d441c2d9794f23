// The grammars of languages for `highlight.js`: words, and rules of a kind and a pattern each, tried in their order at
// every place. Patterns have no groups that capture, and match in linear time. Pure.

const set = (text) => new Set(text.split(" "));

const NUMBER = "\\b(?:0[xX][\\da-fA-F_]+|0[bB][01_]+|\\d[\\d_]*(?:\\.\\d[\\d_]*)?(?:[eE][+-]?\\d+)?)[A-Za-z\\d_]*";
const DOUBLE = '"(?:[^"\\\\\\n]|\\\\[^])*"?';
const SINGLE = "'(?:[^'\\\\\\n]|\\\\[^])*'?";
const WORD = "[A-Za-z_$][\\w$]*";
const SLASHES = "//[^\\n]*|/\\*[^]*?(?:\\*/|(?![^]))";
// The text behind a part of a selector.
const SELECTOR = "[^;}\\n]{0,200}\\{|[^;(){}\\n]{0,200},$";
// The text before an operand.
const OPERAND = "(?<=[(,=:[!&|?{};\\n]\\s{0,40})";
const HASH = "(?<![\\w$&])#[^\\n]*";

const rules = {
  comment: (source) => ["comment", source],
  string: (source) => ["string", source],
  attribute: (source) => ["attribute", source],
  property: (source) => ["property", source],
  tag: (source) => ["tag", source],
  variable: (source) => ["variable", source],
  keyword: (source) => ["keyword", source],
};
const USUAL = [
  ["number", NUMBER],
  ["word", WORD],
];

/** A language: its names, its rules, its words. `capitals`: words that begin with one are types. */
const language = (names, own, keywords, { types = "", capitals = false, fold = false } = {}) => ({
  names: names.split(" "),
  rules: own,
  keywords: set(keywords),
  types: set(types),
  capitals,
  fold,
});

const C_TYPES = "bool char double float int long short signed size_t unsigned void wchar_t auto string";
const C_WORDS =
  "break case catch class const constexpr continue default delete do else enum explicit extern false " +
  "final for friend goto if import inline namespace new noexcept nullptr operator override private " +
  "protected public return sizeof static struct switch template this throw true try typedef typename " +
  "union using virtual volatile while NULL";

export const LANGUAGES = [
  language(
    "rust rs",
    [
      rules.comment(SLASHES),
      rules.attribute('#!?\\[(?:[^\\[\\]"]|"[^"]{0,200}"|\\[[^\\]]{0,200}\\]){0,400}\\]?'),
      rules.string(`b?r#"[^]*?(?:"#|(?![^]))|b?r?"(?:[^"\\\\]|\\\\[^])*"?|b?'(?:[^'\\\\\\n]|\\\\[^'\\n]*)'`),
      rules.variable("'[a-z_]\\w*\\b"),
      ["function", "\\b[a-z_]\\w*!(?=[\\s(\\[{])"],
      ...USUAL,
    ],
    "as async await break const continue crate dyn else enum extern false fn for if impl in let loop " +
      "match mod move mut pub ref return self Self static struct super trait true type unsafe use where " +
      "while",
    { types: "bool char f32 f64 i8 i16 i32 i64 i128 isize str u8 u16 u32 u64 u128 usize", capitals: true },
  ),
  language(
    "javascript js jsx mjs cjs typescript ts tsx mts json5 jsonc",
    [
      rules.comment(SLASHES),
      rules.string(`${DOUBLE}|${SINGLE}|\`(?:[^\`\\\\]|\\\\[^])*\`?`),
      // A regular expression is where an operand is.
      rules.string(
        `${OPERAND}/(?![*/\\s])(?:[^/\\\\\\[\\n]|\\\\.|\\[(?:[^\\]\\\\\\n]|\\\\.){0,100}\\]){1,200}/[a-z]*`,
      ),
      rules.attribute("@[A-Za-z_$][\\w$.]*"),
      ...USUAL,
    ],
    "as async await break case catch class const continue debugger declare default delete do else enum " +
      "export extends false finally for from function get if implements import in instanceof interface " +
      "keyof let namespace new null of private protected public readonly return satisfies set static " +
      "super switch this throw true try type typeof undefined var void while with yield",
    { types: "any bigint boolean never number object string symbol unknown", capitals: true },
  ),
  language(
    "python py pyi",
    [
      rules.comment(HASH),
      rules.string(`[rbufRBUF]{0,2}(?:"""[^]*?(?:"""|(?![^]))|'''[^]*?(?:'''|(?![^]))|${DOUBLE}|${SINGLE})`),
      rules.attribute("(?<=^[ \\t]{0,40})@[A-Za-z_][\\w.]*"),
      ...USUAL,
    ],
    "and as assert async await break case class continue def del elif else except False finally for " +
      "from global if import in is lambda match None nonlocal not or pass raise return self cls True try " +
      "type while with yield",
    { types: "bool bytes complex dict float frozenset int list object set str tuple", capitals: true },
  ),
  language(
    "go golang",
    [rules.comment(SLASHES), rules.string(`${DOUBLE}|'(?:[^'\\\\\\n]|\\\\[^\\n])+'|\`[^\`]*\`?`), ...USUAL],
    "break case chan const continue default defer else fallthrough false for func go goto if import " +
      "interface iota map nil package range return select struct switch true type var",
    {
      types:
        "any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32 int64 " +
        "rune string uint uint8 uint16 uint32 uint64 uintptr",
      capitals: true,
    },
  ),
  language(
    "c cc cpp c++ cxx h hpp hh objc ino cu",
    [
      rules.comment(SLASHES),
      rules.attribute("(?<=^[ \\t]{0,40})#[ \\t]{0,40}\\w+(?:[ \\t]{0,40}<[^>\\n]*>)?"),
      rules.string(`[LuU]?8?R?(?:${DOUBLE}|'(?:[^'\\\\\\n]|\\\\[^\\n])+')`),
      ...USUAL,
    ],
    C_WORDS,
    { types: C_TYPES, capitals: true },
  ),
  language(
    "java kotlin kt kts cs csharp swift scala dart php groovy zig proto v d",
    [
      rules.comment(SLASHES),
      rules.string(`"""[^]*?(?:"""|(?![^]))|@?${DOUBLE}|${SINGLE}`),
      rules.attribute("@[A-Za-z_][\\w.]*"),
      rules.variable("\\$[a-z_]\\w*"),
      ...USUAL,
    ],
    `${C_WORDS} abstract as async await by data defer extends extension false fn foreach fun func ` +
      "function get guard if impl implements import in init instanceof interface internal is lateinit let " +
      "match message module mut native nil null object of open override package protocol pub readonly " +
      "record repeated rpc sealed self service set super suspend synchronized syntax test throws trait " +
      "true try typealias val var when where with yield",
    { types: `${C_TYPES} boolean byte decimal Int String Bool`, capitals: true },
  ),
  language(
    "ruby rb elixir ex exs crystal nim lua julia jl perl pl r",
    [
      rules.comment(`--[^\\n]*|${HASH}`),
      rules.string(`"""[^]*?(?:"""|(?![^]))|${DOUBLE}|${SINGLE}|(?<![\\w:]):[a-z_]\\w*[?!]?`),
      rules.attribute("(?<![\\w@])@{1,2}[a-z_]\\w*"),
      ...USUAL,
    ],
    "alias and begin break case catch class def defmodule defp do else elsif end ensure false fn for " +
      "function if import in include local module my next nil not or private proc protected public raise " +
      "require rescue return self sub super then true unless until use when while yield",
    { capitals: true },
  ),
  language(
    "sh bash zsh shell console terminal fish ksh env",
    [
      rules.comment(HASH),
      rules.string(`"(?:[^"\\\\]|\\\\[^])*"?|'[^']*'?`),
      rules.variable("\\$(?:\\w+|\\{[^}\\n]*\\}?|[@#?*!$-])"),
      rules.attribute("(?<=\\s)--?[A-Za-z][\\w-]*"),
      ["function", "(?<=^[ \\t]{0,40}|[|&;(][ \\t]{0,40})[\\w./-]{1,100}(?![\\w./=-])"],
      ...USUAL,
    ],
    "case do done elif else esac export fi for function if in local readonly return select set shift " +
      "source then trap unset until while",
  ),
  language(
    "dockerfile docker containerfile make makefile mk cmake just justfile",
    [
      rules.comment(HASH),
      rules.string(`${DOUBLE}|${SINGLE}`),
      rules.variable("\\$(?:\\w+|[({][^)}\\n]*[)}]?|[@<^*])"),
      rules.property("(?<=^)[\\w./%-]{1,100}(?=[^\\n:=]{0,100}:(?!=))"),
      ...USUAL,
    ],
    "FROM RUN COPY ADD WORKDIR ENV ARG CMD ENTRYPOINT EXPOSE LABEL USER VOLUME HEALTHCHECK SHELL " +
      "STOPSIGNAL AS include define endef ifdef ifndef ifeq ifneq else endif export override if elseif " +
      "endif function endfunction set foreach",
  ),
  language(
    "sql sqlite postgres postgresql mysql plsql",
    [
      rules.comment("--[^\\n]*|/\\*[^]*?(?:\\*/|(?![^]))"),
      rules.string(`'(?:[^']|'')*'?|${DOUBLE}|\`[^\`\\n]*\`?`),
      ...USUAL,
    ],
    "add all alter and as asc begin between by cascade case check column commit constraint create cross " +
      "default delete desc distinct drop else end exists explain false foreign from full group having if " +
      "in index inner insert intersect into is join key left like limit not null offset on or order outer " +
      "over partition primary references returning right rollback select set table then transaction " +
      "trigger true union unique update using values view when where with",
    {
      types:
        "bigint bool boolean bytea char date decimal int integer interval json jsonb numeric real serial " +
        "smallint text time timestamp timestamptz uuid varchar",
      fold: true,
    },
  ),
  language(
    "json yaml yml toml ini cfg conf properties hcl tf editorconfig gitconfig lock",
    [
      rules.comment("(?<![^\\s])[#;][^\\n]*|(?<![:\\w])//[^\\n]*"),
      rules.property(`"(?:[^"\\\\\\n]|\\\\.){0,200}"(?=\\s{0,40}:)`),
      rules.property("(?<=^[ \\t]{0,40}(?:- )?)[\\w.$/-]{1,100}(?=[ \\t]{0,40}[:=](?:\\s|$|[\\[\"'{]))"),
      rules.tag("(?<=^[ \\t]{0,40})\\[{1,2}[^\\]\\n]{0,200}\\]{1,2}(?=[ \\t]{0,40}$)"),
      rules.string(`"""[^]*?(?:"""|(?![^]))|${DOUBLE}|${SINGLE}`),
      rules.variable("[&*][A-Za-z_]\\w*|\\$\\{[^}\\n]*\\}?"),
      ...USUAL,
    ],
    "true false null yes no on off True False None",
  ),
  language(
    "html xml svg vue svelte xhtml astro plist",
    [
      rules.comment("<!--[^]*?(?:-->|(?![^]))"),
      rules.tag("</?[A-Za-z][\\w:.-]*|/?>"),
      rules.attribute("(?<=\\s)[@:A-Za-z_][\\w:.@-]*(?=\\s{0,40}=\\s{0,40}[\"'{])"),
      rules.keyword("<!DOCTYPE[^>]*>?|<\\?xml|\\?>"),
      rules.string(`(?<==\\s{0,40})(?:"[^"]*"?|'[^']*'?)`),
      rules.variable("&[#\\w]+;"),
    ],
    "",
  ),
  language(
    "css scss sass less",
    [
      rules.comment(SLASHES),
      rules.string(`${DOUBLE}|${SINGLE}`),
      rules.keyword("@[\\w-]+|!important"),
      rules.variable("--[\\w-]+|\\$[\\w-]+"),
      rules.property("(?<=[{;]\\s{0,40}|^[ \\t]{1,40})[a-z-]{1,60}(?=\\s{0,40}:[^:])"),
      rules.tag(`[.#][A-Za-z_][\\w-]*(?=${SELECTOR})|::?[a-z][\\w-]*(?=${SELECTOR})`),
      ["number", "#[\\da-fA-F]{3,8}\\b|(?<![\\w-])-?(?:\\d+(?:\\.\\d+)?|\\.\\d+)(?:%|[a-z]+)?"],
      ["function", "(?<![\\w-])[a-z-]{1,60}(?=\\()"],
    ],
    "",
  ),
  language(
    "markdown md mdx",
    [
      rules.keyword("(?<=^)#{1,6} [^\\n]*"),
      rules.string("(?<=^)```[^]*?(?:\\n```|(?![^]))|`[^`\\n]{1,200}`"),
      rules.comment("(?<=^)> [^\\n]*|<!--[^]*?(?:-->|(?![^]))"),
      rules.tag("\\[[^\\]\\n]{0,200}\\](?=\\()"),
      rules.variable("(?<=\\])\\([^)\\n]{0,400}\\)"),
      rules.attribute("(?<=^[ \\t]{0,40})(?:[-*+]|\\d+\\.)(?= )"),
      ["type", "\\*\\*[^*\\n]{1,200}\\*\\*|__[^_\\n]{1,200}__"],
    ],
    "",
  ),
  language(
    "diff patch",
    [["added", "(?<=^)\\+[^\\n]*"], ["removed", "(?<=^)-[^\\n]*"], rules.keyword("(?<=^)@@[^\\n]*")],
    "",
  ),
];
