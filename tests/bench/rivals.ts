/** The two that this gateway is measured beside: the reference script, and Node-RED. */

import { fileURLToPath } from "node:url";
import type { ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import type { BenchSite } from "./bench_site.ts";
import type { Contender } from "./contender.ts";

/** A rival, or what has to be installed before it can be one. */
export type Rival =
  | { readonly installed: true; readonly contender: Contender }
  | { readonly installed: false; readonly name: string; readonly hint: string };

/** What the reference script is called. */
export const REFERENCE_NAME = "the reference script";

const NODE_RED_FOLDER = "bench-results";

/** The rivals, in the order in which they run. */
export function rivals(): Rival[] {
  return [referenceScript(), nodeRed()];
}

/** The reference script. */
export function referenceScript(): Rival {
  const name = REFERENCE_NAME;
  const python = ["/usr/bin/python3", "python3"].find((path) =>
    succeeds(path, "-c", "import paho.mqtt.client, requests")
  );
  if (python === undefined) {
    const hint = "apt-get install python3-paho-mqtt python3-requests";
    return { installed: false, name, hint };
  }
  const command = ({ layout, ports, backend }: BenchSite): Promise<ProgramCommand> => {
    const { gatewayCa, gateway, database } = layout;
    const tls = [gatewayCa.certificate, gateway.certificate, gateway.key];
    const args = ["localhost", String(ports.gateway), ...tls, backend.url, database];
    return Promise.resolve({ path: python, args: [here("reference_script.py"), ...args] });
  };
  return {
    installed: true,
    contender: { name, command, readyText: /^ready$/m, namesMessages: false },
  };
}

function nodeRed(): Rival {
  const name = "Node-RED";
  const program = here(`../../${NODE_RED_FOLDER}/node_modules/node-red/red.js`);
  if (!succeeds("node", program, "--version") && !succeeds("node", program, "--help")) {
    const hint = `npm install --prefix ${NODE_RED_FOLDER} node-red@4`;
    return { installed: false, name, hint };
  }
  const command = async (site: BenchSite): Promise<ProgramCommand> => {
    const folder = await writeNodeRedFolder(site);
    const { gatewayCa, gateway } = site.layout;
    const environment = {
      BENCH_CA: gatewayCa.certificate,
      BENCH_CERTIFICATE: gateway.certificate,
      BENCH_KEY: gateway.key,
      BENCH_PORT: String(site.ports.gateway),
    };
    const args = [program, "--userDir", folder, "--settings", `${folder}/settings.js`];
    return { path: "node", args, environment };
  };
  return {
    installed: true,
    contender: { name, command, readyText: /Connected to broker/, namesMessages: false },
  };
}

async function writeNodeRedFolder({ folder, devices, backend }: BenchSite): Promise<string> {
  const userFolder = `${folder}/node-red`;
  await Deno.mkdir(userFolder);
  await Deno.copyFile(here("node_red_flow.json"), `${userFolder}/flows.json`);
  const secrets = Object.fromEntries(devices.map(({ deviceId, secret }) => [deviceId, secret]));
  await Deno.writeTextFile(
    `${userFolder}/settings.js`,
    `module.exports = {
  flowFile: "flows.json",
  httpAdminRoot: false,
  disableEditor: true,
  httpNodeRoot: false,
  telemetry: { enabled: false },
  functionGlobalContext: {
    crypto: require("crypto"),
    secrets: ${JSON.stringify(secrets)},
    backendUrl: ${JSON.stringify(backend.url)},
  },
};
`,
  );
  return userFolder;
}

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function succeeds(path: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(path, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false; // no such program
  }
}
