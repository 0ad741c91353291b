import assert from "node:assert/strict";
import type { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import type { LiveSite } from "../support/live_site.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { usageOf } from "../support/process_usage.ts";
import {
  joined,
  prefixed,
  PROPERTY,
  property,
  publishPacket,
  RawDevice,
} from "../support/raw_device.ts";

const MIB = 1024 * 1024;
/** On a quiet machine it is below 30 MiB; all of it at one time would be hundreds. */
const GROWTH_MAX_BYTES = 128 * MIB;
const LOOK_EVERY_MS = 50;
const DIGITS = "1".repeat(20_000);
const PROPERTIES = 13_000;
const MESSAGES = 300;

/** What a device sends in the smallest parts; each resolves once the gateway has dealt with it. */
const SMALL_PARTS: Readonly<Record<string, (site: LiveSite) => Promise<void>>> = {
  "a message a byte at a time": async (site) => {
    const device = await connect(site);
    const message = { topic: "device/odd/data", message: DIGITS };
    for (const byte of publishPacket(message, 5)) device.write(Uint8Array.of(byte));
    await refused(site, device, 1);
  },
  // The broker passes them on, whatever the access list says; the gateway has no use for them.
  "13,000 user properties a message": async (site) => {
    const device = await connect(site);
    const one = property(PROPERTY.userProperty, prefixed(""), prefixed(""));
    const properties = joined(Array.from({ length: PROPERTIES }, () => one));
    const packet = publishPacket({ topic: "device/odd/data", message: "x", properties }, 5);
    for (let i = 0; i < MESSAGES; i++) device.write(packet);
    await refused(site, device, MESSAGES);
  },
};

/** Waits until so many more messages are refused. */
async function refused(site: LiveSite, device: RawDevice, more: number): Promise<void> {
  const count = () => site.metric('rejected_total{code="malformed"}');
  await poll("the refusals", async () => await count() >= more, { timeoutMs: 30_000 });
  await device.die();
}

async function connect(site: LiveSite): Promise<RawDevice> {
  return await RawDevice.connect(`${site.layout.devicesFolder}/odd`, {
    port: site.config.devices.port,
  });
}

/** How far the gateway's memory goes up meanwhile. */
async function growth(gateway: GatewayProcess, work: () => Promise<void>): Promise<number> {
  const before = (await usageOf(gateway)).residentBytes;
  let most = before;
  const look = async () => most = Math.max(most, (await usageOf(gateway)).residentBytes);
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  })();
  await work().finally(() => isOver = true);
  await looking;
  return most - before;
}

for (const [what, work] of Object.entries(SMALL_PARTS)) {
  Deno.test(`${what} costs the gateway no more memory than others`, async () => {
    await withOutsideGateway(async (site, gateway) => {
      await site.register("odd");
      const bytes = await growth(gateway, () => work(site));
      assert.ok(bytes < GROWTH_MAX_BYTES, `${Math.round(bytes / MIB)} MiB`);
    });
  });
}
