/** promtool on what `monitor` prints. */

import assert from "node:assert/strict";
import { ALERT_GROUPS } from "../../../src/site/monitoring/alert_rules.ts";
import { renderDashboard } from "../../../src/site/monitoring/dashboard.ts";
import { renderRules, runbookOf } from "../../../src/site/monitoring/rules_file.ts";
import { renderScrape } from "../../../src/site/monitoring/scrape_file.ts";
import { ALERT_CASES, type AlertCase, FIRST } from "../../support/alert_cases.ts";
import { HAS_PROMETHEUS, promtool } from "../../support/prometheus.ts";
import { withFolder } from "../../support/with_folder.ts";

const RULES = ALERT_GROUPS.flatMap(({ rules }) => rules);
const PREFIX = "secure_iot_gateway_";
/** What takes longer is looked at less often, which saves most of the time. */
const LONG_MINUTES = 600;
const SKIPPED = { ignore: !HAS_PROMETHEUS };

/** Writes a file, and lets `work` have its path. */
async function withFile(text: string, work: (path: string, folder: string) => Promise<void>) {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file.yml`, text);
    await work(`${folder}/file.yml`, folder);
  });
}

Deno.test("promtool finds no fault in the rules", SKIPPED, async () => {
  await withFile(renderRules(), (path) => promtool("check", "rules", "--lint-fatal", path));
});

Deno.test("each rule fires when it must, and not when it must not", SKIPPED, async () => {
  await withFile(renderRules(), async (path, folder) => {
    const isLong = ({ minute }: AlertCase) => minute > LONG_MINUTES;
    const files = [
      { evaluation_interval: "1m", tests: ALERT_CASES.filter((one) => !isLong(one)).map(testOf) },
      { evaluation_interval: "5m", tests: ALERT_CASES.filter(isLong).map(testOf) },
    ];
    for (const file of files) {
      assert.ok(file.tests.length > 0);
      const text = JSON.stringify({ rule_files: [path], ...file });
      await Deno.writeTextFile(`${folder}/tests.yml`, text);
      await promtool("test", "rules", `${folder}/tests.yml`);
    }
  });
});

Deno.test("each query of the dashboard is one for Prometheus", SKIPPED, async () => {
  const { panels } = JSON.parse(renderDashboard());
  const queries: string[] = panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
    targets.map(({ expr }) =>
      expr.replaceAll("$__rate_interval", "5m").replaceAll("$job", "j").replaceAll("$instance", "i")
    )
  );
  assert.ok(queries.length > 40);
  const rules = queries.map((expr, place) => ({ record: `query_${place}`, expr }));
  const text = JSON.stringify({ groups: [{ name: "dashboard", rules }] });
  await withFile(text, (path) => promtool("check", "rules", path));
});

Deno.test(
  "Prometheus takes the scrape configuration, with a node's name and without",
  SKIPPED,
  async () => {
    for (const [address, node] of [["gateway.example:8443", ""], ["[::1]:8443", "a"]] as const) {
      await withFolder(async (folder) => {
        const [authorityFile, keyFile] = [`${folder}/ca.crt`, `${folder}/a key`];
        for (const file of [authorityFile, keyFile]) await Deno.writeTextFile(file, "x");
        const text = renderScrape({ address, node, authorityFile, keyFile });
        await Deno.writeTextFile(`${folder}/prometheus.yml`, text);
        await promtool("check", "config", "--syntax-only", `${folder}/prometheus.yml`);
      });
    }
  },
);

/** A case as promtool has it. */
function testOf({ alert, series, minute, fires }: AlertCase) {
  const rule = RULES.find(({ name }) => name === alert);
  assert.ok(rule, alert);
  const { severity, action: description } = rule;
  const expected = fires === undefined ? [] : [{
    exp_labels: { severity, ...(fires.labels ?? FIRST) },
    exp_annotations: { summary: fires.summary, description, runbook: runbookOf(rule) },
  }];
  return {
    name: alert,
    interval: "1m",
    input_series: Object.entries(series).map(([name, values]) => ({ series: full(name), values })),
    alert_rule_test: [{ eval_time: `${minute}m`, alertname: alert, exp_alerts: expected }],
  };
}

/** With the prefix, and the labels of the first gateway that it has not. */
function full(name: string): string {
  const [metric, labels = ""] = name.replace("}", "").split("{");
  const missing = Object.entries(FIRST).filter(([label]) => !labels.includes(`${label}="`))
    .map(([label, value]) => `${label}="${value}"`);
  const all = [...missing, ...(labels === "" ? [] : [labels])].join();
  return `${metric === "up" ? "" : PREFIX}${metric}{${all}}`;
}
