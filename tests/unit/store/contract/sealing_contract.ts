import assert from "node:assert/strict";
import type { SealingKeyPlaces } from "../../../../src/config/config.ts";
import { withFolder } from "../../../support/with_folder.ts";
import type { Contract, Open } from "./contract.ts";

/** Runs `work` with a place for sealing keys where there are none yet. */
async function withKeys(work: (keys: SealingKeyPlaces) => Promise<void>): Promise<void> {
  await withFolder((folder) => work({ file: `${folder}/secrets.key`, credential: undefined }));
}

/** Registers one device, in a store that was opened without keys. */
async function withDevice(open: Open) {
  const store = await open();
  await store.registry.addAll([{ deviceId: "a", sharedSecret: "hush", createdAt: 1 }]);
  return store;
}

/** What holds for sealed secrets. */
export const SEALING_CONTRACT: Contract = {
  "a sealed secret opens where the key is, and nowhere else": async (open) => {
    const { sealing, registry } = await withDevice(open);
    await withKeys(async (keys) => {
      assert.equal((await sealing.seal(keys)).count, 1);
      const withKey = (await open("command", keys)).registry;
      assert.equal(await withKey.missingSealingKeys(), undefined);
      assert.equal((await withKey.find("a"))?.sharedSecret, "hush");
      assert.equal((await withKey.secretHolders()).get("hush"), "a");
      assert.match((await registry.missingSealingKeys())!, /sealed under [0-9a-f]{12}/);
      const shut = (await registry.find("a"))!;
      assert.throws(() => shut.sharedSecret, /its key is not here/);
      assert.equal((await registry.secretHolders()).size, 0);
    });
  },

  "a sealed store takes no secret from a program that cannot seal it": async (open) => {
    const { sealing, registry } = await withDevice(open);
    await withKeys(async (keys) => {
      await sealing.seal(keys);
      const device = { deviceId: "b", sharedSecret: "other", createdAt: 1 };
      await assert.rejects(registry.addAll([device]), /The secrets are sealed/);
      assert.equal(await registry.find("b"), undefined);
      const { registry: withKey } = await open("command", keys);
      await withKey.addAll([device]);
      assert.equal((await withKey.find("b"))?.sharedSecret, "other");
      assert.ok(!(await withKey.find("b"))!.storedSecret.includes("other"));
    });
  },

  "a new sealing key opens everything, and unsealing gives the secrets back": async (open) => {
    const { sealing, registry } = await withDevice(open);
    await withKeys(async (keys) => {
      const { keyId } = await sealing.seal(keys);
      const rotated = await sealing.rotateKey(keys);
      assert.equal(rotated.count, 1);
      assert.notEqual(rotated.keyId, keyId);
      assert.equal((await (await open("command", keys)).registry.find("a"))?.sharedSecret, "hush");
      assert.deepEqual(await sealing.unseal(keys), { count: 1 });
      assert.equal((await registry.find("a"))?.sharedSecret, "hush");
    });
  },
};
