/** What died? What was accepted and the backend refused: to see, to send again, to drop. */

import { useState } from "preact/hooks";
import { change, read } from "./api.js";
import { All, html } from "./html.js";
import { Name, Outside, visible, Whole } from "./outside.js";
import { Ago, AskingButton, DeviceLink, Heading, Loaded, useOutcome } from "./parts.js";
import { useList } from "./pages.js";
import { Pager, Table } from "./table.js";
import { counted, size } from "./words.js";

/** The dead letters of `device`, or of all. */
export function DeadLetters({ device, mayOperate }) {
  const { list: letters, pages } = useList("dead", { device }, { seconds: 10 });
  const { attempt, shown } = useOutcome();
  const payloads = usePayloads();
  const act = async (path, body, say) => {
    if (await attempt(async () => say(await change(path, body)))) letters.refresh();
  };
  return html`
    <${All}>
      <${Heading}
        title="Dead letters">What died? Accepted, then refused by the backend permanently.<//>
      ${device !== undefined && html`
        <p>Only of <${DeviceLink} id=${device} />: <a href="#dead">show all</a></p>
      `}
      ${shown}
      <${Loaded} of=${letters}>${(value) =>
        html`
          ${mayOperate && value.dead_letters.length > 0 &&
            html`<${AllOfThem} total=${value.total} device=${device} act=${act} />`}
          <${Table} caption="Dead letters, newest first" columns=${columnsAt(letters.askedAt, {
            act,
            mayOperate,
            payloads,
          })}
            rows=${value.dead_letters} keyOf=${({ sequence }) => sequence} empty="Nothing died"
            below=${({ sequence }) =>
              payloads.of(sequence) && html`<${Payload} of=${payloads.of(sequence)} />`} />
          <${Pager} pages=${pages} next=${value.next} total=${value.total} shown=${value
            .dead_letters.length} />
        `}<//>
    <//>
  `;
}

function sayRequeued({ requeued, more }) {
  const done = `${counted(requeued, "dead letter")} put back: the backend gets them again`;
  return more ? `${done}. There are more: retry all again` : done;
}

function sayDropped({ dropped, more }) {
  const done = `Dropped ${counted(dropped, "dead letter")}`;
  return more ? `${done}. There are more: drop all again` : done;
}

function AllOfThem({ total, device, act }) {
  const which = device === undefined ? { all: true } : { device };
  const count = total === null ? "dead letters" : counted(total, "dead letter");
  const all = `all ${count}${device === undefined ? "" : ` of ${visible(device)}`}`;
  return html`
    <div class="row filters">
      <${AskingButton} label="Retry all" grade="plain" question=${`Send ${all} to the backend again?`}
        yes="Retry all" onYes=${() => act("dead/retry", which, sayRequeued)} />
      <${AskingButton} label="Drop all" question=${`Drop ${all}? Their payloads are gone then.`}
        yes="Drop all" onYes=${() => act("dead/drop", which, sayDropped)} />
    </div>
  `;
}

function columnsAt(now, { act, mayOperate, payloads }) {
  const columns = [
    { key: "sequence", label: "Sequence", cell: ({ sequence }) => String(sequence) },
    {
      key: "device",
      label: "Device",
      cell: ({ device_id }) => html`<${DeviceLink} id=${device_id} />`,
    },
    { key: "died", label: "Died", cell: ({ died }) => html`<${Ago} at=${died} now=${now} />` },
    {
      ...{ key: "reason", label: "Why", isLong: true },
      cell: ({ reason, command_state: state }) =>
        html`
          ${state && `callback “${state}”: `}<${Outside} text=${reason} />
        `,
    },
    {
      key: "payload",
      label: "Payload",
      cell: ({ sequence }) => html`<${PayloadButton} sequence=${sequence} payloads=${payloads} />`,
    },
    mayOperate && {
      ...{ key: "act", label: "Retry or drop", isQuiet: true },
      cell: ({ sequence }) =>
        html`
          <div class="row acts">
            <button type="button" aria-label=${`Retry dead letter ${sequence}`}
              onClick=${() => act(`dead/${sequence}/retry`, {}, sayRequeued)}>Retry</button>
            <${AskingButton} label="Drop" name=${`Drop dead letter ${sequence}`}
              question=${`Drop dead letter ${sequence}? Its payload is gone then.`} yes="Drop it"
              onYes=${() => act(`dead/${sequence}/drop`, {}, sayDropped)} />
          </div>
        `,
    },
  ];
  return columns.filter((column) => column);
}

/** Those that are shown: each is asked for on demand, since it may be long. */
function usePayloads() {
  const [letters, setLetters] = useState({});
  const put = (sequence, letter) => setLetters((before) => ({ ...before, [sequence]: letter }));
  return {
    of: (sequence) => letters[sequence],
    show: async (sequence) => put(sequence, await read(`dead/${sequence}`)),
    hide: (sequence) => put(sequence, undefined),
  };
}

function PayloadButton({ sequence, payloads }) {
  const [fault, setFault] = useState();
  const isShown = payloads.of(sequence) !== undefined;
  const press = async () => {
    setFault(undefined);
    try {
      if (isShown) payloads.hide(sequence);
      else await payloads.show(sequence);
    } catch ({ message }) {
      setFault(message);
    }
  };
  const what = isShown ? "Hide" : "Show";
  return html`
    <button type="button" aria-expanded=${String(isShown)}
      aria-label=${`${what} the payload of dead letter ${sequence}`} onClick=${press}>${what}</button>
    ${fault && html`
      <span class="bad" role="alert">${fault}</span>
    `}
  `;
}

function Payload({ of }) {
  const { sequence, payload, payload_base64: base64, message_id: messageId, answer } = of;
  return html`
    <div>
      <p class="muted">message <${Name} text=${messageId} />${base64 !== null &&
        base64 !== undefined && ", base64"},${" "}${size(
          new TextEncoder().encode(payload ?? base64 ?? "").length,
        )}</p>
      <${Whole} text=${payload ?? base64 ?? ""} label=${`Payload of dead letter ${sequence}`} />
      <${Answer} of=${answer} sequence=${sequence} />
    </div>
  `;
}

function Answer({ of, sequence }) {
  const text = of?.body ?? of?.body_base64;
  if (text === null || text === undefined) return "";
  return html`
    <p class="muted">The backend answered${of.content_type &&
      html`${" "}(<${Name} text=${of.content_type} />)`}:</p>
    <${Whole} text=${text} label=${`The backend's answer to dead letter ${sequence}`} />
  `;
}
