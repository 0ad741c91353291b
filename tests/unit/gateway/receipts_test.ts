import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readDeviceReceipt } from "../../../src/client/device_command.ts";
import type { Answer } from "../../../src/core/delivery.ts";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { Published, PublishProperties } from "../../../src/core/ports.ts";
import { reject, type RejectionCode } from "../../../src/core/rejection.ts";
import { RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { importSecret } from "../../../src/core/signature.ts";
import { Receipts } from "../../../src/gateway/pipeline/receipts.ts";
import { poll } from "../../../src/time/poll.ts";
import { DEVICE_ID, MESSAGE_ID, NOW, SECRET } from "../../support/judge.ts";
import { ENTRY } from "../../support/sample_entry.ts";

const TAKEN: Published = { kind: "acknowledged", subscribers: true };
const REFUSED: Published = { kind: "refused", reason: "Not authorized", reasonCode: 0x87 };
const NEWEST = "the newest secret";
const ANSWER: Answer = {
  kind: "answer",
  status: 200,
  body: new TextEncoder().encode("{}"),
  retryAfter: null,
  location: null,
  contentType: null,
};

/** Receipts on a broker that says what `published` resolves to. */
function bench(over: {
  readonly send?: "off" | "rejected" | "all";
  readonly queueMax?: number;
  readonly published?: () => Promise<Published>;
} = {}) {
  const events: GatewayEvent[] = [];
  const messages: { topic: string; body: Uint8Array; properties: PublishProperties }[] = [];
  const now = { monotonicMs: 0, connected: true, known: [DEVICE_ID, "other"] };
  const receipts = new Receipts({
    broker: {
      get isConnected() {
        return now.connected;
      },
      nextConnect: () => Promise.resolve(now.connected),
      publish: (topic, body, properties) => {
        messages.push({ topic, body, properties });
        return (over.published ?? (() => Promise.resolve(TAKEN)))();
      },
    },
    keys: {
      statusOf: (deviceId) => now.known.includes(deviceId) ? "active" : "unknown",
      key: () => importSecret(SECRET),
      receiptKey: (_deviceId, _now, { isVerified }) => importSecret(isVerified ? SECRET : NEWEST),
    },
    store: { held: () => Promise.resolve("dead") },
    clock: { wallMs: () => NOW * 1000, monotonicMs: () => now.monotonicMs },
    emit: (event) => events.push(event),
  }, {
    ...{ send: over.send ?? "rejected", queueMax: over.queueMax ?? 256, toleranceSeconds: 300 },
    ...{ rate: { perSecond: 1, burst: 5 }, unverifiedEveryMs: 10_000 },
    retryStatuses: statusesOf(RETRY_STATUSES),
  });
  const refuse = (code: RejectionCode, identity = DEVICE_ID, messageId?: string) =>
    receipts.rejected({
      ...{ kind: "rejected", identity, messageId, rejection: reject(code, "what, where") },
    });
  /** What each receipt says, if its signature is right. */
  const said = async (secret: string) => {
    const key = (await importSecret(secret))!;
    const read = messages.map(({ body }) => readDeviceReceipt(body, { deviceId: DEVICE_ID, key }));
    return (await Promise.all(read)).map(({ valid, payload }) => valid && payload);
  };
  const dropped = () => events.flatMap((one) => one.kind === "receipt_dropped" ? [one.why] : []);
  return { receipts, refuse, said, messages, events, dropped, now };
}

Deno.test("a receipt is signed under the secret that verified, or else the newest", async () => {
  const { receipts, refuse, said, messages } = bench();
  refuse("malformed");
  refuse("timestamp_out_of_range", DEVICE_ID, MESSAGE_ID);
  refuse("replayed", DEVICE_ID, MESSAGE_ID);
  await receipts.close();
  assert.deepEqual((await said(NEWEST)).filter(Boolean), [
    '{"result":"rejected","code":"malformed","detail":"what, where"}',
  ]);
  assert.deepEqual((await said(SECRET)).filter(Boolean).toSorted(), [
    '{"result":"rejected","code":"replayed","held":"dead"}',
    '{"result":"rejected","code":"timestamp_out_of_range"}',
  ]);
  const about = messages.map(({ topic, body, properties }) => {
    const { timestamp, message_id } = JSON.parse(new TextDecoder().decode(body));
    return [topic, timestamp, message_id, properties];
  });
  const properties = { messageExpiryInterval: 300 };
  const nil = "00000000-0000-0000-0000-000000000000";
  assert.deepEqual(about.toSorted(), [
    [`device/${DEVICE_ID}/receipt`, NOW, nil, properties],
    [`device/${DEVICE_ID}/receipt`, NOW, MESSAGE_ID, properties],
    [`device/${DEVICE_ID}/receipt`, NOW, MESSAGE_ID, properties],
  ]);
});

Deno.test("strangers get no receipt and leave no trace, and nobody does if receipts are off", async () => {
  const { receipts, refuse, messages, events } = bench();
  for (let i = 0; i < 1_000; i++) refuse("malformed", `stranger_${i}`);
  await receipts.close();
  assert.deepEqual([messages, events], [[], []]);
  const off = bench({ send: "off" });
  off.refuse("malformed");
  await off.receipts.close();
  assert.deepEqual([off.messages, off.events], [[], []]);
});

Deno.test("beyond the queue, and while the broker is away, receipts are dropped and counted", async () => {
  const slow = Promise.withResolvers<Published>();
  const { receipts, refuse, dropped, events, now } = bench({
    queueMax: 2,
    published: () => slow.promise,
  });
  for (let i = 0; i < 4; i++) refuse("replayed", DEVICE_ID, MESSAGE_ID);
  now.connected = false;
  refuse("replayed", "other", MESSAGE_ID);
  assert.deepEqual(dropped(), ["queue", "queue", "broker"]);
  slow.resolve({ kind: "unacknowledged", reason: "gone" });
  await receipts.close();
  assert.deepEqual(dropped().slice(3), ["broker", "broker"]);
  assert.ok(events.every(({ kind }) => kind === "receipt_dropped"));
});

Deno.test("a broker that refuses receipts is asked again once a minute, and said once", async () => {
  let answer: Published = REFUSED;
  const { receipts, refuse, messages, events, dropped, now } = bench({
    published: () => Promise.resolve(answer),
  });
  const told = async (nowMs: number) => {
    now.monotonicMs = nowMs;
    for (let i = 0; i < 3; i++) {
      const before = events.length;
      refuse("replayed", DEVICE_ID, MESSAGE_ID);
      await poll("its end", () => events.length > before);
    }
    const kinds = events.splice(0).map(({ kind }) => kind);
    return [messages.splice(0).length, kinds.filter((kind) => kind !== "receipt_dropped")];
  };
  assert.deepEqual(await told(0), [1, ["receipts_refused"]]);
  assert.match(receipts.faults.join(), /type secure-iot-gateway site upgrade/);
  assert.deepEqual(await told(59_999), [0, []]);
  assert.deepEqual(await told(60_000), [1, []]);
  answer = TAKEN;
  const sent = ["receipts_allowed", "receipt_sent", "receipt_sent", "receipt_sent"];
  assert.deepEqual(await told(120_000), [3, sent]);
  assert.deepEqual([receipts.faults, dropped()], [[], []]);
  await receipts.close();
});

Deno.test("what the backend did is told along with its answer, as surely", async () => {
  const results: Published[] = [{ kind: "unsent", reason: "gone" }, TAKEN, TAKEN];
  const { receipts, said, events } = bench({
    send: "all",
    published: () => Promise.resolve(results.shift()!),
  });
  const responder = receipts.alongside({ respond: () => Promise.resolve(true) });
  const { signal } = new AbortController();
  assert.ok(await responder.respond({ ...ENTRY, deviceId: DEVICE_ID }, ANSWER, signal));
  const refused = { ...ANSWER, status: 422 };
  assert.ok(await responder.respond({ ...ENTRY, deviceId: DEVICE_ID }, refused, signal));
  const sha256 = createHash("sha256").update("{}").digest("hex");
  const delivered = `{"result":"delivered","status":200,"sha256":"${sha256}"}`;
  assert.deepEqual(await said(SECRET), [delivered, delivered, '{"result":"dead","status":422}']);
  assert.deepEqual(events, [
    { kind: "receipt_sent", result: "delivered" },
    { kind: "receipt_sent", result: "dead" },
  ]);
});

Deno.test("an entry stays if the stop comes before its receipt, and without all there is none", async () => {
  const gone = () => Promise.resolve<Published>({ kind: "unsent", reason: "gone" });
  const { receipts, now } = bench({ send: "all", published: gone });
  now.connected = false;
  const responder = { respond: () => Promise.resolve(true) };
  const { signal } = new AbortController();
  assert.equal(await receipts.alongside(responder).respond(ENTRY, ANSWER, signal), false);
  assert.equal(bench().receipts.alongside(responder), responder);
});
