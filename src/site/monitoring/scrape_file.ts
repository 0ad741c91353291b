/** How Prometheus scrapes a gateway, as a part of its configuration, YAML. */

import { SCRAPE_JOB } from "./alert_rules.ts";

/** What it has to know; the files are those of Prometheus' machine. */
interface ScrapeTarget {
  /** Host and port. */
  readonly address: string;
  /** `node.name`; empty: this gateway is alone. */
  readonly node: string;
  readonly authorityFile: string;
  readonly keyFile: string;
}

/** The text. */
export function renderScrape({ address, node, authorityFile, keyFile }: ScrapeTarget): string {
  const labels = node === "" ? "" : `        labels:\n          node: ${JSON.stringify(node)}\n`;
  return `scrape_configs:
  - job_name: ${SCRAPE_JOB}
    scheme: https
    authorization:
      credentials_file: ${JSON.stringify(keyFile)}
    tls_config:
      ca_file: ${JSON.stringify(authorityFile)}
    static_configs:
      - targets: [${JSON.stringify(address)}]
${labels}`;
}
