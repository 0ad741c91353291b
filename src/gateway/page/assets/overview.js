/** Is it well? What flows? */

import { useApi } from "./api.js";
import { Chart } from "./chart.js";
import { CODES, colorOf } from "./codes.js";
import { minutesOf, total } from "./flow.js";
import { All, html } from "./html.js";
import { Name, Outside } from "./outside.js";
import { Badge, Heading, Loaded, Until } from "./parts.js";
import { Table } from "./table.js";
import { counted, duration, number } from "./words.js";

/** The overview; `isPartial`: the key is for some devices, and the charts are of all. */
export function Overview({ overview, isPartial }) {
  const flow = useApi("flow", { seconds: 10 });
  return html`
    <${All}>
      <${Heading} title="Overview">Is it well, and what flows?<//>
      <${Loaded} of=${overview}>${(value) => html`<${State} of=${value} />`}<//>
      <h2>The last hour</h2>
      ${isPartial &&
        html`<p class="muted">Of all devices, also those that your key is not for.</p>`}
      <${Loaded} of=${flow}>${(value) =>
        html`<${Flow} of=${value} started=${overview.value?.started} />`}<//>
    <//>
  `;
}

/** Good, warn or bad, with its sentence. */
export function gradeOf({ ready, degraded }) {
  if (!ready) return ["bad", "It takes no messages"];
  return degraded.length > 0 ? ["warn", "It works, but not all is well"] : ["good", "All is well"];
}

function State({ of }) {
  const [grade, sentence] = gradeOf(of);
  return html`
    <${All}>
      <section class=${`state ${grade}`} aria-label="Is it well?">
        <p class="sentence"><span class="mark" aria-hidden="true"></span><strong>${sentence}</strong></p>
        <ul class="facts">
          ${factsOf(of).map(([text, isGood]) =>
            html`
              <li key=${text} class=${isGood ? "fine" : "warn"}>${text}</li>
            `
          )}
          ${of.next_expiry &&
            html`
              <li
                class="next">next to end: ${" "}<${Name} text=${lastPart(
                  of.next_expiry.what,
                )} />${" "}<${Until} at=${of.next_expiry.expires} now=${of.time} /></li>
            `}
        </ul>
        ${[...of.unready, ...of.degraded].map((reason) =>
          html`
            <p key=${reason} class="reason">
              <${Outside} text=${reason} max=${400} />
            </p>
          `
        )}
      </section>
      <${Counts} of=${of} />
      ${of.nodes.length > 0 && html`<${Nodes} of=${of} />`}
    <//>
  `;
}

function factsOf({ broker, backend, store, intake }) {
  return [
    broker.connected ? ["broker connected", true] : ["broker not connected", false],
    backend.failing ? ["backend does not take readings", false] : ["backend takes readings", true],
    store.fault === null ? ["store can be written", true] : ["store cannot be written", false],
    intake.paused
      ? ["intake waits: the outbox is full", false]
      : [intake.catching_up ? "catching up" : "taking messages", true],
  ];
}

function Counts({ of: { counts, oldest_waiting_seconds: oldest, backend } }) {
  const tiles = [
    ["devices", "Devices", counts.devices],
    ["waiting", "Waiting", counts.waiting, waitingMore(oldest, counts, backend)],
    ["dead", "Dead letters", counts.dead_letters],
    ["commands", "Commands waiting", counts.commands_waiting],
  ].filter(([, , count]) => count !== null && count !== undefined);
  return html`
    <ul class="tiles">
      ${tiles.map(([section, label, count, more]) =>
        html`
          <li key=${label}>
            <a href=${`#${section}`}>
              <strong>${number(
                count,
              )}</strong>${" "}<span>${label}</span>${" "}<small>${more}</small>
            </a>
          </li>
        `
      )}
    </ul>
  `;
}

function waitingMore(oldest, counts, { stuck }) {
  return [
    oldest !== null && counts.waiting > 0 && `oldest ${duration(oldest)}`,
    stuck > 0 && `${number(stuck)} stuck`,
  ].filter((part) => part).join(", ");
}

function Nodes({ of: { nodes, node: own } }) {
  const columns = [
    {
      key: "node",
      label: "Node",
      cell: ({ node }) => html`<${Name} text=${node} />${node === own ? " (this one)" : ""}`,
    },
    {
      key: "state",
      label: "State",
      cell: ({ alive }) =>
        html`<${Badge} grade=${alive ? "good" : "bad"}>${alive ? "alive" : "not heard of"}<//>`,
    },
    {
      key: "waiting",
      label: "Waiting there",
      isNumber: true,
      cell: ({ waiting }) => number(waiting),
    },
    {
      key: "lease",
      label: "Lease left",
      isNumber: true,
      cell: ({ lease_left_seconds: left }) => left > 0 ? duration(left) : "over",
    },
    {
      key: "ahead",
      label: "Clock ahead",
      isNumber: true,
      cell: ({ ahead_seconds: ahead }) => `${(ahead ?? 0).toFixed(1)} s`,
    },
    { key: "lists", label: "Its broker's lists", isLong: true, cell: listsOf },
  ];
  return html`
    <${All}>
      <h2>Nodes</h2>
      <${Table} caption="Gateways that share the store" columns=${columns} rows=${nodes}
        keyOf=${({ node }) => node} />
      <//>
  `;
}

function listsOf({ lists_behind: behind, list_fault: fault }) {
  if (behind === 0) return "the newest";
  return html`<${Badge} grade="warn">${behind} behind<//>${
    fault !== null && html`${" "}<${Outside} text=${fault} />`
  }`;
}

function Flow({ of, started }) {
  const { end, accepted, delivered, waiting, rejected } = minutesOf(of, { started });
  const rejections = Object.keys(CODES).filter((code) =>
    rejected[code] && total(rejected[code]) > 0
  )
    .map((code) => ({ name: code, values: rejected[code], color: colorOf(code), isNamed: true }));
  const one = (name, values, color) => [{ name, values, color }];
  const all = total(rejections.map(({ values }) => total(values)));
  const none = [{
    name: "rejected",
    values: accepted.map((value) => value === null ? null : 0),
    color: "c1",
  }];
  const last = of.waiting.at(-1) ?? 0; // of the minute that is not over
  return html`
    <div class="charts">
      <${Chart} title="Accepted" series=${one("accepted", accepted, "flow")} end=${end}
        summary=${counted(total(accepted), "message")} />
      <${Chart} title="Delivered" series=${one("delivered", delivered, "flow")} end=${end}
        summary=${counted(total(delivered), "message")} />
      <${Chart} title="Rejected" series=${rejections.length > 0 ? rejections : none} end=${end}
        summary=${counted(all, "message")} />
      <${Chart} title="Waiting" series=${one("waiting", waiting, "held")} end=${end}
        summary=${`${counted(last, "reading")} now`} />
    </div>
    <p class="muted">A value a minute${of.node &&
      html`, of the node <${Name} text=${of.node} />`}.</p>
  `;
}

function lastPart(path) {
  return path.split("/").at(-1);
}
