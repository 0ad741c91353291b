/**
 * What happens now: a tail that can be paused.
 *
 * The rules are:
 * - the newest is on top, and only so many are kept;
 * - what comes is drawn a few times a second, however much comes;
 * - while it is paused nothing moves, and what came is counted;
 * - what was left out is said.
 */

import { useEffect, useRef, useState } from "preact/hooks";
import { query, read } from "./api.js";
import { withoutSubject } from "./codes.js";
import { All, html } from "./html.js";
import { Name, Outside, visible } from "./outside.js";
import { Badge, DeviceLink, Heading } from "./parts.js";
import { Table } from "./table.js";
import { clock, counted, secondsOf } from "./words.js";

const KINDS = {
  accepted: "",
  rejected: "bad",
  delivered: "good",
  retried: "warn",
  dead_lettered: "bad",
  command: "",
};

/** Rows that are kept. */
const KEPT_MAX = 200;

/** Most items a second that are asked for. */
const ITEMS_A_SECOND = 50;

const DRAW_MS = 200;

/** How long until a stream that was refused is asked for again. */
const AGAIN_MS = 10_000;

/** The tail. */
export function Live() {
  const [device, setDevice] = useState("");
  const [typed, setTyped] = useState("");
  const [hidden, setHidden] = useState([]);
  const { rows, state, held, isPaused, setPaused, clear } = useTail(device);
  const shown = rows.filter(({ kind }) => !hidden.includes(kind));
  const toggle = (kind) =>
    setHidden(hidden.includes(kind) ? hidden.filter((one) => one !== kind) : [...hidden, kind]);
  return html`
    <${All}>
      <${Heading} title="Live">What happens now?<//>
      <form class="row filters" onSubmit=${(event) => {
        event.preventDefault();
        setDevice(typed.trim());
      }}>
        <button type="button" class="primary"
          onClick=${() => setPaused(!isPaused)}>${isPaused ? "Go on" : "Pause"}</button>
        <button type="button" onClick=${clear}>Clear</button>
        <label>Only the device <input type="text" value=${typed} maxlength="64" autocomplete="off"
          spellcheck=${false} onInput=${({ target }) => setTyped(target.value)} /></label>
        <button type="submit">Follow</button>
        <fieldset class="choices"><legend class="silent">What is shown</legend>
          ${Object.keys(KINDS).map((kind) =>
            html`
              <label key=${kind}><input type="checkbox" checked=${!hidden.includes(kind)}
                onChange=${() => toggle(kind)} /><span>${wordOf(kind)}</span></label>
            `
          )}
        </fieldset>
      </form>
      <p class="muted" role="status">${sentenceOf(state, isPaused, held)}</p>
      <${Table} caption="What happened, newest first" columns=${COLUMNS} rows=${shown}
        keyOf=${({ n }) => n} look="feed" empty=${rows.length === 0
          ? "Nothing yet"
          : "Nothing of what is shown"} />
    <//>
  `;
}

function sentenceOf(state, isPaused, held) {
  if (isPaused) return `Paused; ${counted(held, "event")} since`;
  return state;
}

function wordOf(kind) {
  return kind.replace("_", " ");
}

const COLUMNS = [
  { key: "time", label: "Time", cell: ({ at }) => html`<span class="clock">${clock(at)}</span>` },
  {
    ...{ key: "kind", label: "What" },
    cell: ({ kind }) => html`<${Badge} grade=${KINDS[kind] ?? ""}>${wordOf(kind)}<//>`,
  },
  {
    ...{ key: "device", label: "Device" },
    cell: ({ device_id: id }) => id === undefined ? "" : html`<${DeviceLink} id=${id} />`,
  },
  { key: "detail", label: "Detail", isLong: true, cell: (row) => html`<${Detail} of=${row} />` },
];

function Detail({ of }) {
  const { code, reason, state, delivery, key, message_id: messageId, late_seconds: late, text } =
    of;
  const parts = [
    text,
    code && html`<code>${code}</code>`,
    reason && html`<${Outside} text=${withoutSubject(reason)} />`,
    state ?? delivery,
    key && html`by key <${Name} text=${key} />`,
    late !== undefined && late !== null && `${late} s late`,
    messageId && html`<code class="id"><${Name} text=${messageId} /></code>`,
  ].filter((part) => part);
  return html`<span class="details">${
    parts.map((part, i) => html`<span key=${i}>${part}</span>`)
  }</span>`;
}

/** Follows the stream; the browser asks again by itself, from where it was. */
function useTail(device) {
  const [rows, setRows] = useState([]);
  const [state, setState] = useState("Connecting…");
  const [isPaused, setPaused] = useState(false);
  const [held, setHeld] = useState(0);
  const paused = useRef(false);
  const count = useRef(0);
  paused.current = isPaused;
  useEffect(() => {
    let come = [];
    const take = (kind, item) => {
      come.push({
        ...item,
        kind,
        at: secondsOf(item.time) ?? Date.now() / 1000,
        n: ++count.current,
      });
      if (come.length > KEPT_MAX) come = come.slice(-KEPT_MAX);
      if (paused.current) setHeld((held) => held + 1);
    };
    const timer = setInterval(() => {
      if (come.length === 0 || paused.current) return;
      const news = come.toReversed();
      come = [];
      setRows((rows) => [...news, ...rows].slice(0, KEPT_MAX));
    }, DRAW_MS);
    const stop = follow(device, { take, say: setState });
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [device]);
  useEffect(() => setHeld(0), [isPaused]);
  return { rows, state, held, isPaused, setPaused, clear: () => setRows([]) };
}

function follow(device, { take, say }) {
  let timer;
  let source = open();
  function open() {
    return streamOf(device, {
      take,
      say,
      again: () => timer = setTimeout(() => source = open(), AGAIN_MS),
    });
  }
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

/** One stream; if the gateway refuses it, it says why and may be tried `again`. */
function streamOf(device, { take, say, again }) {
  const source = new EventSource(`/ui/api/events${query({ device, limit: ITEMS_A_SECOND })}`);
  source.onopen = () =>
    say(device === "" ? "Following all devices" : `Following ${visible(device)}`);
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return say("Not connected; asking again…");
    try {
      // Leads to the log-in if the session is over.
      await read(device === "" ? "devices?limit=1" : `devices/${encodeURIComponent(device)}`);
    } catch (fault) {
      if (fault.problem === "unknown-device") return say(`There is no device ${visible(device)}`);
    }
    say("Not connected, perhaps since too many look at once; asking again…");
    again();
  };
  for (const kind of Object.keys(KINDS)) {
    source.addEventListener(kind, ({ data }) => take(kind, JSON.parse(data)));
  }
  source.addEventListener("omitted", ({ data }) => {
    const { count, kinds } = JSON.parse(data);
    const each = Object.entries(kinds ?? {}).map(([kind, count]) => `${wordOf(kind)} ${count}`);
    take("omitted", { text: [`${counted(count, "event")} more`, ...each].join(", ") });
  });
  return source;
}
