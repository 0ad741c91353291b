/** How the servers of a store are called: without user and password. */

/** `postgres://host:port,host:port/database`. */
export function serverName(
  { hosts, database }: {
    readonly hosts: readonly { readonly host: string; readonly port: number }[];
    readonly database: string;
  },
): string {
  const names = hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
  return `postgres://${names.join()}/${database}`;
}
