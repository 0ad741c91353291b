import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** A session without an end (MQTT 5 §3.1.2.11.2): with one that expires, the broker is not told. */
const NEVER = 0xffff_ffff;
const COMMAND = { method: "POST", body: '{"open":true}' };

async function device(site: LiveSite, ...args: string[]): Promise<void> {
  const { code, stderr } = await shell(["device", ...args, "--dir", site.layout.directory]);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
}

/** The bundle as it is on the device; nothing of it stays in the site. */
async function moved(site: LiveSite, name: string): Promise<string> {
  const place = `${site.layout.directory}/${name}`;
  await Deno.rename(`${site.layout.devicesFolder}/retired`, place);
  return place;
}

/** A device with two good certificates, whose files are not in the site any more. */
async function withRetired(
  site: LiveSite,
  work: (bundles: readonly string[]) => Promise<void>,
): Promise<void> {
  await site.register("retired");
  const first = await moved(site, "first");
  await device(site, "rotate", "retired", "--certificate");
  const second = await moved(site, "second");
  await work([first, second]);
}

/** Its session stays with the broker, and a command waits in it. */
async function goesAway(site: LiveSite, bundle: string): Promise<void> {
  const away = await site.connect(bundle, { sessionExpirySeconds: NEVER });
  await away.close();
  assert.equal((await site.api("/command/retired", COMMAND)).status, 202);
}

async function assertNotHeard(site: LiveSite, bundles: readonly string[]): Promise<void> {
  for (const bundle of bundles) await assert.rejects(site.connect(bundle), /revoked/i, bundle);
  await device(site, "add", "retired");
  const successor = await site.connect(`${site.layout.devicesFolder}/retired`, {
    sessionExpirySeconds: NEVER,
  });
  const own = { ...COMMAND, body: '{"open":false}' };
  assert.equal((await site.api("/command/retired", own)).status, 202);
  // The first that it hears: nothing of its predecessor was kept.
  assert.equal((await successor.command()).payload, own.body);
  for (const bundle of bundles) await assert.rejects(site.connect(bundle), /revoked/i, bundle);
  assert.ok(successor.connected);
}

Deno.test("a removed device never hears what its successor of the same id is told, nor the other way", async () => {
  await withLiveSite(async (site) => {
    await withRetired(site, async (bundles) => {
      await goesAway(site, bundles[1]!);
      await device(site, "remove", "retired");
      await assertNotHeard(site, bundles);
    });
  });
});

Deno.test("nor if the broker was not running when the device was removed", async () => {
  await withLiveSite(async (site) => {
    await withRetired(site, async (bundles) => {
      await goesAway(site, bundles[1]!);
      await site.stopBroker();
      await device(site, "remove", "retired");
      await site.startBroker();
      await poll("the gateway", async () => await site.metric("broker_connected") === 1);
      // The broker has kept its session, with the command: the id is taken until that is ended.
      const early = await shell(["device", "add", "retired", "--dir", site.layout.directory]);
      assert.equal(early.code, 1);
      assert.match(early.stderr, /its removal did not finish, run device remove retired/);
      await device(site, "remove", "retired");
      await assertNotHeard(site, bundles);
    });
  });
});
