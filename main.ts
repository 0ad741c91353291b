// One program in two parts: what the shell starts, and the confined worker that this starts.
if (Reflect.has(globalThis, "WorkerGlobalScope")) {
  const { serveConfined } = await import("./src/confined.ts");
  serveConfined(self as unknown as Parameters<typeof serveConfined>[0]);
} else {
  const { runProgram } = await import("./src/cli/program.ts");
  Deno.exit(await runProgram(Deno.args));
}
