/** Who is in trouble? All devices, sorted and filtered by the gateway. */

import { useEffect, useState } from "preact/hooks";
import { query } from "./api.js";
import { All, html } from "./html.js";
import { Ago, Badge, DeviceLink, Heading, Loaded, ShellCommand, Until } from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { counted, number } from "./words.js";

const FILTERS = {
  "": "All",
  silent: "Silent",
  backlog: "Backlog",
  rejected: "Rejected",
  expiring: "Expiring",
  revoked: "Revoked",
};

/** How long a device may be silent. */
const SILENCES = { 300: "5 minutes", 3600: "1 hour", 86400: "1 day", 604800: "7 days" };

/** How long to wait for the next letter, milliseconds. */
const TYPING_MS = 150;

/** The devices; what is looked for stands in the address, so that the way back leads to the same. */
export function Devices() {
  const [first] = useState(() => new URLSearchParams(location.hash.split("?")[1]));
  const [filter, setFilter] = useState(first.get("filter") ?? "");
  const [silentAfter, setSilentAfter] = useState(first.get("silent_after") ?? "3600");
  const [q, setQ] = useTyped(first.get("q") ?? "");
  const [order, setOrder] = useState({
    by: first.get("sort") ?? "id",
    isDown: first.get("order") === "desc",
  });
  const selected = {
    ...{ filter, q: q.settled, sort: order.by, order: order.isDown ? "desc" : "asc" },
    silent_after: filter === "silent" ? silentAfter : undefined,
  };
  const selection = query(selected);
  useEffect(() => history.replaceState(null, "", `#devices${selection}`), [selection]);
  const { list: devices, pages } = useList("devices", selected, { seconds: 10 });
  const choose = (by, isDown) => setOrder({ by, isDown });
  return html`
    <${All}>
      <${Heading} title="Devices">Who is in trouble?<//>
      <form class="row filters" role="search" onSubmit=${(event) => event.preventDefault()}>
        <label>Find <input type="search" value=${q.text} placeholder="part of an id" maxlength="64"
          autocomplete="off" spellcheck=${false} onInput=${({ target }) =>
            setQ(target.value)} /></label>
        <fieldset class="choices"><legend class="silent">Which devices</legend>
          ${Object.entries(FILTERS).map(([value, label]) =>
            html`
              <label key=${value}><input type="radio" name="filter" value=${value}
                checked=${filter === value} onChange=${() =>
                  setFilter(value)} /><span>${label}</span></label>
            `
          )}
        </fieldset>
        ${filter === "silent" && html`
          <label>for <select value=${silentAfter} onChange=${({ target }) =>
            setSilentAfter(target.value)}>
            ${Object.entries(SILENCES).map(([seconds, text]) =>
              html`<option key=${seconds} value=${seconds}>${text}</option>`
            )}
          </select></label>
        `}
      </form>
      <${Loaded} of=${devices}>${(value) =>
        html`
          <${List} of=${value} isAll=${filter === "" && q.settled === ""} order=${{
            ...order,
            choose,
          }} pages=${pages} />
        `}<//>
      <details class="how"><summary>How to add a device</summary>
        <${ShellCommand} label="On the gateway's machine:" text="secure-iot-gateway device add sensor_001" />
      </details>
    <//>
  `;
}

function List({ of: { devices, next, total, as_of: now }, isAll, order, pages }) {
  return html`
    <${Table} caption=${`${counted(total, "device")}`} columns=${columnsAt(now)} rows=${devices}
      keyOf=${({ device_id }) => device_id} order=${order} empty=${total === 0 && isAll
        ? "No device is registered"
        : "No such device"} />
    <${Pager} pages=${pages} next=${next} total=${total} shown=${devices.length} />
  `;
}

function columnsAt(now) {
  return [
    {
      ...{ key: "id", label: "Device", sort: "id" },
      cell: ({ device_id }) => html`<${DeviceLink} id=${device_id} />`,
    },
    { key: "status", label: "Status", cell: (device) => html`<${DeviceBadges} of=${device} />` },
    {
      ...{ key: "last", label: "Last message", sort: "last_message" },
      cell: ({ last_message }) => html`<${Ago} at=${last_message} now=${now} />`,
    },
    {
      ...{ key: "waiting", label: "Waiting", sort: "waiting", isNumber: true },
      cell: ({ waiting }) => number(waiting),
    },
    {
      ...{ key: "rejected", label: "Rejected, 24 h", sort: "rejected", isNumber: true },
      cell: ({ rejected, last_rejection: last }) =>
        html`${last && html`<small class="muted">${last.code}</small>`}${" "}${number(rejected)}`,
    },
    {
      ...{ key: "expires", label: "Certificate ends", sort: "expires" },
      cell: ({ expires }) => html`<${Until} at=${expires} now=${now} />`,
    },
  ];
}

/** A device's status, and if it holds something up. */
export function DeviceBadges({ of: { status, stuck } }) {
  const grade = status === "active" ? "good" : "bad";
  const held = stuck && html`<${Badge} grade="warn">stuck<//>`;
  return html`<${Badge} grade=${grade}>${status}<//>${" "}${held}`;
}

/** What is being typed, and what it was when no letter came for a moment. */
function useTyped(first) {
  const [text, setText] = useState(first);
  const [settled, setSettled] = useState(first);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return [{ text, settled }, setText];
}
