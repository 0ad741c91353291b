/** `command`: sends a command through the API of a running gateway. */

import { localOrigin } from "../config/listen_address.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf } from "./open_site.ts";
import { CommandError, print } from "./terminal.ts";

const TIMEOUT_MS = 15_000;

/** POSTs `json` to `/command/{id}` and prints the answer. */
export async function sendCommand(
  deviceId: string,
  json: string,
  options: JsonOption,
): Promise<void> {
  const layout = layoutOf(options);
  const { api } = configOf(layout);
  const url = `${localOrigin(api.host, api.port)}/command/${encodeURIComponent(deviceId)}`;
  using client = Deno.createHttpClient({ caCerts: [read(layout.gatewayCa.certificate)] });
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "authorization": `Bearer ${readKey(api.keyFile)}`,
      "content-type": "application/json",
    },
    body: json,
    client,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: Error) => {
    throw new CommandError(`Cannot reach the gateway at ${url}: ${error.message}`, {
      hint: `Is it running? secure-iot-gateway run --dir ${layout.directory}`,
    });
  });
  const answer = await response.text();
  if (response.ok) return options.json ? printJson(JSON.parse(answer)) : print(answer);
  throw new CommandError(`The gateway answered ${response.status}: ${titleOf(answer)}`);
}

function titleOf(answer: string): string {
  try {
    const { title, detail } = JSON.parse(answer);
    return `${title}. ${detail}`;
  } catch {
    return answer.slice(0, 200);
  }
}

function readKey(path: string): string {
  try {
    return readOperatorText(path).trim();
  } catch (error) {
    throw new CommandError(`Cannot read "${path}": ${(error as Error).message}`, {
      hint: "If it was deleted, make a new key and put it there: secure-iot-gateway key add NAME",
    });
  }
}

function read(path: string): string {
  try {
    return readOperatorText(path);
  } catch (error) {
    throw new CommandError(`Cannot read "${path}": ${(error as Error).message}`);
  }
}
