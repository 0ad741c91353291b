/** How this program is typed. */

/** From a checkout it is a task, and nothing of the program's own name is on the machine. */
export function programName(): string {
  const isCheckout = !Deno.build.standalone && Deno.mainModule.endsWith("/main.ts");
  return isCheckout ? "deno task gateway" : "secure-iot-gateway";
}
