/** Ports that nobody uses. */

/** Finds `count` different free TCP ports; they are not held, so use them soon. */
export function freePorts(count: number): number[] {
  // All are open at once: the system gives no port out twice.
  const listeners = Array.from({ length: count }, () => Deno.listen({ port: 0 }));
  const ports = listeners.map((listener) => listener.addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}
