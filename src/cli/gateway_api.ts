/** The API of this site's gateway, as the command line asks it. */

import { type ApiAnswer, ApiClient } from "../client/api_client.ts";
import { localOrigin } from "../config/listen_address.ts";
import { faultText } from "../core/fault_text.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { configOf, layoutOf, type SiteOption } from "./open_site.ts";
import { programName } from "./program_name.ts";
import { CommandError } from "./terminal.ts";

const UNAUTHORIZED = 401;
const KEY_HINT = "Put a key of this site into api.key; secure-iot-gateway key add NAME makes one";

/** Asks one request; fails with a hint if the gateway cannot be reached. */
export type AskGateway = (
  request: (api: ApiClient) => Promise<ApiAnswer>,
) => Promise<ApiAnswer>;

/** Opens the API with the key in the site's file, for as long as `work` takes. */
export async function withGateway<T>(
  options: SiteOption,
  work: (ask: AskGateway) => Promise<T>,
): Promise<T> {
  const { api, url, directory } = openGateway(options);
  try {
    return await work(async (request) => {
      try {
        return await request(api);
      } catch (error) {
        throw new CommandError(`Cannot reach the gateway at ${url}: ${faultText(error)}`, {
          hint: `Is it running? ${programName()} run --dir ${directory}`,
        });
      }
    });
  } finally {
    api.close();
  }
}

/** The API of the site's gateway, with the key in the site's file; close it when you are done. */
export function openGateway(
  options: SiteOption,
): { readonly api: ApiClient; readonly url: string; readonly directory: string } {
  const layout = layoutOf(options);
  const { api: { host, port, keyFile } } = configOf(layout);
  const url = localOrigin(host, port);
  const key = readKey(keyFile);
  const api = new ApiClient({ url, key, authority: read(layout.gatewayCa.certificate) });
  return { api, url, directory: layout.directory };
}

/** What the gateway says is wrong, as an error. */
export function refusalOf(
  { status, text }: ApiAnswer,
  hint = status === UNAUTHORIZED ? KEY_HINT : undefined,
): CommandError {
  const message = `The gateway answered ${status}: ${titleOf(text)}`;
  return new CommandError(message, hint === undefined ? {} : { hint });
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
    throw new CommandError(`Cannot read "${path}": ${faultText(error)}`, {
      hint: "If it was deleted, make a new key and put it there: secure-iot-gateway key add NAME",
    });
  }
}

function read(path: string): string {
  try {
    return readOperatorText(path);
  } catch (error) {
    throw new CommandError(`Cannot read "${path}": ${faultText(error)}`);
  }
}
