// Runs Lighthouse on the list and on a conversation, as a phone and as a desk, and prints a table: `make lighthouse`.
// It fails below the scores that the page is held to. The last column is Lighthouse's own measure of the machine's speed at
// that moment: performance is only comparable at like speeds, and a busy machine has low ones.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL, fileURLToPath } from "node:url";
import { at, Server } from "../browser/support.mjs";

const modules = createRequire(fileURLToPath(new URL("../../target/lighthouse/", import.meta.url)));
const imported = (name) => import(pathToFileURL(modules.resolve(name)));
const { default: lighthouse, desktopConfig } = await imported("lighthouse");
const { launch } = await imported("chrome-launcher");
const BROWSERS = [process.env.CHROMIUM_BIN, "chromium", "google-chrome"].filter(Boolean);
const CATEGORIES = ["performance", "accessibility", "best-practices"];
// The lowest scores of each category.
const FLOORS = { desktop: [99, 100, 100], mobile: [95, 100, 100] };
const MESSAGES = 20;
const WORKERS = 12;

function browserPath() {
  for (const name of BROWSERS) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // The next one.
    }
  }
  throw new Error(`no browser was found: ${BROWSERS.join(", ")}`);
}

const server = await Server.start();
const profile = mkdtempSync(join(tmpdir(), "lighthouse-"));
const chrome = await launch({ chromePath: browserPath(), userDataDir: profile, chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu"] });
let isLow = false;
try {
  const worker = await server.told("journal", ...Array.from({ length: MESSAGES }, (_, n) => `echo Answer **${n}** with \`code\`.`));
  for (let n = 1; n < WORKERS; n += 1) await server.worker(`worker ${n}`);
  console.log(`| page | as | ${CATEGORIES.join(" | ")} | first paint | largest paint | blocked | machine |\n| --- | --- | ${"---: | ".repeat(CATEGORIES.length + 4)}`);
  for (const [name, hash] of [["list", "#/"], ["conversation", at(worker)]]) {
    for (const [device, config] of [["mobile", undefined], ["desktop", desktopConfig]]) {
      const { lhr } = await lighthouse(`${server.url}/${hash}`, { port: chrome.port, onlyCategories: CATEGORIES, logLevel: "error" }, config);
      const scores = CATEGORIES.map((category) => Math.round(100 * lhr.categories[category].score));
      const times = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time"].map((id) => `${Math.round(lhr.audits[id].numericValue)} ms`);
      console.log(`| ${name} | ${device} | ${[...scores, ...times, Math.round(lhr.environment.benchmarkIndex)].join(" | ")} |`);
      isLow ||= scores.some((score, n) => score < FLOORS[device][n]);
      const counted = CATEGORIES.flatMap((category) => lhr.categories[category].auditRefs.filter(({ weight }) => weight > 0));
      for (const { id } of counted) {
        const { score, title, displayValue, details } = lhr.audits[id];
        if (score !== null && score < 0.9) console.error(`${name}, ${device}: ${title} (${displayValue ?? id}) ${JSON.stringify(details?.items?.slice(0, 3) ?? []).slice(0, 600)}`);
      }
    }
  }
} finally {
  await chrome.kill();
  await server.close();
  rmSync(profile, { recursive: true, force: true });
}
process.exitCode = isLow ? 1 : 0;
