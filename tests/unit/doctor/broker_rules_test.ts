import assert from "node:assert/strict";
import { BROKER_CHECKS } from "../../../src/doctor/broker_checks.ts";
import {
  deviceRules,
  gatewayRules,
  type LineRule,
  mainRules,
} from "../../../src/doctor/broker_rules.ts";
import { perform, type Site } from "../../../src/doctor/check.ts";
import { LiveSite } from "../../support/live_site.ts";
import { withFolder } from "../../support/with_folder.ts";

const BELOW_LISTENER = /^(?=listener )/m;

/** A configuration in which a line is wrong: taken out, or added if it should be absent. */
function broken(section: string, { keyword, right }: LineRule): string {
  if (keyword === "address") return section.replace(" 127.0.0.1\n", " 0.0.0.0\n");
  const without = section.replaceAll(new RegExp(`^${keyword} .*\n`, "gm"), "");
  return right(undefined) ? `${without}\n${keyword} file somewhere\n` : without;
}

async function verdictsOn(site: Site, text: string) {
  await Deno.writeTextFile(site.layout.brokerConfiguration, text);
  const findings = await Promise.all(BROKER_CHECKS.map((check) => perform(check, site)));
  return findings.filter(({ status }) => status !== "pass");
}

Deno.test("each line of mosquitto.conf that matters is missed where it stands, with its reason", async () => {
  await withFolder(async (folder) => {
    const { layout, config, backend } = await LiveSite.make(`${folder}/site`, {});
    await backend.stop();
    const site = { layout, config, nowMs: Date.now() };
    const text = await Deno.readTextFile(layout.brokerConfiguration);
    const sections = text.split(BELOW_LISTENER);
    assert.equal(sections.length, 3);
    const rows = ["broker configuration", "devices' listener", "gateway's listener"];
    for (const [i, rules] of [mainRules(site), deviceRules(site), gatewayRules(site)].entries()) {
      for (const rule of rules) {
        const changed = sections.with(i, broken(sections[i]!, rule)).join("");
        const [finding, ...more] = await verdictsOn(site, changed);
        assert.deepEqual(more, [], rule.keyword);
        assert.ok(finding, rule.keyword);
        assert.equal(finding.name, rows[i], rule.keyword);
        assert.equal(finding.status, rule.lenient ? "warn" : "fail", rule.keyword);
        assert.ok(finding.observed.includes(rule.reason), finding.observed);
      }
    }
    assert.deepEqual(await verdictsOn(site, text), []);
  });
});
