/** Addresses to listen on, and how they are reached from this machine. */

const EVERY_ADDRESS: readonly string[] = ["0.0.0.0", "::"];

/** True if listening on `host` means every address of the machine; a client cannot connect to it. */
export function isEveryAddress(host: string): boolean {
  return EVERY_ADDRESS.includes(host);
}

/** The https origin that reaches, from this machine, a server listening on `host`. */
export function localOrigin(host: string, port: number): string {
  return `https://${hostPort(reachableHost(host), port)}`;
}

/** Host and port as one text; an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The host that reaches, from this machine, a server listening on `host`. */
export function reachableHost(host: string): string {
  return isEveryAddress(host) ? "localhost" : host;
}
