/**
 * Text from outside: ids, reasons, payloads.
 *
 * The rules are:
 * - it is text, whatever it says, and in an element of its own, so that it turns no text around it;
 * - characters that cannot be seen, or that turn or hide others, are written out;
 * - what is long is clipped, and all of it can be seen.
 */

import { useState } from "preact/hooks";
import { html } from "./html.js";
import { number } from "./words.js";

/** Most characters in a line. */
const LINE_MAX = 160;

/** Also letters and marks that are blank, such as U+3164, and marks that pile up over other lines. */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?<=\p{M}{4})\p{M}/gu;
const BREAKS = /[\n\t]/;

/** The text with what cannot be seen written out: `\u202e`. Line breaks stay if `keepBreaks`. */
export function visible(text, { keepBreaks = false } = {}) {
  return String(text).replaceAll(UNSEEN, (found) => {
    if (keepBreaks && BREAKS.test(found)) return found;
    const code = found.codePointAt(0);
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** A short text, whole. */
export function Name({ text }) {
  return html`<bdi class="outside">${visible(text)}</bdi>`;
}

/** A text of any length: clipped, with a way to see all of it. */
export function Outside({ text, max = LINE_MAX }) {
  const [isWhole, setWhole] = useState(false);
  if (text.length <= max) return html`<${Name} text=${text} />`;
  const toggle = html`
    <button type="button" class="link" aria-expanded=${String(isWhole)}
      onClick=${() => setWhole(!isWhole)}>
      ${isWhole ? "Show less" : `Show all ${number(text.length)} characters`}
    </button>
  `;
  if (!isWhole) {
    return html`<span><${Name} text=${clipped(text, max)} />${" "}${toggle}</span>`;
  }
  return html`<div>${toggle}<${Whole} text=${text} /></div>`;
}

/** The beginning of a text; no character is cut in two. */
export function clipped(text, max) {
  const isWithin = (text.codePointAt(max - 1) ?? 0) > 0xffff;
  return `${text.slice(0, isWithin ? max - 1 : max)}…`;
}

/** A long text in a box that scrolls. */
export function Whole({ text, label = "The whole text" }) {
  return html`
    <pre class="whole" tabindex="0" role="group"
      aria-label=${label}><bdi class="outside">${visible(text, { keepBreaks: true })}</bdi></pre>
  `;
}
