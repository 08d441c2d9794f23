// Draws the icons of the installed page from static/icon.svg: `make icons`. A test holds those that are there to it.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { closeBrowser, launch } from "./support.mjs";

const icons = fileURLToPath(new URL("../../static/icons/", import.meta.url));
const logo = readFileSync(new URL("../../static/icon.svg", import.meta.url), "utf8");
const [, ground] = /fill="(#[0-9a-f]{6})"/.exec(logo);
// The part of a maskable icon that no system cuts off.
const SAFE = 0.8;

/** The icons: their size in pixels, the drawing, its part of the square, and whether the ground fills all of it. */
export const ICONS = {
  "icon-192.png": { size: 192, svg: logo },
  "icon-512.png": { size: 512, svg: logo },
  "maskable-512.png": { size: 512, svg: logo, part: SAFE, filled: true },
  "apple-touch-icon.png": { size: 180, svg: logo, part: 0.9, filled: true },
  // Systems show its shape alone.
  "badge-96.png": { size: 96, svg: logo.replace(/<rect[^>]*>/, ""), part: 1.4 },
};

/** Draws one as a PNG. */
export async function draw({ size, svg, part = 1, filled = false }) {
  const context = await (await launch()).newContext({ viewport: { width: size, height: size } });
  const page = await context.newPage();
  const image = `data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}`;
  const style = `margin: 0; background: ${filled ? ground : "transparent"} url(${image}) center / ${100 * part}% no-repeat; height: 100vh`;
  await page.setContent(`<body style="${style}">`);
  await page.evaluate(async (src) => {
    const picture = new Image();
    picture.src = src;
    await picture.decode();
  }, image);
  const png = await page.screenshot({ omitBackground: true });
  await context.close();
  return png;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, icon] of Object.entries(ICONS)) writeFileSync(`${icons}${name}`, await draw(icon));
  await closeBrowser();
}
