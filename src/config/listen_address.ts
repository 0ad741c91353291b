/** Addresses to listen on, and how they are reached from this machine. */

const EVERY_ADDRESS: readonly string[] = ["0.0.0.0", "::"];

/** True if listening on `host` means every address of the machine; it cannot be connected to. */
export function isEveryAddress(host: string): boolean {
  return EVERY_ADDRESS.includes(host);
}

/** The https origin at which what listens on `host` is reached from this machine. */
export function localOrigin(host: string, port: number): string {
  const name = reachableHost(host);
  return `https://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

/** The host at which what listens on `host` is reached from this machine. */
export function reachableHost(host: string): string {
  return isEveryAddress(host) ? "localhost" : host;
}
