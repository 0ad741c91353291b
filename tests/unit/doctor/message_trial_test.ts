/** What `verify` says of a message is what a gateway with the same store decides. */

import assert from "node:assert/strict";
import { REJECTION_CODES } from "../../../src/core/rejection.ts";
import { tryInSite } from "../../../src/diagnosis/message_trial.ts";
import { Verifier } from "../../../src/gateway/pipeline/verifier.ts";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { inbound } from "../../support/inbound_message.ts";
import { message, outcomeOf } from "../../support/judge.ts";
import { withFolder } from "../../support/with_folder.ts";
import { batch, messagesOf } from "../store/contract/sample_batch.ts";

const SENT = 1_727_712_000;
/** The old secret is good until then. */
const UNTIL = SENT + 100;
/** The end of a certificate. */
const ENDS = SENT + 200;

/** The gateway's store, and the same as a command opens it: for a moment. */
interface Stores {
  readonly gateway: Store;
  readonly look: <T>(work: (store: Store) => Promise<T>) => Promise<T>;
}

async function withDevices(work: (stores: Stores) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const place = { database: `${folder}/gateway.db` };
    const gateway = await openStore(place, { author: "gateway", create: true });
    try {
      const { registry } = gateway;
      const certificate = { serial: "01", notBefore: 1, notAfter: ENDS };
      await registry.addAll([
        { deviceId: "ends", sharedSecret: "ends", createdAt: 1, certificate },
        { deviceId: "lost", sharedSecret: "lost", createdAt: 1 },
        { deviceId: "rotated", sharedSecret: "old", createdAt: 1 },
      ]);
      await registry.revoke("lost", { revokedAt: 1, reason: "lost" });
      await registry.rotateSecret("rotated", "new", { until: UNTIL });
      await work({
        gateway,
        look: async (work) => {
          const store = await openStore(place, { author: "command" });
          return await work(store).finally(() => store.close());
        },
      });
    } finally {
      await gateway.close();
    }
  });
}

/** A message of `deviceId`, signed with `secret`, on the topic of `identity`. */
interface Sent {
  readonly deviceId: string;
  readonly secret: string;
  readonly identity?: string;
  readonly retained?: boolean;
  readonly broken?: boolean;
}

const MESSAGES: readonly Sent[] = [
  { deviceId: "ends", secret: "ends" },
  { deviceId: "ends", secret: "other" },
  { deviceId: "ends", secret: "ends", identity: "lost" },
  { deviceId: "ends", secret: "ends", retained: true },
  { deviceId: "ends", secret: "ends", broken: true },
  { deviceId: "lost", secret: "lost" },
  { deviceId: "nobody", secret: "ends" },
  { deviceId: "rotated", secret: "old" },
  { deviceId: "rotated", secret: "new" },
];

Deno.test("verify and the gateway judge alike, at each end and when a message is sent again", async () => {
  await withDevices(async ({ gateway, look }) => {
    const verifier = new Verifier(await DeviceKeys.load(gateway.registry));
    const messages = messagesOf(gateway);
    const seen = new Set<string>();
    for (const nowSeconds of [SENT - 301, SENT - 300, UNTIL, UNTIL + 1, ENDS, ENDS + 1]) {
      for (const sent of MESSAGES) {
        const { deviceId, secret, identity = deviceId, retained = false } = sent;
        const text = await message("1", { deviceId, secret, messageId: crypto.randomUUID() });
        const came = { ...inbound(sent.broken ? `${text}}` : text), retained };
        const arrival = { identity, nowSeconds, now: true, retained };
        for (const time of ["first", "again"]) {
          const subject = { ...arrival, bytes: came.bytes, toleranceSeconds: 300 };
          const { verdict } = await look((store) =>
            tryInSite(subject, { store, secret: undefined })
          );
          const origin = { kind: "reading", identity } as const;
          const waiting = { message: came, ...origin, arrivedMs: nowSeconds * 1000 };
          const examined = await verifier.examine([waiting]);
          const { committed: [one] } = await messages.commit(batch(examined));
          const decided = one?.kind === "rejected" ? one.rejection.code : one?.kind;
          assert.equal(outcomeOf(verdict), decided, `${text} at ${nowSeconds}, ${time}`);
          seen.add(decided!);
        }
      }
    }
    const all = REJECTION_CODES.filter((code) => code !== "rate_limited");
    assert.deepEqual([...seen].sort(), ["accepted", ...all].sort());
  });
});
