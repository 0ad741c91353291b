/** What was refused? Each device's rejections of the last day, by code. */

import { useState } from "preact/hooks";
import { CODES, colorOf } from "./codes.js";
import { All, html } from "./html.js";
import { Ago, DeviceLink, Heading, Loaded } from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { number } from "./words.js";

/** Stands for devices that are too many to count apart. */
const OTHERS = "*";

/** The rejections. */
export function Rejections() {
  const [code, setCode] = useState("");
  const { list: rejections, pages } = useList("rejections", { code }, { seconds: 10 });
  return html`
    <${All}>
      <${Heading} title="Rejections">What was refused in the last day, of whom and why?<//>
      <form class="row filters" onSubmit=${(event) => event.preventDefault()}>
        <label>Code <select value=${code} onChange=${({ target }) => setCode(target.value)}>
          <option value="">all</option>
          ${Object.keys(CODES).map((name) =>
            html`<option key=${name} value=${name}>${name}</option>`
          )}
        </select></label>
      </form>
      <${Loaded} of=${rejections}>${(value) =>
        html`
          <${Codes} of=${value.codes} />
          <${Table} caption="Rejections by device and code, most first" columns=${columnsAt(
            rejections.askedAt,
          )}
            rows=${value.rejections} keyOf=${({ device_id, code }) => `${device_id} ${code}`}
            empty="Nothing was refused" />
          <${Pager} pages=${pages} next=${value.next} shown=${value.rejections.length} />
        `}<//>
    <//>
  `;
}

function Codes({ of }) {
  const found = Object.keys(CODES).filter((code) => of[code] > 0);
  return html`
    <dl class="codes">
      ${found.map((code) =>
        html`
          <div key=${code}>
            <dt><span class=${`swatch ${
              colorOf(code)
            }`} aria-hidden="true"></span><code>${code}</code>${" "}<strong>${number(
              of[code],
            )}</strong></dt>
            <dd>${CODES[code].says}. <span class="muted">Usually: ${CODES[code]
              .usually}.</span></dd>
          </div>
        `
      )}
    </dl>
  `;
}

function columnsAt(now) {
  return [
    {
      ...{ key: "device", label: "Device" },
      cell: ({ device_id: id }) =>
        id === OTHERS ? html`<em>others</em>` : html`<${DeviceLink} id=${id} />`,
    },
    { key: "code", label: "Code", cell: ({ code }) => html`<code>${code}</code>` },
    { key: "count", label: "Count", isNumber: true, cell: ({ count }) => number(count) },
    { key: "first", label: "First", cell: ({ first }) => html`<${Ago} at=${first} now=${now} />` },
    { key: "last", label: "Last", cell: ({ last }) => html`<${Ago} at=${last} now=${now} />` },
  ];
}
