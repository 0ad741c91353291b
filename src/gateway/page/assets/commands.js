/** What was asked of devices, and what became of it. */

import { useState } from "preact/hooks";
import { change } from "./api.js";
import { All, html } from "./html.js";
import { Name, Outside } from "./outside.js";
import {
  Ago,
  AskingButton,
  Badge,
  DeviceLink,
  Heading,
  Loaded,
  Until,
  useOutcome,
} from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { number } from "./words.js";

/** Each state: how it is shown, and what it says. */
const STATES = {
  waiting: ["warn", "on the disk; certainly not executed yet"],
  sent: ["", "a copy may be with the device; nobody knows more"],
  received: ["", "the device has it, and says so, signed"],
  running: ["", "the device does it, and says so, signed"],
  done: ["good", "the device did it, and says so, signed"],
  failed: ["bad", "the device tried and failed, and says so, signed"],
  refused: ["bad", "the device does not do it, and says so, signed"],
  expired: ["", "its time is over; never executed"],
  cancelled: ["", "somebody cancelled it; never executed"],
  unconfirmed: ["warn", "its time is over after it was sent; nobody knows if it was executed"],
};

const FINAL = ["done", "failed", "refused", "expired", "cancelled", "unconfirmed"];

/** The commands of all devices. */
export function Commands({ mayOperate }) {
  const [state, setState] = useState("");
  return html`
    <${All}>
      <${Heading} title="Commands">What was asked, and what became of it?<//>
      <form class="row filters" onSubmit=${(event) => event.preventDefault()}>
        <label>State <select value=${state} onChange=${({ target }) => setState(target.value)}>
          <option value="">all</option>
          ${Object.keys(STATES).map((name) =>
            html`<option key=${name} value=${name}>${name}</option>`
          )}
        </select></label>
      </form>
      <${CommandList} state=${state} mayOperate=${mayOperate} hasDevice />
      <${Meanings} />
    <//>
  `;
}

function Meanings() {
  return html`
    <details class="how">
      <summary>What the states mean</summary>
      <dl class="meanings">
        ${Object.entries(STATES).map(([name, [grade, says]]) =>
          html`
            <div key=${name}>
              <dt>
                <${Badge} grade=${grade}>${name}<//></dt>
              <dd>${says}</dd>
            </div>
          `
        )}
      </dl>
    </details>
  `;
}

/** Commands of one device or of all, newest first. */
export function CommandList({ device, state, mayOperate, hasDevice = false }) {
  const { list: commands, pages } = useList("commands", { device, state }, { seconds: 10 });
  const { attempt, shown } = useOutcome();
  const cancel = async (command) => {
    const { device_id: id, message_id: messageId } = command;
    const done = await attempt(async () => {
      const record = await change(`commands/${encodeURIComponent(id)}/${messageId}/cancel`);
      return record.state === "cancelled"
        ? "Cancelled: it was never executed and never will be"
        : "Withdrawn: no further copy is sent, but one may still act";
    });
    if (done) commands.refresh();
  };
  return html`
    ${shown}
    <${Loaded} of=${commands}>${(value) =>
      html`
        <${Table} caption="Commands, newest first" rows=${value.commands} empty="No command"
          columns=${columnsAt(commands.askedAt, { cancel, mayOperate, hasDevice })}
          keyOf=${({ message_id }) => message_id} />
        <${Pager} pages=${pages} next=${value.next} shown=${value.commands.length} />
      `}<//>
  `;
}

function columnsAt(now, { cancel, mayOperate, hasDevice }) {
  const columns = [
    {
      ...{ key: "id", label: hasDevice ? "Device, message id" : "Message id" },
      cell: ({ device_id, message_id }) =>
        html`${
          hasDevice && html`<${DeviceLink} id=${device_id} />`
        }${" "}<code class="id">${message_id}</code>`,
    },
    {
      key: "created",
      label: "Asked",
      cell: ({ created, key }) =>
        html`<${Ago} at=${created} now=${now} />${key && html`${" "}by <${Name} text=${key} />`}`,
    },
    { key: "state", label: "State", cell: (command) => html`<${State} of=${command} />` },
    {
      key: "says",
      label: "The device says",
      isLong: true,
      cell: (command) => html`<${Said} of=${command} />`,
    },
    { key: "sends", label: "Copies", isNumber: true, cell: ({ sends }) => number(sends) },
    {
      ...{ key: "expires", label: "Until" },
      cell: ({ expires, state }) =>
        FINAL.includes(state) ? "–" : html`<${Until} at=${expires} now=${now} soonSeconds=${0} />`,
    },
    mayOperate && {
      ...{ key: "cancel", label: "Cancel", isQuiet: true },
      cell: (command) =>
        !FINAL.includes(command.state) && !command.withdrawn && html`
          <${AskingButton} label="Cancel" name=${`Cancel the command ${command.message_id}`}
            question=${html`Cancel this command to <${Name} text=${command.device_id} />?`}
            yes="Cancel it" onYes=${() => cancel(command)} />
        `,
    },
  ];
  return columns.filter((column) => column);
}

function State({ of: { state, withdrawn } }) {
  const [grade] = STATES[state] ?? [""];
  return html`<${Badge} grade=${grade}>${state}<//>${withdrawn && " withdrawn"}`;
}

function Said({ of: { acknowledgement } }) {
  if (acknowledgement === null) return html`<span class="muted">nothing</span>`;
  const { result, reason } = acknowledgement.payload ?? {};
  const text = [reason, result === undefined ? undefined : JSON.stringify(result)]
    .filter((part) => part !== undefined).join(" ");
  return text === ""
    ? html`<span class="muted">nothing more</span>`
    : html`<${Outside} text=${text} />`;
}
