/** A real Prometheus scrapes a gateway with what `monitor` and `key add` print, and nothing else. */

import assert from "node:assert/strict";
import { VERSION } from "../../src/config/version.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { HAS_PROMETHEUS, Prometheus } from "../support/prometheus.ts";
import { shell } from "../support/shell.ts";

const PREFIX = "secure_iot_gateway_";

/** Long enough for scrapes and rules of a second each on a busy machine. */
const PATIENT = { timeoutMs: 60_000 };

async function printed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await shell(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Writes the configuration, the rules and the key into a folder; the configuration's path. */
async function configure({ layout }: LiveSite, folder: string): Promise<string> {
  const site = ["--dir", layout.directory];
  await Deno.mkdir(folder);
  const [key, rules, configuration] = ["key", "rules.yml", "prometheus.yml"].map((name) =>
    `${folder}/${name}`
  ) as [string, string, string];
  const options = ["--ca-file", layout.gatewayCa.certificate, "--key-file", key];
  const scrape = await printed("monitor", "scrape", ...options, ...site);
  const intervals = "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }";
  await Deno.writeTextFile(configuration, `${intervals}\nrule_files: ["${rules}"]\n${scrape}`);
  await Deno.writeTextFile(rules, await printed("monitor", "rules"));
  const secret = await printed("key", "add", "prometheus", "--metrics-only", ...site);
  await Deno.writeTextFile(key, secret, { mode: 0o400 });
  return configuration;
}

Deno.test(
  "Prometheus scrapes a gateway by TLS with a key from a file; its rules load and see a backend fail",
  { ignore: !HAS_PROMETHEUS },
  async () => {
    await withLiveSite(async (site) => {
      const folder = `${site.layout.directory}/prometheus`;
      const device = await site.device("sensor_001");
      for (let i = 0; i < 3; i++) await device.response((await device.send(`${i}`)).messageId);
      const prometheus = await Prometheus.start(await configure(site, folder), `${folder}/data`);
      try {
        const valueOf = async (expr: string) => (await prometheus.query(expr))[0]?.value;
        const becomes = (expr: string, value: number) =>
          poll(`${expr} to be ${value}`, async () => await valueOf(expr) === value, PATIENT);
        await becomes('up{job="secure-iot-gateway"}', 1);
        await becomes(`${PREFIX}accepted_total`, 3);
        await becomes(`${PREFIX}delivered_total`, 3);
        const [build] = await prometheus.query(`${PREFIX}build_info`);
        assert.equal(build?.metric["version"], VERSION);

        const alerts = async () => (await prometheus.ask("alerts")).alerts;
        await poll("no alert", async () => (await alerts()).length === 0, PATIENT);

        site.backend.answer = () => new Response("no", { status: 503 });
        await device.send("4");
        await becomes(`${PREFIX}backend_failing`, 1);
        await becomes('ALERTS{alertname="GatewayBackendFailing",alertstate="pending"}', 1);
        await poll("every rule to be evaluated", async () => {
          const { groups } = await prometheus.ask("rules");
          const rules: { health: string }[] = groups.flatMap(
            ({ rules }: { rules: { health: string }[] }) => rules,
          );
          return rules.length > 20 && rules.every(({ health }) => health === "ok");
        }, PATIENT);
      } finally {
        await prometheus.stop();
      }
    });
  },
);
