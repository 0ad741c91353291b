/** Rules, dashboard, page and metrics know of each other. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { emptyMetrics } from "../../../src/build/docs.ts";
import { ALERT_GROUPS, ALERTS_PAGE } from "../../../src/site/monitoring/alert_rules.ts";
import { renderDashboard } from "../../../src/site/monitoring/dashboard.ts";
import { runbookOf } from "../../../src/site/monitoring/rules_file.ts";
import { renderScrape } from "../../../src/site/monitoring/scrape_file.ts";
import { ALERT_CASES } from "../../support/alert_cases.ts";

const PREFIX = "secure_iot_gateway_";
const RULES = ALERT_GROUPS.flatMap(({ rules }) => rules);
const PAGE = fileURLToPath(new URL(`../../../${ALERTS_PAGE}`, import.meta.url));

/** The metrics that there are, and the labels of each. */
async function exported(): Promise<Set<string>> {
  const text = await emptyMetrics().text();
  return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
}

/** The metrics that a query names. */
function namedIn(expr: string): string[] {
  return [...expr.matchAll(new RegExp(`${PREFIX}\\w+`, "g"))].map(([name]) =>
    name.replace(/_seconds_bucket$/, "_seconds")
  );
}

function queries(): string[] {
  const { panels } = JSON.parse(renderDashboard());
  return panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
    targets.map(({ expr }) => expr)
  );
}

Deno.test("rules and dashboard name only metrics that there are", async () => {
  const names = await exported();
  for (const expr of [...RULES.map(({ expr }) => expr), ...queries()]) {
    for (const name of namedIn(expr)) assert.ok(names.has(name), `${name} in ${expr}`);
  }
});

Deno.test("each metric is on the dashboard, with the variables' selector", async () => {
  const shown = queries();
  const named = new Set(shown.flatMap(namedIn));
  assert.deepEqual([...await exported()].filter((name) => !named.has(name)), []);
  for (const expr of shown) {
    const selectors = expr.split('{job="$job",instance=~"$instance"').length - 1;
    const ups = expr.match(/\bup\{/g)?.length ?? 0; // Prometheus' own
    assert.equal(selectors, namedIn(expr).length + ups, expr);
  }
});

Deno.test("a label that a rule selects has values that the metrics have", async () => {
  const text = await emptyMetrics().text();
  for (const { expr } of RULES) {
    for (const [, label, values] of expr.matchAll(/(state|outcome|code)=~?"([^"]+)"/g)) {
      for (const value of values!.split("|")) {
        assert.ok(text.includes(`${label}="${value}"`), `${label}="${value}" in ${expr}`);
      }
    }
  }
});

Deno.test("each rule has a name of its own, a case that fires and one that does not", () => {
  const names = RULES.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) {
    const cases = ALERT_CASES.filter(({ alert }) => alert === name);
    assert.ok(cases.some(({ fires }) => fires !== undefined), `${name} never fires`);
    assert.ok(cases.some(({ fires }) => fires === undefined), `${name} always fires`);
  }
});

Deno.test("each rule has its heading on the page, and each heading its rule", async () => {
  const text = await Deno.readTextFile(PAGE);
  const headings = [...text.matchAll(/^### (Gateway\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(headings, RULES.map(({ name }) => name));
  assert.equal(runbookOf({ name: "GatewayMissing" }), `${ALERTS_PAGE}#gatewaymissing`);
});

Deno.test("no two panels of the dashboard overlap, and none is wider than it", () => {
  const { panels } = JSON.parse(renderDashboard());
  const taken = new Set<string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.ok(!taken.has(`${column} ${line}`), title);
        taken.add(`${column} ${line}`);
      }
    }
  }
});

Deno.test("the scrape configuration has the node's name as a label, if there is one", () => {
  const target = { address: "a.example:8443", authorityFile: "/ca.crt", keyFile: "/key" };
  assert.match(renderScrape({ ...target, node: "a" }), /labels:\n +node: "a"\n$/);
  assert.doesNotMatch(renderScrape({ ...target, node: "" }), /label/);
});
