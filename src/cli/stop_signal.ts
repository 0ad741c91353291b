/** Commands that go on until they are told to stop. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Does work whose signal is aborted by SIGTERM or SIGINT; further ones change nothing. */
export async function untilStopped(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const end = () => stop.abort();
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, end);
  try {
    await work(stop.signal);
  } finally {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, end);
  }
}
