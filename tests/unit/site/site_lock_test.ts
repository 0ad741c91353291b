import assert from "node:assert/strict";
import { siteLayout } from "../../../src/site/layout.ts";
import { lockNow, lockPath, SiteLockedError, waitForLock } from "../../../src/site/site_lock.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("a lock is a file of data/ that only its owner can open", async () => {
  await withFolder((folder) => {
    const layout = siteLayout(folder);
    using _lock = lockNow(layout, "gateway");
    const path = lockPath(layout, "gateway");
    assert.ok(path.startsWith(`${layout.dataFolder}/`));
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.equal(Deno.statSync(layout.dataFolder).mode! & 0o777, 0o700);
  });
});

Deno.test("a lock that is held is waited for as long as said, and the error says who holds it", async () => {
  await withFolder(async (folder) => {
    const layout = siteLayout(folder);
    const held = lockNow(layout, "broker");
    const isSaid = (error: unknown) => {
      assert.ok(error instanceof SiteLockedError);
      assert.match(error.message, new RegExp(`process ${Deno.pid} has locked`));
      assert.match(error.hint, /^Wait until/);
      return true;
    };
    assert.throws(() => lockNow(layout, "broker"), isSaid);
    await assert.rejects(waitForLock(layout, "broker", { waitMs: 60 }), isSaid);
    const waiting = waitForLock(layout, "broker");
    held.close();
    (await waiting).close();
  });
});

Deno.test("no other file of a site is locked: what others may read, they may lock", async () => {
  await withFolder((folder) => {
    const layout = siteLayout(folder);
    Deno.writeTextFileSync(layout.configuration, "");
    using foreign = Deno.openSync(layout.configuration);
    foreign.lockSync(true);
    using _lock = lockNow(layout, "gateway");
    using _other = lockNow(layout, "doctor"); // one lock for each purpose
  });
});
