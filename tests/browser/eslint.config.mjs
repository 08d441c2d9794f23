// The linter's rules for the page's scripts and their tests: what is recommended, and a few that keep them plain.

import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: { ...globals.browser } },
    rules: {
      "no-control-regex": "off",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-var": "error",
      "prefer-const": "error",
      "max-lines": ["error", 400],
    },
  },
  // Tests run in Node.js, with functions that they pass to the browser.
  { files: ["tests/**/*.mjs"], languageOptions: { globals: { ...globals.node, ...globals.serviceworker } } },
];
