/** How the servers of a store are called: without user and password. */

import { hostPort } from "./listen_address.ts";

/** `postgres://host:port,host:port/database`. */
export function serverName(
  { hosts, database }: {
    readonly hosts: readonly { readonly host: string; readonly port: number }[];
    readonly database: string;
  },
): string {
  const names = hosts.map(({ host, port }) => hostPort(host, port));
  return `postgres://${names.join()}/${database}`;
}
