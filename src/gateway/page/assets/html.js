/** Templates: `html` makes what preact shows. Text is always text: there is no way in for markup. */

import { Fragment, h } from "preact";
import htm from "htm";

/** A template tag. */
export const html = htm.bind(h);

/** Several elements without one around them. */
export const All = Fragment;
