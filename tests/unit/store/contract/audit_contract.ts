import assert from "node:assert/strict";
import { AUDIT_GENESIS } from "../../../../src/store/audit.ts";
import { batch, candidate, messagesOf } from "./sample_batch.ts";
import { all, type Contract } from "./contract.ts";

/** What holds for the audit log. */
export const AUDIT_CONTRACT: Contract = {
  "a change of the registry is an entry, with who made it": async (open) => {
    const { registry, audit } = await open("command");
    const device = { deviceId: "a", sharedSecret: "hush", createdAt: 1 };
    await registry.addAll([device]);
    await (await open("gateway")).registry.revoke("a", { revokedAt: 1, reason: "lost" });
    const entries = await all(audit.since(0));
    assert.deepEqual([...new Set(entries.map(({ subject }) => subject))], ["a"]);
    assert.equal(entries.find(({ event }) => event === "device_added")?.author, "command");
    const revoked = entries.find(({ event }) => event === "device_revoked");
    assert.deepEqual([revoked?.author, revoked?.detail], ["gateway", "lost"]);
    assert.ok(!JSON.stringify(entries).includes("hush"), "and no secret");
  },

  "numbers have no gap, the head is the last entry, and the chain proves itself": async (open) => {
    const { registry, audit } = await open();
    assert.deepEqual(await audit.head(), { sequence: 0, hash: AUDIT_GENESIS });
    for (const deviceId of ["a", "b", "c"]) {
      await registry.addAll([{ deviceId, sharedSecret: deviceId, createdAt: 1 }]);
    }
    const entries = await all(audit.since(0));
    assert.deepEqual(entries.map(({ sequence }) => sequence), entries.map((_, i) => i + 1));
    const head = await audit.head();
    assert.equal(head.sequence, entries.length);
    const { faults, count, head: proved } = await audit.prove(entries[0]!.hash);
    assert.deepEqual([faults, count, proved.sequence], [[], entries.length, entries.length]);
    const { faults: [fault] } = await audit.prove(new Uint8Array(32).fill(7));
    assert.match(fault!, /No entry has the hash/);
  },

  "what was done to the site, and not to the store, is entered in the same chain": async (open) => {
    const { registry, audit } = await open("command");
    await registry.addAll([{ deviceId: "a", sharedSecret: "a", createdAt: 1 }]);
    const note = { event: "certificate_renewed", subject: "", detail: "broker 1a, before 2b" };
    await audit.enter({ ...note, at: 1_800_000_000, count: 1 });
    const entry = (await all(audit.since(0))).at(-1)!;
    assert.partialDeepStrictEqual(entry, { ...note, author: "command", at: 1_800_000_000 });
    assert.deepEqual((await audit.prove(entry.hash)).faults, []);
  },

  "a change that fails leaves no entry": async (open) => {
    const { registry, audit } = await open();
    const device = { deviceId: "a", sharedSecret: "a", createdAt: 1 };
    assert.equal((await registry.addAll([device, { ...device, deviceId: "b" }])).length, 1);
    await assert.rejects(registry.addAll([{ ...device, sharedSecret: "$sealed$" }]));
    assert.equal((await audit.head()).sequence, 0);
  },

  "a rejected message is an entry in the commit of its batch": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    await messages.commit(batch({ examined: [candidate("a", { verified: false })] }));
    const [entry] = await all(store.audit.since(0));
    assert.deepEqual([entry?.event, entry?.subject, entry?.author], [
      "message_rejected",
      "a",
      "gateway",
    ]);
  },

  "rejections are counted by device and code, those among them that are no entry yet": async (
    open,
  ) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    const refused = (id: string) => candidate(id, { verified: false });
    const examined = ["b", "a", "b", "b"].map(refused);
    await messages.commit(batch({ examined }));
    await messages.commit(batch({ tidy: { heldSinceMs: undefined } }));
    const counted = await store.audit.rejections(0);
    assert.deepEqual(counted.map(({ identity, code, count }) => [identity, code, count]), [
      ["b", "invalid_signature", 3],
      ["a", "invalid_signature", 1],
    ]);
    const [{ first, last } = { first: 0, last: 0 }] = counted;
    assert.ok(first > 0 && last >= first);
    assert.deepEqual(await store.audit.rejections(last + 1), []);
  },
};
