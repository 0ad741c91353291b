/**
 * What a browser gets: the page's own files, and the two packages that it is made with, as text in the
 * program. They are served as they are here; nothing is built.
 *
 * The page's modules name packages as everywhere else (`from "preact"`), so that they can be checked and
 * tested; a browser is told where these are.
 */

import api from "./assets/api.js" with { type: "text" };
import app from "./assets/app.js" with { type: "text" };
import chart from "./assets/chart.js" with { type: "text" };
import codes from "./assets/codes.js" with { type: "text" };
import commands from "./assets/commands.js" with { type: "text" };
import dead from "./assets/dead.js" with { type: "text" };
import device from "./assets/device.js" with { type: "text" };
import devices from "./assets/devices.js" with { type: "text" };
import expiries from "./assets/expiries.js" with { type: "text" };
import flow from "./assets/flow.js" with { type: "text" };
import html from "./assets/html.js" with { type: "text" };
import live from "./assets/live.js" with { type: "text" };
import login from "./assets/login.js" with { type: "text" };
import outside from "./assets/outside.js" with { type: "text" };
import overview from "./assets/overview.js" with { type: "text" };
import pages from "./assets/pages.js" with { type: "text" };
import parts from "./assets/parts.js" with { type: "text" };
import rejections from "./assets/rejections.js" with { type: "text" };
import table from "./assets/table.js" with { type: "text" };
import waiting from "./assets/waiting.js" with { type: "text" };
import words from "./assets/words.js" with { type: "text" };
import icon from "./assets/icon.svg" with { type: "text" };
import index from "./assets/index.html" with { type: "text" };
import pageCss from "./assets/page.css" with { type: "text" };
import partsCss from "./assets/parts.css" with { type: "text" };
import htmPackage from "htm" with { type: "text" };
import preactPackage from "preact" with { type: "text" };
import hooksPackage from "preact/hooks" with { type: "text" };

/** One file: its text, and its content type. */
type Asset = readonly [text: string, contentType: string];

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const SVG = "image/svg+xml";
const SCRIPT = "text/javascript; charset=utf-8";

/** Where a browser finds each package. */
const PACKAGES: Readonly<Record<string, readonly [name: string, text: string]>> = {
  preact: ["vendor/preact.js", preactPackage],
  "preact/hooks": ["vendor/preact_hooks.js", hooksPackage],
  htm: ["vendor/htm.js", htmPackage],
};

/** The page's own modules, by name. */
const MODULES: Readonly<Record<string, string>> = {
  api,
  app,
  chart,
  codes,
  commands,
  dead,
  device,
  devices,
  expiries,
  flow,
  html,
  live,
  login,
  outside,
  overview,
  pages,
  parts,
  rejections,
  table,
  waiting,
  words,
};

/** The page itself. */
export const INDEX = "index.html";

/** Each file by its name below /ui/assets/: its text, and its content type. */
export const ASSETS: Readonly<Record<string, Asset>> = {
  [INDEX]: [withPreloads(index), HTML],
  "page.css": [pageCss, CSS],
  "parts.css": [partsCss, CSS],
  "icon.svg": [icon, SVG],
  ...Object.fromEntries(scripts()),
};

/** Every module of the page and of the packages. */
function scripts(): [name: string, Asset][] {
  const own = Object.entries(MODULES).map(([name, text]) => [`${name}.js`, text] as const);
  return [...own, ...Object.values(PACKAGES)].map(([name, text]) => [name, [served(text), SCRIPT]]);
}

/** With addresses in place of the packages' names, and no hint at a source map that is not served. */
function served(text: string): string {
  return text
    .replaceAll(/\bfrom\s*"([a-z/]+)"/g, (whole, name) => {
      const found = PACKAGES[name]?.[0];
      return found === undefined ? whole : `from"/ui/assets/${found}"`;
    })
    .replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

/** All modules are asked for at once, not each when another one names it. */
function withPreloads(html: string): string {
  const links = scripts().map(([name]) => `<link rel="modulepreload" href="/ui/assets/${name}">`);
  return html.replace("<!-- modulepreload -->", links.join("\n    "));
}
