/** What the page for firmware authors says of connections that fail, against a real broker. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const PAGE = fileURLToPath(new URL("../../docs/device/firmware.md", import.meta.url));
/** Of the command on the page, these words are the site's. */
const BROKER = "broker.example:8883";
const NAME = "-verify_hostname broker.example";

/** How the command of the page becomes one with the mistake of a row. */
const FAULTS: Readonly<Record<string, (command: string, site: LiveSite) => string>> = {
  "a name that the certificate has not": (command) =>
    command.replace("-verify_hostname localhost", "-verify_hostname other.example"),
  "the clock says 1970": (command) => `${command} -attime 42`,
  "another `ca.crt`": (command, site) =>
    command.replace("-CAfile ca.crt", `-CAfile '${site.layout.deviceCa.certificate}'`),
  "no client certificate": (command) => command.replace("-cert client.crt -key client.key", ""),
  "a client certificate of somebody else": (command) =>
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=sensor_001 " +
    "-keyout client.key -out client.crt 2>openssl.log && " + command,
};

Deno.test({
  name: "openssl names each fault of a connection with the words of the page",
  ignore: !hasOpenssl(),
  fn: () =>
    withLiveSite(async (site) => {
      const folder = await site.register("sensor_001");
      const command = commandOfPage().replace(BROKER, `localhost:${site.config.devices.port}`)
        .replace(NAME, "-verify_hostname localhost");
      const good = await said(folder, command, "ends");
      assert.match(good, /Verification: OK/);
      assert.doesNotMatch(good, /alert|error/);
      const rows = rowsOfPage();
      assert.deepEqual(rows.map(([fault]) => fault), Object.keys(FAULTS));
      for (const [fault, words] of rows) {
        assert.ok((await said(folder, FAULTS[fault]!(command, site))).includes(words), fault);
      }
    }),
});

function section(): string {
  const [, after = ""] = Deno.readTextFileSync(PAGE).split("\n## When the connection fails\n");
  return after.split("\n## ")[0] ?? "";
}

function commandOfPage(): string {
  return /^```sh\n(.*?)\n```$/ms.exec(section())?.[1]?.replaceAll("\\\n", " ") ?? "";
}

function rowsOfPage(): [fault: string, words: string][] {
  return [...section().matchAll(/^\| ([^|]+?) +\| `([^`|]+)` +\|/gm)]
    .map(([, fault = "", words = ""]) => [fault, words]);
}

/** Runs a command in the device's folder to its end, which the end of its input is, too. */
async function said(folder: string, command: string, input: "ends" | "stays" = "stays") {
  const child = new Deno.Command("sh", {
    args: ["-c", `(${command}) 2>&1`],
    cwd: folder,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  if (input === "ends") await child.stdin.close();
  const text = await new Response(child.stdout).text();
  await child.status;
  if (input === "stays") await child.stdin.close().catch(() => {}); // it ended by itself
  return text;
}

function hasOpenssl(): boolean {
  try {
    return new Deno.Command("openssl", { args: ["version"] }).outputSync().success;
  } catch {
    return false;
  }
}
