/** How much patience a machine deserves that has more to do than this. */

/** What may take `idleMs` on an idle machine may take so much longer where processors are short. */
export function allowedMs(idleMs: number): number {
  const [runnable = 0] = Deno.loadavg();
  return idleMs * Math.max(1, runnable / navigator.hardwareConcurrency);
}
