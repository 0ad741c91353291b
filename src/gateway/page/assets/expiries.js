/** What ends? Certificates and lists, soonest first. */

import { All, html } from "./html.js";
import { Outside } from "./outside.js";
import { DeviceLink, Heading, Loaded, ShellCommand, Until } from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { date } from "./words.js";

/** The expiries. */
export function Expiries() {
  const { list: expiries, pages } = useList("expiries", {}, { seconds: 60 });
  return html`
    <${All}>
      <${Heading} title="Expiry">What ends? Certificates and revocation lists, soonest first.<//>
      <${Loaded} of=${expiries}>${(value) =>
        html`
          <${Table} caption="What ends, soonest first" columns=${columnsAt(expiries.askedAt)}
            rows=${value.expiries} keyOf=${({ kind, what }) =>
              `${kind} ${what}`} empty="Nothing is known to end" />
          <${Pager} pages=${pages} next=${value.next} shown=${value.expiries.length} />
        `}<//>
      <details class="how"><summary>How to renew</summary>
        <${ShellCommand} label="A device's certificate:" text="secure-iot-gateway device rotate sensor_001 --certificate" />
        <${ShellCommand} label="After a file was replaced:" text="systemctl reload secure-iot-gateway" />
      </details>
    <//>
  `;
}

function columnsAt(now) {
  return [
    {
      ...{ key: "what", label: "What" },
      cell: ({ kind, what }) =>
        kind === "device" ? html`<${DeviceLink} id=${what} />` : html`<${Outside} text=${what} />`,
    },
    {
      ...{ key: "kind", label: "Kind" },
      cell: ({ kind }) => kind === "device" ? "device certificate" : "gateway file",
    },
    {
      key: "expires",
      label: "Ends",
      cell: ({ expires }) => html`<${Until} at=${expires} now=${now} />`,
    },
    { key: "date", label: "On", cell: ({ expires }) => date(expires) },
  ];
}
