/** The alerting rules as a file for Prometheus, YAML. */

import { ALERT_GROUPS, type AlertRule, ALERTS_PAGE } from "./alert_rules.ts";

/** Where on the page a rule is explained. */
export function runbookOf({ name }: Pick<AlertRule, "name">): string {
  return `${ALERTS_PAGE}#${name.toLowerCase()}`;
}

/** The file's text. */
export function renderRules(): string {
  const groups = ALERT_GROUPS.map(({ name, rules }) =>
    `  - name: ${name}\n    rules:\n${rules.map(ruleText).join("")}`
  );
  return `groups:\n${groups.join("")}`;
}

/** A JSON string is a string of YAML too. */
function ruleText(rule: AlertRule): string {
  const lines = rule.expr.split("\n").map((line) => `          ${line}`).join("\n");
  return `      - alert: ${rule.name}
        expr: |-
${lines}
        for: ${rule.for}
        labels:
          severity: ${rule.severity}
        annotations:
          summary: ${JSON.stringify(rule.summary)}
          description: ${JSON.stringify(rule.action)}
          runbook: ${JSON.stringify(runbookOf(rule))}
`;
}
