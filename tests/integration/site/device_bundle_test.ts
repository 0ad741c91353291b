import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { keyPairFault } from "../../../src/config/credentials.ts";
import { createSite } from "../../../src/site/operations/site_creation.ts";
import {
  createDeviceBundle,
  type DeviceBundleResult,
  removeDeviceBundle,
} from "../../../src/site/operations/device_bundle.ts";
import { deviceFolder, type SiteLayout } from "../../../src/site/layout.ts";

const SECRET = "not-so-secret-in-a-test";

Deno.test("createDeviceBundle() writes exactly what goes onto the device", async () => {
  await withSite(async (layout) => {
    const result = await createBundle(layout, "sensor_001");
    const folder = deviceFolder(layout, "sensor_001");
    assert.equal(result.ok && result.directory, folder.directory);
    assert.deepEqual(await modes(folder.directory), {
      "ca.crt": 0o644,
      "client.crt": 0o644,
      "client.key": 0o600,
      "device.json": 0o644,
      "secret": 0o600,
    });
    assert.equal(await Deno.readTextFile(folder.secret), SECRET);
    assert.equal(
      await Deno.readTextFile(folder.ca),
      await Deno.readTextFile(layout.gatewayCa.certificate),
    );
  });
});

Deno.test("createDeviceBundle() issues a certificate of the device authority in the device's name", async () => {
  await withSite(async (layout) => {
    const result = await createBundle(layout, "sensor_001");
    const folder = deviceFolder(layout, "sensor_001");
    const pem = await Deno.readTextFile(folder.certificate);
    const certificate = new X509Certificate(pem);
    const authority = new X509Certificate(await Deno.readTextFile(layout.deviceCa.certificate));
    assert.equal(certificate.subject, "CN=sensor_001");
    assert.ok(certificate.checkIssued(authority));
    assert.ok(certificate.verify(authority.publicKey));
    assert.equal(keyPairFault(folder), undefined);
    assert.ok(result.ok);
    assert.equal(result.serial, certificate.serialNumber.toLowerCase());
    assert.equal(result.notBefore, Date.parse(certificate.validFrom) / 1000);
    assert.equal(result.notAfter, Date.parse(certificate.validTo) / 1000);
  });
});

Deno.test("createDeviceBundle() describes where and how the device connects", async () => {
  await withSite(async (layout) => {
    const result = await createBundle(layout, "sensor_001");
    assert.ok(result.ok);
    const text = await Deno.readTextFile(deviceFolder(layout, "sensor_001").description);
    const { certificate_not_after, ...rest } = JSON.parse(text);
    assert.equal(Date.parse(certificate_not_after) / 1000, result.notAfter);
    assert.deepEqual(rest, {
      device_id: "sensor_001",
      client_id: "sensor_001",
      broker: { host: "gateway.example", port: 8883 },
      topics: {
        data: "device/sensor_001/data",
        response: "device/sensor_001/response",
        command: "device/sensor_001/command",
        ack: "device/sensor_001/ack",
        receipt: "device/sensor_001/receipt",
      },
    });
  });
});

Deno.test("createDeviceBundle() refuses a device that has a folder, in whatever case", async () => {
  await withSite(async (layout) => {
    await createBundle(layout, "sensor_001");
    const before = await Deno.readTextFile(deviceFolder(layout, "sensor_001").key);
    const again = await createBundle(layout, "sensor_001");
    const shouted = await createBundle(layout, "SENSOR_001");
    assert.deepEqual(again, { ok: false, fault: "bundle_exists" });
    assert.deepEqual(shouted, { ok: false, fault: "bundle_exists" });
    assert.equal(await Deno.readTextFile(deviceFolder(layout, "sensor_001").key), before);
    assert.deepEqual(await names(layout.devicesFolder), ["sensor_001"]);
  });
});

Deno.test("createDeviceBundle() refuses what is no device id", async () => {
  await withSite(async (layout) => {
    for (const deviceId of ["", ".", "..", "../certs", "a/b", "a b", "a+", "x".repeat(65)]) {
      const result = await createBundle(layout, deviceId);
      assert.deepEqual(result, { ok: false, fault: "invalid_id" }, deviceId);
    }
    assert.deepEqual(await names(layout.devicesFolder), []);
  });
});

Deno.test("createDeviceBundle() refuses an authority whose key is another's", async () => {
  await withSite(async (layout) => {
    await Deno.copyFile(layout.gatewayCa.key, layout.deviceCa.key);
    const result = await createBundle(layout, "sensor_001");
    assert.deepEqual(result, { ok: false, fault: "certificate_not_issued" });
    assert.deepEqual(await names(layout.devicesFolder), []);
  });
});

Deno.test("createDeviceBundle() refuses an authority that has expired", async () => {
  await withSite(async (layout) => {
    const nowMs = Date.now() + 21 * 366 * 86_400_000;
    const result = await createDeviceBundle({ ...bundleOptions(layout, "sensor_001"), nowMs });
    assert.deepEqual(result, { ok: false, fault: "certificate_not_issued" });
  });
});

Deno.test("createDeviceBundle() leaves no half folder behind when a file is missing", async () => {
  await withSite(async (layout) => {
    await Deno.remove(layout.gatewayCa.certificate);
    await assert.rejects(createBundle(layout, "sensor_001"), /Cannot read ".*gateway-ca.crt"/);
    assert.deepEqual(await names(layout.devicesFolder), []);
  });
});

Deno.test("removeDeviceBundle() removes one device's folder and says whether there was one", async () => {
  await withSite(async (layout) => {
    await createBundle(layout, "sensor_001");
    await createBundle(layout, "sensor_002");
    assert.equal(await removeDeviceBundle(layout, "sensor_001"), true);
    assert.equal(await removeDeviceBundle(layout, "sensor_001"), false);
    assert.equal(await removeDeviceBundle(layout, "../certs"), false);
    assert.deepEqual(await names(layout.devicesFolder), ["sensor_002"]);
  });
});

function createBundle(layout: SiteLayout, deviceId: string): Promise<DeviceBundleResult> {
  return createDeviceBundle(bundleOptions(layout, deviceId));
}

function bundleOptions(layout: SiteLayout, deviceId: string) {
  const connection = { brokerHost: "gateway.example", mqttPort: 8883 };
  return { layout, deviceId, secret: SECRET, nowMs: Date.now(), ...connection };
}

async function withSite(use: (layout: SiteLayout) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const site = await createSite({
      directory,
      hosts: [],
      backendUrl: "http://127.0.0.1:8080",
      mqttPort: 8883,
      gatewayPort: 8884,
      apiPort: 8443,
      nowMs: Date.now(),
    });
    assert.ok(site.ok);
    await use(site.layout);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function modes(folder: string): Promise<Record<string, number>> {
  const entries = (await names(folder)).sort().map(async (name): Promise<[string, number]> => {
    const { mode } = await Deno.stat(`${folder}/${name}`);
    return [name, (mode ?? 0) & 0o7777];
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function names(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
}
