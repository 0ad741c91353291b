/** `monitor`: what it prints can be taken as it is. */

import assert from "node:assert/strict";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

async function printed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await shell(["monitor", ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

Deno.test("rules and dashboard need no site, and are the same as a text in JSON", async () => {
  const rules = await printed("rules");
  assert.match(rules, /^groups:\n/);
  assert.equal(JSON.parse(await printed("rules", "--json")).text, rules);
  const dashboard = await printed("dashboard");
  assert.equal(JSON.parse(dashboard).title, "SecureIoTGateway");
  assert.equal(JSON.parse(await printed("dashboard", "--json")).text, dashboard);
});

Deno.test("the scrape configuration is this site's, as Prometheus reaches it", async () => {
  await withFolder(async (folder) => {
    const ports = quietPorts();
    const site = ["--dir", `${folder}/site`];
    assert.equal((await shell(["init", ...ports, ...site])).code, 0);
    const port = ports.at(-1);
    assert.match(await printed("scrape", ...site), new RegExp(`"localhost:${port}"`));
    const options = ["--host", "::1", "--ca-file", "/a/ca", "--key-file", "/a/key"];
    const text = await printed("scrape", ...options, ...site);
    for (const one of [`"[::1]:${port}"`, 'ca_file: "/a/ca"', 'credentials_file: "/a/key"']) {
      assert.ok(text.includes(one), text);
    }
  });
});
