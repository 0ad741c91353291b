import assert from "node:assert/strict";
import { Confinement } from "../../src/confinement.ts";
import { readCredentials, StartError } from "../../src/credentials.ts";
import { withLiveSite } from "../e2e/live_site.ts";
import type { Outcomes } from "./hostile_worker.ts";

/** Refused as it should be, though Deno or SQLite say so in other words. */
const OTHER_WORDS: Readonly<Record<string, RegExp>> = {
  "remote code": /^TypeError: Requires import access to "example.com:443"/,
  "local code": /^TypeError: Requires read access to /,
  "a database attached": /^Error: too many attached databases - max 0/,
  "a copy of the database": /^Error: too many attached databases - max 0/,
};

Deno.test("a hostile module in the gateway's place reaches what the gateway needs, and nothing else", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const { config } = site;
    const options = {
      log: () => {},
      onReady: () => {},
      entry: import.meta.resolve("./hostile_worker.ts"),
    };
    const confinement = new Confinement({ config, credentials: readCredentials(config) }, options);
    const error = await confinement.run(new AbortController().signal).catch((error) => error);
    assert.ok(error instanceof StartError, error);
    const outcomes: Outcomes = JSON.parse(error.message);
    Deno.writeTextFileSync("/tmp/cf/out.json", JSON.stringify(outcomes, null, 1));
    for (const [name, outcome] of Object.entries(outcomes)) {
      if (name.startsWith("allowed: ")) assert.equal(outcome, "allowed", name);
      else assert.match(outcome, OTHER_WORDS[name] ?? /^NotCapable: /, `${name}: ${outcome}`);
    }
    assert.ok(Object.keys(outcomes).length > 40);
  }, { start: false });
});
