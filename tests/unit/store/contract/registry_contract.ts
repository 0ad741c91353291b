import assert from "node:assert/strict";
import type { RegistryStore } from "../../../../src/store/registry.ts";
import type { Contract } from "./contract.ts";

const CERTIFICATE = { serial: "01", notBefore: 1_000, notAfter: 2_000 };

async function add(registry: RegistryStore, deviceId: string, serial = deviceId): Promise<void> {
  const certificate = { ...CERTIFICATE, serial };
  await registry.addAll([
    { deviceId, sharedSecret: `secret of ${deviceId}`, createdAt: 1, certificate },
  ]);
}

async function ids(registry: RegistryStore): Promise<string[]> {
  return (await registry.list()).map(({ deviceId }) => deviceId);
}

/** What holds for the registry. */
export const REGISTRY_CONTRACT: Contract = {
  "a device is found with its secret and its certificate's end": async (open) => {
    const { registry } = await open();
    await add(registry, "a");
    const device = await registry.find("a");
    assert.equal(device?.sharedSecret, "secret of a");
    assert.equal(device?.notAfter, 2_000);
    assert.equal(device?.generation, 1);
    assert.equal(await registry.find("b"), undefined);
    assert.ok(!JSON.stringify(device).includes("secret of a"), "and shows it to nobody");
  },

  "of many devices all are registered, or none": async (open) => {
    const { registry } = await open();
    const device = (deviceId: string, sharedSecret = deviceId) => {
      return { deviceId, sharedSecret, createdAt: undefined };
    };
    await assert.rejects(registry.addAll([device("a"), device("b", "$sealed$1$")]));
    assert.deepEqual(await ids(registry), []);
    assert.deepEqual(await registry.addAll([device("b"), device("a")]), []);
    assert.deepEqual(await ids(registry), ["a", "b"]);
  },

  "ids and secrets that are taken are conflicts, also within the list, and none is registered":
    async (
      open,
    ) => {
      const { registry } = await open();
      await add((await open()).registry, "sensor_A");
      await registry.rotateSecret("sensor_A", "newest", { until: 9_000 });
      const conflicts = await registry.addAll(
        [
          ["sensor_A", "0"],
          ["SENSOR_a", "1"],
          ["b", "secret of sensor_A"],
          ["c", "newest"],
          ["free", "2"],
          ["Free", "3"],
          ["d", "2"],
        ].map(([deviceId = "", sharedSecret = ""]) => ({ deviceId, sharedSecret, createdAt: 1 })),
      );
      assert.deepEqual(conflicts, [
        { place: 0, kind: "id_taken", existing: "sensor_A" },
        { place: 1, kind: "id_taken", existing: "sensor_A" },
        { place: 2, kind: "secret_taken", holder: "sensor_A" },
        { place: 3, kind: "secret_taken", holder: "sensor_A" },
        { place: 5, kind: "id_taken", existing: "free" },
        { place: 6, kind: "secret_taken", holder: "free" },
      ]);
      assert.deepEqual(await ids(registry), ["sensor_A"]);
    },

  "the revision changes with whatever any program changes, and with nothing else": async (open) => {
    const { registry } = await open();
    const { registry: elsewhere } = await open();
    const seen = [await registry.revision()];
    const changes: (() => Promise<unknown>)[] = [
      () => add(elsewhere, "a"),
      () => elsewhere.revoke("a", { revokedAt: 1, reason: "" }),
      () => registry.restore("a"),
      () => elsewhere.rotateSecret("a", "new", { until: 5 }),
      () => registry.remove("a"),
    ];
    for (const change of changes) {
      await change();
      seen.push(await registry.revision());
      assert.equal(await registry.revision(), seen.at(-1));
    }
    assert.equal(new Set(seen).size, seen.length);
  },

  "a revoked device keeps its time, and is restored once": async (open) => {
    const { registry } = await open();
    await add(registry, "a");
    await registry.revoke("a", { revokedAt: 5, reason: "lost" });
    await registry.revoke("a", { revokedAt: 6, reason: "stolen" });
    const { revokedAt, revokedReason } = (await registry.find("a"))!;
    assert.deepEqual([revokedAt, revokedReason], [5, "stolen"]);
    assert.equal(await registry.restore("a"), true);
    assert.equal(await registry.restore("a"), false);
    assert.equal((await registry.find("a"))?.revokedAt, undefined);
  },

  "a rotation keeps the previous secret until its end, and an unused one not at all": async (
    open,
  ) => {
    const { registry } = await open();
    await add(registry, "a");
    await registry.rotateSecret("a", "second", { until: 9_000 });
    await registry.rotateSecret("a", "third", { until: 9_500 });
    const device = (await registry.find("a"))!;
    assert.equal(device.sharedSecret, "third");
    assert.equal(device.previous?.sharedSecret, "secret of a", "the device never used the second");
    assert.equal(device.previous?.until, 9_500);
    assert.deepEqual(
      await registry.secretHolders(),
      new Map([["third", "a"], ["secret of a", "a"]]),
    );
    await registry.endOverlap("a", 8_000);
    assert.equal((await registry.find("a"))?.previous?.until, 7_999);
  },

  "uses of secrets are recorded for devices that are there": async (open) => {
    const { registry } = await open();
    await add(registry, "a");
    await registry.recordUses([
      { deviceId: "a", generation: 1, lastUsed: 5 },
      { deviceId: "gone", generation: 1, lastUsed: 5 },
    ]);
    const use = { deviceId: "a", generation: 1, lastUsed: 5 };
    assert.deepEqual(await registry.secretUses(), [use]);
    assert.deepEqual(await registry.secretUses("a"), [use]);
  },

  "a certificate that was withdrawn, or whose device is gone, is on the list until its end": async (
    open,
  ) => {
    const { registry } = await open();
    await add(registry, "a", "01");
    await registry.addCertificate("a", { ...CERTIFICATE, serial: "02", notAfter: 3_000 });
    assert.deepEqual((await registry.certificates("a")).map(({ serial }) => serial), ["02", "01"]);
    assert.equal(await registry.withdrawOthers("a", "02", 1_500), 1);
    const listed = async (since: number) =>
      (await registry.revokedCertificates(since)).map(({ serial }) => serial);
    assert.deepEqual(await listed(0), ["01"]);
    assert.equal(await registry.remove("a"), true);
    assert.equal(await registry.remove("a"), false);
    assert.deepEqual(await listed(0), ["01", "02"]);
    assert.deepEqual(await listed(2_001), ["02"]);
    assert.deepEqual(await registry.certificateEnds(), []);
  },

  "one certificate is withdrawn, and the others stay": async (open) => {
    const { registry } = await open();
    await add(registry, "a", "01");
    await registry.addCertificate("a", { ...CERTIFICATE, serial: "02" });
    assert.equal(await registry.withdrawCertificate("02", 1_500), true);
    assert.equal(await registry.withdrawCertificate("02", 1_600), false);
    assert.equal(await registry.withdrawCertificate("03", 1_500), false);
    assert.deepEqual((await registry.certificates("a")).map(({ serial }) => serial), ["01"]);
    const [listed] = await registry.revokedCertificates(0);
    assert.deepEqual([listed?.serial, listed?.revokedAt], ["02", 1_500]);
  },

  "certificates of another authority are withdrawn; those of an unknown one are not": async (
    open,
  ) => {
    const { registry } = await open();
    await add(registry, "a", "01");
    await registry.addCertificate("a", { ...CERTIFICATE, serial: "02", issuer: "old" });
    await registry.addCertificate("a", { ...CERTIFICATE, serial: "03", issuer: "new" });
    await registry.withdrawIssuedByOthers("new", 1_500);
    assert.deepEqual((await registry.certificates("a")).map(({ serial }) => serial), ["03", "01"]);
  },

  "revocation lists are numbered without a repetition": async (open) => {
    const { registry } = await open();
    const { registry: elsewhere } = await open();
    const numbers = [await registry.nextRevocationListNumber()];
    numbers.push(await elsewhere.nextRevocationListNumber());
    numbers.push(await registry.nextRevocationListNumber());
    assert.deepEqual(numbers, [2, 3, 4], "the first is made with the site");
  },

  "a temporary device is found by its name, and removed with its traces only": async (open) => {
    const { registry, temporaryDevices } = await open();
    const temporary = `doctor-${crypto.randomUUID()}`;
    await add(registry, temporary, "01");
    await add(registry, "doctor-strange", "02");
    assert.deepEqual(await temporaryDevices.list(), [temporary]);
    await temporaryDevices.remove(temporary);
    assert.deepEqual(await temporaryDevices.list(), []);
    await assert.rejects(temporaryDevices.remove("doctor-strange"), /not a temporary device/);
    assert.deepEqual(await ids(registry), ["doctor-strange"]);
  },
};
