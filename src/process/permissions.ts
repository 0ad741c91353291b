/**
 * What the part of the program that touches bytes from outside may do.
 *
 * The rules are:
 * - it reaches the broker and the backend, and nothing else on any network; with a proxy in front of
 *   the backend, the proxy as well: the runtime asks for the permission of both;
 * - it reads and writes the database, or reaches the servers that have it;
 * - it reads certificates and lists, which are no secrets, to see when they end, and the key of sealed
 *   secrets, which it has to have and to follow while it is rotated; what it needs of other keys is
 *   handed to it as text;
 * - it has no environment, no subprocess, no foreign code, nothing of the system's.
 */

import type { Config } from "../config/config.ts";
import { hostPort } from "../config/listen_address.ts";

/** Where it may listen: at a port that the system chooses, behind the proxy. */
const BEHIND_THE_PROXY = "127.0.0.1:0";

/** The exact permissions of a gateway with this configuration. */
export function permissionsOf(
  { broker, backend, api, devices, store }: Config,
): Deno.PermissionOptionsObject {
  const file = store.server === undefined ? [store.database] : [];
  return {
    net: [
      hostPort(broker.host, broker.port),
      addressOfUrl(backend.url),
      ...(backend.proxy === undefined ? [] : [addressOfUrl(backend.proxy)]),
      ...(store.server?.hosts ?? []).map(({ host, port }) => hostPort(host, port)),
      BEHIND_THE_PROXY,
    ],
    read: [
      ...file,
      broker.ca,
      broker.certificate,
      api.certificate,
      ...(backend.ca === undefined ? [] : [backend.ca]),
      ...(backend.pair === undefined ? [] : [backend.pair.certificate]),
      devices.authority,
      devices.revocationList,
      store.sealingKey.file,
      ...(store.sealingKey.credential === undefined ? [] : [store.sealingKey.credential]),
    ],
    write: file,
    env: false,
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
}

function addressOfUrl(text: string): string {
  const { hostname, port, protocol } = new URL(text);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
}
