/** What waits for the backend: the front of each device's lane that was tried. */

import { change } from "./api.js";
import { All, html } from "./html.js";
import { Outside, visible } from "./outside.js";
import { AskingButton, Badge, DeviceLink, Heading, Loaded, useOutcome } from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { duration, number } from "./words.js";

/** How long until a lane has gone on, milliseconds. */
const LANE_MS = 1_200;

/** The lanes of `device`, or of all. */
export function Waiting({ device, mayOperate }) {
  const { list: entries, pages } = useList("outbox", { device }, { seconds: 5 });
  const { attempt, shown } = useOutcome();
  const refreshSoon = () => {
    entries.refresh();
    setTimeout(entries.refresh, LANE_MS); // the lane goes on a moment later
  };
  const drop = async (sequence) => {
    const say = ({ dead_letter: letter }) =>
      `Entry ${sequence} is the dead letter ${letter} now; the device's next one goes`;
    if (await attempt(async () => say(await change(`outbox/${sequence}/drop`)))) refreshSoon();
  };
  return html`
    <${All}>
      <${Heading}
        title="Waiting">What was tried and waits for the backend? The stuck first, then the oldest.<//>
      ${device !== undefined && html`
        <p>Only of <${DeviceLink} id=${device} />: <a href="#waiting">show all</a></p>
      `}
      ${shown}
      <${Loaded} of=${entries}>${(value) =>
        html`
          <${Table} caption="What is in front of each device's lane" columns=${columns({
            drop,
            mayOperate,
          })}
            rows=${value.entries} keyOf=${({ sequence }) => sequence}
            empty="Nothing that was tried waits for the backend" />
          <${Pager} pages=${pages} next=${value.next} shown=${value.entries.length} />
        `}<//>
    <//>
  `;
}

function columns({ drop, mayOperate }) {
  const all = [
    {
      key: "device",
      label: "Device",
      cell: ({ device_id }) => html`<${DeviceLink} id=${device_id} />`,
    },
    {
      ...{ key: "age", label: "Waits for", isNumber: true },
      cell: ({ age_seconds: age, stuck }) =>
        html`${stuck && html`<${Badge} grade="warn">stuck<//>`}${" "}${duration(age)}`,
    },
    { key: "tries", label: "Tries", isNumber: true, cell: ({ tries }) => number(tries) },
    {
      key: "waiting",
      label: "In its lane",
      isNumber: true,
      cell: ({ waiting }) => number(waiting),
    },
    {
      ...{ key: "reason", label: "Last answer", isLong: true },
      cell: ({ reason, command_state: state }) =>
        html`${state && `callback “${state}”: `}<${Outside} text=${reason ?? ""} />`,
    },
    {
      key: "sequence",
      label: "Sequence",
      isNumber: true,
      cell: ({ sequence }) => String(sequence),
    },
    mayOperate && {
      ...{ key: "drop", label: "Skip", isQuiet: true },
      cell: ({ sequence, device_id: id }) =>
        html`
          <${AskingButton} label="Skip" name=${`Skip entry ${sequence}`} yes="Skip it"
            question=${`Skip entry ${sequence} of ${
              visible(id)
            }? It becomes a dead letter, to retry later.`}
            onYes=${() => drop(sequence)} />
        `,
    },
  ];
  return all.filter((column) => column);
}
