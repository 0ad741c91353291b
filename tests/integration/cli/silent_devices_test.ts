import assert from "node:assert/strict";
import { siteLayout } from "../../../src/site/layout.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

const NOW_SECONDS = Math.floor(Date.now() / 1000);
const iso = (seconds: number) => new Date(seconds * 1000).toISOString();

Deno.test("device list --silent and device show say when a device was last seen and refused", async () => {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", dir]);
    await run("init");
    const store = await openStore({ database: siteLayout(dir).database }, { author: "gateway" });
    try {
      const add = (deviceId: string, createdAt: number) =>
        store.registry.addAll([{ deviceId, sharedSecret: deviceId, createdAt }]);
      for (const id of ["quiet", "lively", "mute", "revoked"]) await add(id, NOW_SECONDS - 9_000);
      await add("fresh", NOW_SECONDS);
      await store.registry.revoke("revoked", { revokedAt: NOW_SECONDS, reason: "lost" });
      const use = (deviceId: string, generation: number, lastUsed: number) => ({
        deviceId,
        generation,
        lastUsed,
      });
      await store.registry.recordUses([
        use("quiet", 2, NOW_SECONDS - 7_200),
        use("quiet", 1, NOW_SECONDS - 8_000),
        use("lively", 1, NOW_SECONDS - 60),
      ]);
      const forged = candidate("quiet", { verified: false });
      await messagesOf(store).commit(batch({
        examined: [forged, candidate("lively", { verified: false })],
        wallMs: NOW_SECONDS * 1000,
        attendedSeconds: NOW_SECONDS - 3_000,
      }));

      const { stdout, stderr, code } = await run("device", "list", "--silent", "1h", "--json");
      assert.equal(code, 0, stderr);
      assert.deepEqual(
        JSON.parse(stdout).map((
          one: Record<string, string>,
        ) => [one["device_id"], one["last_seen_at"]]),
        [["mute", null], ["quiet", iso(NOW_SECONDS - 7_200)]],
      );
      assert.equal(
        stderr,
        `note: the gateway is not taking messages: ${iso(NOW_SECONDS - 3_000)} was its last time\n`,
      );
      const table = (await run("device", "list")).stdout.trimEnd().split("\n");
      assert.equal(table.length, 6);
      for (const line of table) assert.ok(line.length <= 80, line);

      const shown = JSON.parse((await run("device", "show", "quiet", "--json")).stdout);
      assert.equal(shown.last_seen_at, iso(NOW_SECONDS - 7_200));
      assert.deepEqual(shown.last_rejection, { code: "invalid_signature", time: iso(NOW_SECONDS) });
      assert.match((await run("device", "show", "mute")).stdout, /^last_rejection: -$/m);
      for (const silent of ["1m", "soon", ""]) {
        const refused = await run("device", "list", "--silent", silent);
        assert.deepEqual([refused.code, refused.stdout], [2, ""]);
        assert.match(
          refused.stderr,
          /^error: Cannot use --silent .*\nhint: Give a duration from "2m"/,
        );
      }
    } finally {
      await store.close();
    }
  });
});
