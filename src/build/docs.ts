/**
 * The tables of the docs that are made from the code: `deno task docs`.
 *
 * The rules are:
 * - a page is written by hand but for what is between `<!-- begin generated: NAME -->` and
 *   `<!-- end generated -->`;
 * - a table is laid out as `deno fmt` does it, so that a test can compare byte for byte.
 *
 * It is here, and not in docs/, so that types, lint and the layer rule hold for it too.
 */

import { fileURLToPath } from "node:url";
import { listSettings } from "../config/settings.ts";
import type { GatewayEvent } from "../core/event.ts";
import { countEvent } from "../gateway/telemetry/event_metrics.ts";
import type { GaugeSources } from "../gateway/telemetry/gauges.ts";
import { Metrics } from "../gateway/telemetry/metrics.ts";
import { ALERT_GROUPS, ALERTS_PAGE } from "../site/monitoring/alert_rules.ts";
import { EventLog } from "../log/event_log.ts";
import { ACTIONS, SAMPLES } from "./event_samples.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PREFIX = "secure_iot_gateway_";
/** A log message is shown up to this many characters. */
const EXAMPLE_MAX = 70;

type Row = readonly string[];

/** The generated tables by name, each for one page. */
export const TABLES: Readonly<Record<string, { page: string; render: () => Promise<string> }>> = {
  settings: { page: "docs/operator/settings.md", render: settingsTable },
  events: { page: "docs/operator/events.md", render: eventsTable },
  metrics: { page: "docs/operator/events.md", render: metricsTable },
  alerts: { page: ALERTS_PAGE, render: alertsTable },
};

/** A page's text with its generated parts made again. */
export async function renderPage(page: string, text: string): Promise<string> {
  let rendered = text;
  for (const [name, table] of Object.entries(TABLES)) {
    if (table.page !== page) continue;
    const begin = `<!-- begin generated: ${name} -->\n`;
    const end = "<!-- end generated -->";
    const start = rendered.indexOf(begin);
    const stop = rendered.indexOf(end, start);
    if (start === -1 || stop === -1) throw new Error(`${page} has no place for "${name}"`);
    const made = `\n${await table.render()}\n`;
    rendered = rendered.slice(0, start) + begin + made + rendered.slice(stop);
  }
  return rendered;
}

// deno-lint-ignore require-await
async function settingsTable(): Promise<string> {
  const rows = listSettings().map(({ section, key, defaultValue, purpose }) => [
    `\`${section}.${key}\``,
    defaultValue === undefined ? "made by `init`" : `\`${JSON.stringify(defaultValue)}\``,
    purpose,
  ]);
  return table(["setting", "default", "what it does"], rows);
}

async function eventsTable(): Promise<string> {
  const rows: Row[] = [];
  for (const event of Object.values(SAMPLES)) {
    const line = logLine(event);
    if (line === undefined) continue;
    const counted = (await metricsOf(event)).map((name) => `\`${name}\``).join(", ");
    rows.push(eventRow(event.kind, line.level, line.message, counted));
  }
  return table(["event", "level", "example", "counted in", "what to do"], rows);
}

function eventRow(name: string, level: string, message: string, counted: string): Row {
  const example = message.length > EXAMPLE_MAX
    ? `${message.slice(0, EXAMPLE_MAX).trimEnd()}…`
    : message;
  const action = level === "warning" || level === "error" ? ACTIONS[name] : "";
  if (action === undefined) throw new Error(`ACTIONS does not say what to do about "${name}"`);
  return [`\`${name}\``, level, example, counted, action];
}

/** The log line of an event, as it is written if every setting asks for it. */
function logLine(event: GatewayEvent): { level: string; message: string } | undefined {
  let written: { level: string; message: string } | undefined;
  const log = new EventLog((level, _event, { message }) => written = { level, message }, {
    accepted: true,
  });
  log.write(event);
  log.flush();
  return written;
}

/** The metrics that an event changes. */
async function metricsOf(event: GatewayEvent): Promise<string[]> {
  const metrics = emptyMetrics();
  const before = new Set((await metrics.text()).split("\n"));
  countEvent(event, metrics);
  const changed = (await metrics.text()).split("\n").filter((line) => !before.has(line));
  const names = changed.map((line) =>
    /^\w+/.exec(line)![0].slice(PREFIX.length).replace(/_(bucket|sum|count)$/, "")
  );
  return [...new Set(names)];
}

async function metricsTable(): Promise<string> {
  const text = await emptyMetrics().text();
  const kinds = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => [name!, kind!] as const),
  );
  const rows = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [
    `\`${name!.slice(PREFIX.length)}\``,
    kinds.get(name!) ?? "",
    help!,
  ]);
  return table(["metric", "type", "counts"], rows);
}

// deno-lint-ignore require-await
async function alertsTable(): Promise<string> {
  const rows = ALERT_GROUPS.flatMap(({ rules }) => rules).map(({ name, severity, ...rule }) => [
    `[${name}](#${name.toLowerCase()})`,
    severity,
    rule.for,
    rule.action,
  ]);
  return table(["alert", "severity", "after", "what to do first"], rows);
}

/** The metrics of a gateway that has done nothing, but for what its parts say. */
export function emptyMetrics(sources: Partial<GaugeSources> = {}): Metrics {
  return new Metrics({
    pending: () => 0,
    pendingLimit: 0,
    devices: () => 0,
    unreadiness: () => [],
    degraded: () => [],
    isStoreFailing: () => false,
    backendAheadSeconds: () => 0,
    brokerConnected: () => false,
    intakePaused: () => false,
    catchingUp: () => false,
    forwarder: { isBackendFailing: false, stuckLanes: 0 },
    steadyMs: () => 0,
    cluster: undefined,
    counts: () =>
      Promise.resolve({
        deadLetters: 0,
        commandsWaiting: 0,
        listsBehind: 0,
        replayIds: 0,
        oldestAcceptedMs: Infinity,
      }),
    ...sources,
  }, { version: "0.0.0", commit: undefined, node: "", startedSeconds: 0, brokerCertificate: "0" });
}

function table(head: Row, rows: readonly Row[]): string {
  const widths = head.map((title, i) =>
    Math.max(3, title.length, ...rows.map((row) => row[i]!.length))
  );
  const line = (row: Row) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}

if (import.meta.main) {
  for (const page of new Set(Object.values(TABLES).map(({ page }) => page))) {
    const text = await Deno.readTextFile(`${ROOT}/${page}`);
    await Deno.writeTextFile(`${ROOT}/${page}`, await renderPage(page, text));
  }
}
