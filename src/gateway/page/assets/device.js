/** One device: what it does, why it is refused, what it was asked, what it has. */

import { useState } from "preact/hooks";
import { read, useApi } from "./api.js";
import { CODES, withoutSubject } from "./codes.js";
import { CommandList } from "./commands.js";
import { DeviceBadges } from "./devices.js";
import { All, html } from "./html.js";
import { Name, Outside, Whole } from "./outside.js";
import { Ago, Heading, Loaded, ShellCommand, Until } from "./parts.js";
import { Table } from "./table.js";
import { counted, dateTime, number } from "./words.js";

/** How long to wait before an explanation is asked for again, milliseconds. */
const BUSY_MS = 1_100;
const BUSY_TRIES = 5;

/** The page of a device. */
export function Device({ id, mayOperate }) {
  const path = `devices/${encodeURIComponent(id)}`;
  const device = useApi(path, { seconds: 10 });
  if (device.fault?.problem === "unknown-device") return html`<${Unknown} id=${id} />`;
  return html`
    <${All}>
      <p class="back"><a href="#devices">All devices</a></p>
      <${Heading} title=${id}>What does it do, and what is wrong with it?<//>
      <${Loaded} of=${device}>${(value) =>
        html`
          <${Facts} of=${value} now=${device.askedAt} />
          <h2>Rejected since the gateway started</h2>
          <${Rejections} path=${path} of=${value.rejections} now=${device.askedAt} />
        `}<//>
      <h2>Commands</h2>
      <${CommandList} device=${id} mayOperate=${mayOperate} />
      <${Loaded} of=${device}>${(value) =>
        html`
          <h2>Secrets in use</h2>
          <${Secrets} of=${value.secrets} now=${device.askedAt} />
          <h2>Certificates</h2>
          <${Certificates} of=${value.certificates} now=${device.askedAt} />
          <h2>To change it</h2>
          <${Changes} of=${value} />
        `}<//>
    <//>
  `;
}

/** Not registered, or not for this key. */
function Unknown({ id }) {
  return html`
    <${All}>
      <p class="back"><a href="#devices">All devices</a></p>
      <${Heading} title=${id}>It is not registered, or not among the devices of this key.<//>
      <p>Whatever comes in its name is refused.</p>
    <//>
  `;
}

function Facts({ of, now }) {
  return html`
    <dl class="pairs">
      <div><dt>Status</dt><dd><${DeviceBadges} of=${of} /></dd></div>
      <div><dt>Last message</dt><dd><${Ago} at=${of.last_message} now=${now} /></dd></div>
      <div><dt>Waiting</dt><dd>${of.waiting > 0
        ? html`<a href=${`#waiting/${encodeURIComponent(of.device_id)}`}>${number(of.waiting)}</a>`
        : "0"}</dd></div>
      <div><dt>Rejected, 24 h</dt><dd>${number(of.rejected)}</dd></div>
      <div><dt>Added</dt><dd>${of.created === null ? "not known" : dateTime(of.created)}</dd></div>
      <div><dt>Certificate ends</dt><dd><${Until} at=${of.expires} now=${now} /></dd></div>
      ${of.revoked_at !== null && html`
        <div>
          <dt>Revoked</dt>
          <dd>${dateTime(of.revoked_at)}${of.revoked_reason &&
            html`: <${Outside} text=${of.revoked_reason} />`}</dd>
        </div>
      `}
      ${of.damage && html`
        <div>
          <dt>Damaged</dt>
          <dd class="bad">
            <${Outside} text=${of.damage} />
          </dd>
        </div>
      `}
      <div><dt>Dead letters</dt><dd><a href=${`#dead/${
        encodeURIComponent(of.device_id)
      }`}>see them</a></dd></div>
    </dl>
  `;
}

function Rejections({ path, of, now }) {
  const columns = [
    { key: "at", label: "When", cell: ({ at }) => html`<${Ago} at=${at} now=${now} />` },
    { key: "code", label: "Code", cell: ({ code }) => html`<code>${code}</code>` },
    {
      key: "reason",
      label: "Reason",
      isLong: true,
      cell: ({ reason }) => html`<${Outside} text=${withoutSubject(reason)} />`,
    },
    { key: "count", label: "Count", isNumber: true, cell: ({ count }) => number(count) },
    {
      ...{ key: "why", label: "Likely mistake", isLong: true },
      cell: (rejection) => html`<${Explanation} path=${path} of=${rejection} />`,
    },
  ];
  return html`
    <${Table} caption="Last rejections, newest first" columns=${columns} rows=${of}
      keyOf=${({ id }) => id} empty="Nothing was rejected" />
  `;
}

