/**
 * Flags for the runtime itself, wherever the program is started.
 *
 * V8 lets the heap grow to several times what is alive before it collects the old generation. On a
 * small machine memory is dearer than that: with 40% the resident set under full load falls by a
 * quarter, for no more time in the collector (`deno task bench throughput` prints both).
 */
export const RUNTIME_FLAGS = ["--v8-flags=--heap-growing-percent=40"] as const;
