// The rules of the page's own code.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const at = (path) => new URL(`../../static/${path}`, import.meta.url);
const scripts = readdirSync(at("js/")).map((name) => [name, readFileSync(at(`js/${name}`), "utf8")]);
const styles = readdirSync(at("css/")).map((name) => [name, readFileSync(at(`css/${name}`), "utf8")]);

test("text never becomes markup or code", () => {
  const ways = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|\beval\b|new Function|setAttribute\("style"/;
  for (const [name, text] of scripts) assert.doesNotMatch(text, ways, name);
});

test("the page has no inline script or style, and names nothing outside its server", () => {
  const page = readFileSync(at("index.html"), "utf8");
  assert.doesNotMatch(page, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/);
  for (const [name, text] of [["index.html", page], ...styles]) assert.doesNotMatch(text, /https?:\/\/|url\(/, name);
});

test("a style that follows the system's theme says both colours", () => {
  for (const [name, text] of styles) assert.doesNotMatch(text.replace(/^ {2}--.*$/gm, ""), /#[0-9a-f]{3,8}\b/i, `${name}: a colour that is no variable`);
});

test("files stay short", () => {
  for (const [name, text] of [...scripts, ...styles]) assert.ok(text.split("\n").length <= 400, name);
});
