// One program in two parts: what the shell starts, and the confined worker that this starts.
if (Reflect.has(globalThis, "WorkerGlobalScope")) {
  const { serveWorker } = await import("./src/process/worker.ts");
  serveWorker(self as unknown as Parameters<typeof serveWorker>[0]);
} else {
  const { runProgram } = await import("./src/cli/program.ts");
  Deno.exit(await runProgram(Deno.args));
}
