/**
 * Flags for the runtime itself, wherever the program is started.
 *
 * On a small machine memory is scarce, and V8 is generous with it: it lets new objects fill 48 MB,
 * and the heap grow to several times what is alive, before it collects either. Held to this, the resident
 * set under full load is smaller by a third, for a few hundredths more time in the collector
 * (`deno task bench throughput` prints both).
 */
export const RUNTIME_FLAGS = [
  "--v8-flags=--heap-growing-percent=20,--max-semi-space-size=4",
] as const;
