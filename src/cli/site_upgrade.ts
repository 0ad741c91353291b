/** `site upgrade`. */

import {
  planUpgrade,
  upgradeSite as upgrade,
  type UpgradeStep,
} from "../site/operations/site_upgrade.ts";
import type { AccessList } from "../site/operations/broker_lists.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { brokerSentence, failOn } from "./revocation_report.ts";
import { print, printable } from "./terminal.ts";

/** What `site upgrade` may be told. */
interface UpgradeOptions extends JsonOption {
  readonly dryRun?: true;
}

/** Adds what the broker's files of an older site lack, after showing it, and has the broker use it. */
export async function upgradeSite(options: UpgradeOptions): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const plan = await planUpgrade(layout);
  if (!plan.ok) return failOn(plan.fault);
  const changes = plan.changes.map(({ path, missing }) => ({ path, added: missing }));
  if (!options.json) {
    for (const line of plan.changes.flatMap(difference)) {
      print(printable(line));
    }
  }
  if (options.dryRun) return options.json ? printJson({ changes }) : print(outlook(plan.changes));
  const site = { layout, config, nowMs: Date.now() };
  const { steps, fault } = await withStore(config, (store) => upgrade(store, site));
  if (options.json) {
    printJson({ changes, complete: fault === undefined, steps, fault });
    return failOn(fault);
  }
  for (const step of steps) print(printable(sentenceOf(step)));
  failOn(fault, "Devices and gateway go on as before: the broker does not use the new lines yet");
  print(`The site in ${printable(layout.directory)} is up to date`);
}

function difference({ path, missing }: AccessList): string[] {
  return missing.flatMap(({ afterLine, lines }) => [
    `${path}, behind line ${afterLine}:`,
    ...lines.map((line) => `+ ${line}`),
  ]);
}

function outlook(changes: readonly AccessList[]): string {
  return changes.length === 0 ? "The files lack nothing" : "Nothing was changed: a dry run";
}

function sentenceOf(step: UpgradeStep): string {
  switch (step.kind) {
    case "nothing_missing":
      return "access lists: they lack nothing";
    case "broker_not_running":
      return `broker: not running (${step.reason}); it reads the access lists when it starts`;
    default:
      return brokerSentence(step);
  }
}
