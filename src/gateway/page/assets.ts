/** The files of the page, as texts in the program itself: they are in its one file. */

import appScript from "./assets/app.js" with { type: "text" };
import style from "./assets/app.css" with { type: "text" };
import index from "./assets/index.html" with { type: "text" };

const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";

/** The page itself. */
export const INDEX = "index.html";

/** Each file by its name below /ui/assets/: its text, and its content type. */
export const ASSETS: Readonly<Record<string, readonly [text: string, type: string]>> = {
  [INDEX]: [index, "text/html; charset=utf-8"],
  "app.css": [style, STYLE],
  "app.js": [appScript, SCRIPT],
};
