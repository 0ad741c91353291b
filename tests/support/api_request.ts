/** Requests to the gateway's API, written by hand, whole or in parts. */

import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "./live_site.ts";
import { RawClient } from "./raw_client.ts";

/** The way to a site's API, as a backend has it. */
interface Access {
  readonly port: number;
  readonly ca: string;
  readonly key: string;
}

/** The way to the API of `site`, with its first key. */
export function accessTo(site: LiveSite): Access {
  return {
    port: site.config.api.port,
    ca: Deno.readTextFileSync(site.layout.gatewayCa.certificate),
    key: Deno.readTextFileSync(site.layout.apiKey).trim(),
  };
}

/** Parts of a request for a command; whatever is not given is as it should be. */
interface ApiRequest {
  readonly method?: string;
  readonly path?: string;
  readonly version?: string;
  readonly host?: string;
  /** The Authorization fields, whole lines; KEY stands for the key. */
  readonly authorization?: string;
  readonly type?: string;
  readonly more?: string;
  /** The Content-Length; the body's own where not given. */
  readonly length?: string;
  readonly body?: string;
}

/** The request as it goes over the line. */
export function textOf(request: ApiRequest, key: string): string {
  const { method = "POST", path = "/command/sensor_001", version = "HTTP/1.1", body = "1" } =
    request;
  const { host = "Host: localhost\r\n", authorization = "Authorization: Bearer KEY\r\n" } = request;
  const { type = "Content-Type: application/json\r\n", more = "" } = request;
  const { length = `Content-Length: ${new TextEncoder().encode(body).length}\r\n` } = request;
  const fields = host + authorization.replaceAll("KEY", key) + type + more + length;
  return `${method} ${path} ${version}\r\n${fields}\r\n${body}`;
}

/** Asks once on a connection of its own. */
export async function ask(
  request: ApiRequest,
  access: Access,
): Promise<{ status: number; problem: string }> {
  const client = await RawClient.open(access);
  await client.write(textOf(request, access.key));
  const status = await client.status();
  const problem = () => /urn:secure-iot-gateway:problem:([a-z-]+)/.exec(client.received)?.[1];
  const speaks = client.received.includes("application/problem+json");
  if (speaks) await poll("the problem", () => problem() ?? client.ended);
  await client.close();
  return { status, problem: problem() ?? "" };
}

/** A request, and the status and problem that it must get; 0 where the connection just ends. */
export type ApiRequestRow = readonly [
  what: string,
  request: ApiRequest,
  status: number,
  problem?: string,
];

/** The field of a body that comes in chunks. */
export const CHUNKED = "Transfer-Encoding: chunked\r\n";
