// The rules of the page's own code.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

// Longest line and longest file.
const CHARACTERS_MAX = 119;
const LINES_MAX = 400;
// The folders of the scripts; a file imports from its own folder and from those before it.
const FOLDERS = ["lib", "state", "views", "pages"];
// Writes to the page's state: only the functions of `state/` make them.
const WRITES = /\bstate\.(\w+\.)*(set|delete|push|clear)\(|\bstate\.[\w.]+(\[[^\]]+\])? [-+]?= |\bdelete state\./;

const at = (path) => new URL(`../../static/${path}`, import.meta.url);
const files = (folder) => readdirSync(at(folder)).map((name) => [`${folder}/${name}`, readFileSync(at(`${folder}/${name}`), "utf8")]);
const scripts = FOLDERS.flatMap((folder) => files(`js/${folder}`));
const styles = files("css");
const documents = ["index.html", "redoc.html", "swagger.html"].map((name) => [name, readFileSync(at(name), "utf8")]);

test("text never becomes markup or code", () => {
  const ways = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b|new Function|setAttribute\("style"/;
  for (const [name, text] of scripts) assert.doesNotMatch(text, ways, name);
});

test("documents have no inline code and no foreign addresses", () => {
  for (const [name, text] of documents) assert.doesNotMatch(text, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/, name);
  for (const [name, text] of [...documents, ...styles]) assert.doesNotMatch(text, /https?:\/\/|url\(/, name);
});

test("a style that follows the system's theme says both colours", () => {
  for (const [name, text] of styles) assert.doesNotMatch(text.replace(/^ {2}--.*$/gm, ""), /#[0-9a-f]{3,8}\b/i, `${name}: a colour that is no variable`);
});

test("text follows the size that its reader has chosen", () => {
  for (const [name, text] of styles) assert.doesNotMatch(text, /\bfont(-size)?: [\d.]+px/, `${name}: a size in px; 1rem is 16px`);
});

test("files and lines stay short", () => {
  for (const [name, text] of [...scripts, ...styles, ...documents]) {
    const lines = text.split("\n");
    assert.ok(lines.length <= LINES_MAX, `${name} has ${lines.length} lines`);
    lines.forEach((line, number) => assert.ok(line.length <= CHARACTERS_MAX, `${name}:${number + 1}: ${line.length} characters`));
  }
});

test("a test file that opens pages closes its browser", () => {
  const folder = new URL("../browser/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".test.mjs"));
  for (const name of files) {
    const text = readFileSync(new URL(name, folder), "utf8");
    const opens = /^import \{[^}]*\b(open|launch)\b[^}]*\} from "\.\/support\.mjs"/m.test(text);
    assert.ok(!opens || /\b(serverOfAllTests|workIn|closeBrowser)\(|after\(closeBrowser\)/.test(text), `${name} leaves its browser open`);
  }
});

test("every script is in a folder and imports upwards", () => {
  assert.deepEqual(readdirSync(at("js")).toSorted(), FOLDERS.toSorted());
  for (const [name, text] of scripts) {
    const own = FOLDERS.indexOf(name.split("/")[1]);
    // Types are imported in comments.
    const code = text.replace(/\/\*\*[\s\S]*?\*\//g, "");
    for (const [, specifier] of code.matchAll(/(?:^(?:import\b.*|\} )from |import\()"([^"]+)"/gm)) {
      const folder = /^\.\.\/(\w+)\/\w+\.js$/.exec(specifier)?.[1];
      assert.ok(folder ? FOLDERS.indexOf(folder) < own : /^\.\/\w+\.js$/.test(specifier), `${name} imports ${specifier}`);
    }
  }
});

test("state is written by the functions of its folder alone", () => {
  for (const [name, text] of scripts) {
    if (!name.startsWith("js/state/")) assert.doesNotMatch(text, WRITES, name);
  }
});
