/** `init`: makes a site. */

import { createSite, type SiteFault, type SiteNote } from "../site/operations/site_creation.ts";
import { layoutOf } from "./open_site.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { programName } from "./program_name.ts";
import { CommandError, EXIT, note, print } from "./terminal.ts";

/** What `init` is told. */
interface InitOptions extends JsonOption {
  readonly host: readonly string[];
  readonly backend: string;
  readonly mqttPort: number;
  readonly gatewayPort: number;
  readonly apiPort: number;
}

/** Makes a site folder that works as it is; overwrites nothing. */
export async function init(options: InitOptions): Promise<void> {
  const { host: hosts, backend: backendUrl, mqttPort, gatewayPort, apiPort } = options;
  const result = await createSite({
    directory: layoutOf(options).directory,
    hosts,
    backendUrl,
    mqttPort,
    gatewayPort,
    apiPort,
    nowMs: Date.now(),
  });
  if (!result.ok) {
    const exit = result.because === "arguments" ? EXIT.usage : EXIT.failed;
    throw new CommandError(result.faults.map(faultSentence), { exit });
  }
  const { directory, brokerConfiguration } = result.layout;
  if (options.json) return printJson({ directory, brokerConfiguration, notes: result.notes });
  print(`Made a site in ${directory}`);
  for (const one of result.notes) note(`hint: ${noteSentence(one)}`);
  note(`Next:
  ${programName()} device add sensor_001 --dir ${directory}
  mosquitto -c ${brokerConfiguration}
  ${programName()} run --dir ${directory}`);
}

function faultSentence(fault: SiteFault): string {
  switch (fault.kind) {
    case "path_not_usable":
      return `Cannot use the folder for a site: ${JSON.stringify(fault.path)} has a character ` +
        "that a Mosquitto configuration cannot hold";
    case "host_not_usable":
      return `Cannot use the host: ${JSON.stringify(fault.host)} is neither a DNS name nor ` +
        "an IP address";
    case "backend_not_usable":
      return `Cannot use the backend: its URL ${fault.allowed}`;
    case "port_not_usable":
      return `Cannot use the ${fault.name} port: it ${fault.allowed}, not ${fault.port}`;
    case "ports_not_distinct":
      return "Cannot use the ports: MQTT, gateway and API need one each, not " +
        fault.ports.join(", ");
    case "site_exists":
      return `Cannot make the site: there is one already: ${JSON.stringify(fault.path)}`;
    case "file_exists":
      return `Cannot make the site: ${JSON.stringify(fault.path)} exists already`;
    case "system_refused":
      return `Cannot make the site: ${fault.reason}`;
    default:
      return fault satisfies never;
  }
}

function noteSentence(one: SiteNote): string {
  switch (one.kind) {
    case "broker_stays_root":
      return `the broker stays root when root starts it, because ${one.reason}`;
    case "git_ignore_kept":
      return `"${one.path}" was there and stays as it is: make sure that it names the site's ` +
        "files, so that no private key gets into git";
    default:
      return one satisfies never;
  }
}
