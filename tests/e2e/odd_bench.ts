/** A site with a device that misbehaves and one that is honest, and what both have to show. */

import assert from "node:assert/strict";
import type { RejectionCode } from "../../src/core/rejection.ts";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { type RawConnect, RawDevice } from "../support/raw_device.ts";

/** The device that misbehaves. */
export const ODD = "odd";
/** The honest one. */
export const VICTIM = "victim";
/** Where the odd device may speak. */
export const OWN_TOPIC = `device/${ODD}/data`;

/** A device that misbehaves, an honest one, and the site between them. */
interface Bench {
  readonly site: LiveSite;
  /** Listens on its topics, and sends an honest reading after every oddity. */
  readonly victim: DeviceClient;
  /** Signs as the odd device. */
  sign(payload: string): Promise<string>;
  /** Connects the odd device; it is closed at the end. */
  connect(options?: Partial<RawConnect>): Promise<RawDevice>;
  /** As they were when somebody last looked. */
  counts: Counts;
}

/** What the gateway has counted. */
interface Counts {
  readonly accepted: number;
  readonly rejected: number;
  readonly duplicates: number;
}

/** What becomes of something odd. */
export interface Fate extends Counts {
  readonly code?: RejectionCode;
}

/** It never came to the gateway. */
export const NOTHING: Fate = { accepted: 0, rejected: 0, duplicates: 0 };
/** It was taken. */
export const ACCEPTED: Fate = { ...NOTHING, accepted: 1 };
/** It was refused. */
export const MALFORMED: Fate = { ...NOTHING, rejected: 1, code: "malformed" };

/** Runs `work` on a fresh bench. */
export async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  await withLiveSite(async (site) => {
    const opened: RawDevice[] = [];
    const folder = await site.register(ODD);
    const secret = await Deno.readTextFile(`${folder}/secret`);
    const victim = await site.device(VICTIM);
    const { port } = site.config.devices;
    try {
      await work({
        site,
        victim,
        sign: async (payload) => (await victim.sign(payload, { deviceId: ODD, secret })).message,
        connect: async (options) => {
          const device = await RawDevice.connect(folder, { port, ...options });
          opened.push(device);
          return device;
        },
        counts: NOTHING,
      });
    } finally {
      for (const device of opened) await device.die();
    }
  });
}

/** Reads what the gateway counts; its connection to the broker must be its first. */
async function readCounts(site: LiveSite): Promise<Counts> {
  const text = await (await site.api("/metrics")).text();
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^secure_iot_gateway_${name}(?:\\{.*\\})? (\\d+)$`, "gm"))]
      .reduce((total, [, value]) => total + Number(value), 0);
  assert.equal(sum("broker_connected"), 1);
  assert.equal(sum("broker_connects_total"), 1);
  return {
    accepted: sum("accepted_total"),
    rejected: sum("rejected_total"),
    duplicates: sum("duplicates_total"),
  };
}

/**
 * Does something odd and checks what became of it: an honest reading, sent behind it, comes
 * through, and by then the broker's order has brought everything before it.
 */
export async function assertFate(
  bench: Bench,
  fate: Fate,
  odd: () => Promise<void>,
): Promise<void> {
  const { site, victim, counts } = bench;
  const received = site.backend.received.length;
  const lines = site.log.length;
  await odd();
  const { messageId } = await victim.send('{"honest":true}');
  assert.equal((await victim.response(messageId)).status, "200");
  bench.counts = await readCounts(site);
  assert.deepEqual(bench.counts, {
    accepted: counts.accepted + 1 + fate.accepted,
    rejected: counts.rejected + fate.rejected,
    duplicates: counts.duplicates + fate.duplicates,
  });
  await site.received(received + 1 + fate.accepted);
  assert.equal(site.backend.received.length, received + 1 + fate.accepted);
  const codes = site.log.slice(lines).map((record) => record["code"]).filter(Boolean);
  assert.deepEqual(codes, fate.code ? [fate.code] : []);
  assert.equal(victim.commandsWaiting, 0);
  assertUnharmed(site);
}

/** The gateway kept its connection and had nothing to complain of. */
function assertUnharmed(site: LiveSite): void {
  const worries = site.log.filter(({ level, event }) =>
    level === "error" || (level === "warning" && event !== "message_rejected")
  );
  assert.deepEqual(worries, []);
}

/** A byte a character. */
export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
