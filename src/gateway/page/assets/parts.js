/** What the sections are made of: headings, states, times, commands to copy, questions. */

import { useEffect, useRef, useState } from "preact/hooks";
import { All, html } from "./html.js";
import { Name, visible } from "./outside.js";
import { ago, clock, dateTime, until } from "./words.js";

/** A section's heading. */
export function Heading({ title, children }) {
  useEffect(() => {
    document.title = `${visible(title)} · SecureIoTGateway`;
  }, [title]);
  return html`
    <header class="heading">
      <h1 tabindex="-1">
        <${Name} text=${title} />
      </h1>
      <p class="muted">${children}</p>
    </header>
  `;
}

/** What `useApi` has: nothing yet, an old answer, or the answer. */
export function Loaded({ of: { value, fault, askedAt }, children }) {
  if (value === undefined) {
    return fault === undefined
      ? html`<p class="muted" role="status">Loading…</p>`
      : html`<p class="notice bad" role="alert">${fault.message}</p>`;
  }
  return html`
    <${All}>
      ${fault &&
        html`<p class="notice bad" role="alert">${fault.message}: this is from ${
          clock(askedAt)
        }</p>`}
      ${children(value)}
    <//>
  `;
}

/** How long ago, with the time itself at hand. */
export function Ago({ at, now, none = "never" }) {
  if (at === null || at === undefined) return html`<span class="muted">${none}</span>`;
  return html`
    <time datetime=${iso(at)} title=${dateTime(at)}>${ago(at, now)}</time>
  `;
}

/** How long until; what is near or over stands out. */
export function Until({ at, now, none = "–", soonSeconds = 30 * 86_400 }) {
  if (at === null || at === undefined) return html`<span class="muted">${none}</span>`;
  const grade = at <= now ? "bad" : at - now < soonSeconds ? "warn" : "";
  const text = at <= now ? `ended ${until(at, now)}` : until(at, now);
  return html`
    <time class=${grade} datetime=${iso(at)} title=${dateTime(at)}>${text}</time>
  `;
}

function iso(seconds) {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** A word in a coloured frame; `grade` is good, warn, bad or nothing. */
export function Badge({ grade = "", children }) {
  return html`<span class=${`badge ${grade}`}>${children}</span>`;
}

/** A device's id, as the way to its page. */
export function DeviceLink({ id }) {
  return html`<a href=${`#devices/${encodeURIComponent(id)}`}><${Name} text=${id} /></a>`;
}

/** A command for the operator's shell, to copy. */
export function ShellCommand({ label, text }) {
  const [copied, setCopied] = useState("");
  const code = useRef();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied("Copied");
    } catch {
      getSelection().selectAllChildren(code.current);
      setCopied("Selected: copy it with the keyboard");
    }
  };
  return html`
    <div class="shell">
      <p>${label}</p>
      <div class="row">
        <code ref=${code} tabindex="0" role="group" aria-label=${`Command: ${label}`}>${text}</code>
        <button type="button" onClick=${copy} aria-label=${`Copy: ${label}`}>Copy</button>
      </div>
      <p class="muted" role="status">${copied}</p>
    </div>
  `;
}

/** A button that asks before it does what cannot be undone. */
export function AskingButton({ label, name = label, question, yes, onYes, grade = "danger" }) {
  const dialog = useRef();
  const close = () => dialog.current.close();
  const act = () => {
    close();
    onYes();
  };
  return html`
    <${All}>
      <button type="button" class=${grade} aria-label=${name} aria-haspopup="dialog"
        onClick=${() => dialog.current.showModal()}>${label}</button>
      <dialog ref=${dialog} aria-label=${name}>
        <p>${question}</p>
        <div class="row end">
          <button type="button" onClick=${close}>Keep</button>
          <button type="button" class=${grade}
            onClick=${act}>${yes}</button>
        </div>
      </dialog>
      <//>
  `;
}

/**
 * Says what came of a change, also to those who hear the page. It takes the focus, since the button that
 * had it may be gone with its row.
 */
export function useOutcome() {
  const [outcome, setOutcome] = useState();
  const notice = useRef();
  useEffect(() => outcome && notice.current.focus(), [outcome]);
  const attempt = async (work) => {
    try {
      setOutcome({ text: await work() });
      return true;
    } catch (fault) {
      setOutcome({ text: fault.message, isBad: true });
      return false;
    }
  };
  const shown = html`
    <p ref=${notice} tabindex="-1" class=${outcome
      ? `notice ${outcome.isBad ? "bad" : "good"}`
      : "silent"} role="status">
      ${outcome?.text}
    </p>
  `;
  return { attempt, shown };
}
