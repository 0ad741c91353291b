/** `monitor rules`, `dashboard` and `scrape`: files for Prometheus and Grafana. */

import { hostPort, reachableHost } from "../config/listen_address.ts";
import { renderDashboard } from "../site/monitoring/dashboard.ts";
import { renderRules } from "../site/monitoring/rules_file.ts";
import { renderScrape } from "../site/monitoring/scrape_file.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf } from "./open_site.ts";
import { note, print } from "./terminal.ts";

/** What `monitor scrape` is told. */
interface ScrapeOptions extends JsonOption {
  /** How Prometheus reaches this machine. */
  readonly host?: string;
  readonly caFile: string;
  readonly keyFile: string;
}

/** Prints the alerting rules. */
export function printRules(options: Pick<JsonOption, "json">): void {
  printFile(renderRules(), options);
}

/** Prints the dashboard. */
export function printDashboard(options: Pick<JsonOption, "json">): void {
  printFile(renderDashboard(), options);
}

/** Prints how this site's gateway is scraped. */
export function printScrape(options: ScrapeOptions): void {
  const layout = layoutOf(options);
  const { api, node } = configOf(layout);
  const host = options.host ?? reachableHost(api.host);
  const { caFile: authorityFile, keyFile } = options;
  const address = hostPort(host, api.port);
  printFile(renderScrape({ address, node: node.name, authorityFile, keyFile }), options);
  if (options.json) return;
  note(`Next, on Prometheus' machine:
  ${authorityFile}: a copy of ${layout.gatewayCa.certificate}
  ${keyFile}: what "secure-iot-gateway key add prometheus --metrics-only" prints; for Prometheus only`);
}

function printFile(text: string, { json }: Pick<JsonOption, "json">): void {
  if (json) printJson({ text });
  else print(text.trimEnd());
}
