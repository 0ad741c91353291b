/** `init`: makes a site. */

import { createSite } from "../site/operations/site_creation.ts";
import { layoutOf } from "./open_site.ts";
import { type JsonOption, printJson } from "./json_output.ts";
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
    const exit = result.because === "arguments" ? EXIT.wrongUse : EXIT.failed;
    throw new CommandError(result.faults, { exit });
  }
  const { directory, brokerConfiguration } = result.layout;
  if (options.json) return printJson({ directory, brokerConfiguration, notes: result.notes });
  print(`Made a site in ${directory}`);
  for (const text of result.notes) note(`hint: ${text}`);
  note(`Next:
  secure-iot-gateway device add sensor_001 --dir ${directory}
  mosquitto -c ${brokerConfiguration}
  secure-iot-gateway run --dir ${directory}`);
}