/** What the code usually comes from; and, looked for on demand, what it is here. */
function Explanation({ path, of }) {
  const [found, setFound] = useState();
  const usually = CODES[of.code]?.usually ?? "";
  const explain = async () => {
    setFound("busy");
    try {
      setFound(await patient(() => read(`${path}/rejections/${encodeURIComponent(of.id)}`)));
    } catch (fault) {
      setFound({ fault: fault.message });
    }
  };
  if (found === undefined || found === "busy") {
    return html`<p>Usually: ${usually}</p>${
      of.has_message && html`
        <button type="button" disabled=${found === "busy"} onClick=${explain}>${found === "busy"
          ? "Looking…"
          : "Explain this one"}</button>
      `
    }`;
  }
  return html`<div role="status">
    ${found.fault && html`<p class="bad">${found.fault}</p>`}
    ${
    found.likely?.map((text) =>
      html`<p key=${text}><strong><${Outside} text=${text} max=${600} /></strong></p>`
    )
  }
    ${found.likely?.length === 0 && html`<p>Usually: ${usually}. Nothing more exact was found.</p>`}
    <${Message} of=${found} />
  </div>`;
}

function Message({ of: { message, message_base64: base64 } }) {
  const text = message ?? base64;
  if (text === null || text === undefined) return "";
  return html`
    <details>
      <summary>The message${message === null ? ", base64" : ""}</summary>
      <${Whole} text=${text} label="The message that was refused" />
    </details>
  `;
}

/** Asks again while another explanation is being looked for. */
async function patient(work) {
  for (let tries = 1;; tries++) {
    try {
      return await work();
    } catch (fault) {
      if (fault.problem !== "busy" || tries === BUSY_TRIES) throw fault;
      await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
    }
  }
}

function Secrets({ of, now }) {
  const columns = [
    { key: "generation", label: "Number", cell: ({ generation }) => String(generation) },
    {
      key: "used",
      label: "Last used",
      cell: ({ last_used }) => html`<${Ago} at=${last_used} now=${now} />`,
    },
    {
      ...{ key: "until", label: "Valid until" },
      cell: ({ until }) => html`<${Until} at=${until} now=${now} none="in use" soonSeconds=${0} />`,
    },
  ];
  return html`
    <${Table} caption="Secrets, the newest first; never their text" columns=${columns}
      rows=${of}
      keyOf=${({ generation }) => generation} empty="It has none" />
  `;
}

function Certificates({ of, now }) {
  const columns = [
    {
      key: "serial",
      label: "Serial number",
      cell: ({ serial }) => html`<code><${Name} text=${serial} /></code>`,
    },
    {
      key: "from",
      label: "Valid from",
      cell: ({ not_before: from }) => from === null ? "–" : dateTime(from),
    },
    {
      key: "to",
      label: "Ends",
      cell: ({ not_after: to }) => html`<${Until} at=${to} now=${now} />`,
    },
  ];
  return html`
    <${Table} caption=${counted(of.length, "certificate")} columns=${columns} rows=${of}
      keyOf=${({ serial }) => serial} empty="None is known" />
  `;
}

function Changes({ of: { device_id: id, status } }) {
  return html`
    <p class="muted">This page cannot: it holds no key that signs. On the gateway's machine, in the
      site's folder or with <code>--dir</code>:</p>
    <${ShellCommand} label="A new secret:" text=${`secure-iot-gateway device rotate ${id} --secret`} />
    <${ShellCommand} label="A new certificate:" text=${`secure-iot-gateway device rotate ${id} --certificate`} />
    ${status === "revoked"
      ? html`<${ShellCommand} label="Take the revocation back:" text=${`secure-iot-gateway device restore ${id}`} />`
      : html`<${ShellCommand} label="Revoke it:" text=${`secure-iot-gateway device revoke ${id} --reason "…"`} />`}
  `;
}
