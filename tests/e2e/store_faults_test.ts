import assert from "node:assert/strict";
import { backup, DatabaseSync } from "node:sqlite";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** The rule of all these: no PUBACK for what is not stored, `/readyz` says why, and it recovers. */
async function assertHeld(site: LiveSite, device: DeviceClient, why: RegExp): Promise<string> {
  const { messageId } = await device.send('"held"');
  const failed = await site.logged("store_failed");
  assert.match(failed.message, why);
  const readiness = await site.api("/readyz");
  assert.equal(readiness.status, 503);
  assert.match((await readiness.json()).detail, why);
  assert.equal((await site.api("/healthz")).status, 200);
  assert.ok(!site.backend.received.some(({ text }) => text === '"held"'));
  return messageId;
}

async function assertWell(site: LiveSite, device: DeviceClient, held: string): Promise<void> {
  await device.response(held);
  await poll("readiness", async () => (await site.api("/readyz")).status === 200);
  await device.response((await device.send('"after"')).messageId);
  const texts = site.backend.received.map(({ text }) => text);
  assert.deepEqual([...new Set(texts.slice(-2))], ['"held"', '"after"']);
}

/** Puts the site's data folder onto a small file system of its own. */
async function withSmallDisk(
  work: (site: LiveSite, folder: string) => Promise<void>,
): Promise<void> {
  await withLiveSite(async (site) => {
    const folder = site.layout.dataFolder;
    const database = await Deno.readFile(site.layout.database);
    const mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder];
    const { success } = await new Deno.Command("mount", { args: mount }).output();
    assert.ok(success, "mount -t tmpfs");
    try {
      await Deno.writeFile(site.layout.database, database);
      await site.startGateway();
      await work(site, folder);
      await site.stopGateway();
    } finally {
      await site.stopGateway();
      await new Deno.Command("umount", { args: ["-l", folder] }).output();
    }
  }, { start: false });
}

const canMount = Deno.uid() === 0 && await (async () => {
  const folder = await Deno.makeTempDir();
  const mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder];
  const { success } = await new Deno.Command("mount", { args: mount }).output();
  if (success) await new Deno.Command("umount", { args: [folder] }).output();
  await Deno.remove(folder);
  return success;
})();

Deno.test({
  name: "a full disk: nothing is acknowledged, and it goes on when there is room",
  ignore: !canMount,
  async fn() {
    await withSmallDisk(async (site, folder) => {
      const device = await site.device("sensor_001");
      await device.response((await device.send('"before"')).messageId);
      const filler = `${folder}/filler`;
      const file = await Deno.open(filler, { create: true, write: true });
      await file.write(new Uint8Array(4 * 1024 * 1024)).catch(() => {});
      for (let room = true; room;) {
        room = await file.write(new Uint8Array(512)).then(() => true, () => false);
      }
      file.close();
      const held = await assertHeldWithLoad(site, device);
      await Deno.remove(filler);
      await device.response(held);
      await poll("readiness", async () => (await site.api("/readyz")).status === 200);
      const texts = site.backend.received.map(({ text }) => text).filter((text) =>
        text !== '"before"'
      );
      assert.equal(new Set(texts).size, texts.length, "each once");
    });
  },
});

/** Files that no process may write any longer, not even one that has them open (ext4, btrfs, xfs). */
async function setImmutable(database: string, immutable: boolean): Promise<boolean> {
  const files = ["", "-wal"].map((suffix) => database + suffix);
  const args = [immutable ? "+i" : "-i", ...files];
  return (await new Deno.Command("chattr", { args, stderr: "null" }).output()).success;
}

const canFreeze = Deno.uid() === 0 && await (async () => {
  const file = await Deno.makeTempFile();
  const change = (mode: string) => new Deno.Command("chattr", { args: [mode, file] }).output();
  const { success } = await change("+i").catch(() => ({ success: false }));
  if (success) await change("-i");
  await Deno.remove(file);
  return success;
})();

/** A copy of a database that is in use, as a backup would be. */
async function copyDatabase(database: string, copy: string): Promise<void> {
  const source = new DatabaseSync(database);
  await backup(source, copy);
  source.close();
}

Deno.test({
  name: "a database that turns read-only: nothing is acknowledged, and it goes on afterwards",
  ignore: !canFreeze,
  async fn() {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001");
      await device.response((await device.send('"before"')).messageId);
      const { database } = site.layout;
      try {
        assert.ok(await setImmutable(database, true));
        const held = await assertHeld(site, device, /read-?only|disk I\/O/i);
        assert.ok(await setImmutable(database, false));
        await assertWell(site, device, held);
      } finally {
        await setImmutable(database, false);
      }
    });
  },
});

/** Messages until the disk is really full: the write-ahead log has some room of its own. */
async function assertHeldWithLoad(site: LiveSite, device: DeviceClient): Promise<string> {
  const bulk = "x".repeat(20_000);
  let last = "";
  for (let i = 0; i < 60; i++) {
    last = (await device.send(`"${i} ${bulk}"`)).messageId;
    if (site.log.some(({ event }) => event === "store_failed")) break;
  }
  const failed = await site.logged("store_failed");
  assert.match(failed.message, /full|disk I\/O/);
  const readiness = await site.api("/readyz");
  assert.match((await readiness.json()).detail, /the store cannot be written/);
  return last;
}

Deno.test("a database that is deleted: held until it is back, then started again on it", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send('"before"')).messageId);
    const { database } = site.layout;
    await Deno.rename(database, `${database}.away`);
    const held = await assertHeld(site, device, /gateway\.db" is gone/);
    await Deno.rename(`${database}.away`, database);
    await site.logged("store_replaced");
    await assertWell(site, device, held);
  });
});

Deno.test("a database that is replaced by a backup: started again on it, nothing is lost", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send('"before"')).messageId);
    const { database } = site.layout;
    const copy = `${database}.backup`;
    await copyDatabase(database, copy);
    for (const suffix of ["", "-wal", "-shm"]) await Deno.remove(database + suffix);
    const held = await assertHeld(site, device, /is gone/);
    await Deno.rename(copy, database);
    await site.logged("store_replaced");
    await assertWell(site, device, held);
  });
});

Deno.test("a database that is cut short: held until a whole one stands in its place", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send('"before"')).messageId);
    const { database } = site.layout;
    const copy = `${database}.backup`;
    await copyDatabase(database, copy);
    await Deno.truncate(database, 4_096);
    const held = await assertHeld(site, device, /was cut short|is damaged/);
    for (const suffix of ["", "-wal", "-shm"]) await Deno.remove(database + suffix);
    await Deno.rename(copy, database);
    await site.logged("store_replaced");
    await assertWell(site, device, held);
  });
});

Deno.test("a database that is locked for long: held, and written when the lock is gone", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const other = new DatabaseSync(site.config.store.database);
    other.exec("BEGIN EXCLUSIVE");
    const held = await assertHeld(site, device, /locked/);
    other.exec("ROLLBACK");
    other.close();
    await assertWell(site, device, held);
  });
});
