/** What is signed as one kind is worth nothing as another, wherever it is sent back. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { readDeviceCommand, readDeviceReceipt } from "../../../src/client/device_command.ts";
import { writeCommand } from "../../../src/core/command.ts";
import { readEnvelope } from "../../../src/core/envelope.ts";
import { examine, examineAcknowledgement } from "../../../src/core/examination.ts";
import { bytesOfHex, importSecret, sign, verify } from "../../../src/core/signature.ts";
import { signedPayloadOf } from "../../../src/core/signed_payload.ts";
import { type SignedKind, signingInput } from "../../../src/core/signing_input.ts";
import { NOW, SECRET } from "../../support/judge.ts";

const KINDS = ["message", "acknowledgement", "receipt", "response"] as const;
const UTF_8 = new TextEncoder();
const KEY = (await importSecret(SECRET))!;

/** Ids that look like the words of the kinds, and others. */
const deviceId = fc.oneof(
  fc.constantFrom("ack", "receipt", "response", "ack.", "r", "0", "1727712000", "a".repeat(64)),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/),
);
const fields = fc.record({
  deviceId,
  timestamp: fc.integer({ min: 1_000_000_000, max: 9_999_999_999 }).map(String),
  messageId: fc.uuid({ version: 4 }),
});
/** JSON; a response begins with its status, and with its body it may be JSON as well. */
const payload = fc.oneof(fc.json(), fc.constantFrom("200", "2001", '{"state":"done"}'));

/** Every text that can be signed as a kind. */
const FIELDS = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}[0-9]{10}[0-9a-f-]{36}";
const LANGUAGES: { readonly [K in SignedKind]: RegExp } = {
  message: new RegExp(`^${FIELDS}`),
  acknowledgement: new RegExp(`^ack:${FIELDS}`),
  receipt: new RegExp(`^receipt:${FIELDS}`),
  response: new RegExp(`^response:${FIELDS}[0-9]{3}`),
};

Deno.test("no text that is signed as one kind can be signed as another", () => {
  fc.assert(
    fc.property(fields, payload, (fields, payload) => {
      for (const kind of KINDS) {
        const content = kind === "response" ? `200${payload}` : payload;
        const input = new TextDecoder().decode(signingInput(fields, UTF_8.encode(content), kind));
        for (const other of KINDS) {
          assert.equal(LANGUAGES[other].test(input), other === kind, `${kind} as ${other}`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("every kind that is sent back as another is refused", async () => {
  await fc.assert(
    fc.asyncProperty(fields, payload, async ({ deviceId, messageId }, payload) => {
      // Fresh, and with the id of a message: nothing but the kind is wrong.
      const fields = { deviceId, timestamp: String(NOW), messageId };
      for (const kind of KINDS) {
        const signature = await sign(KEY, signingInput(fields, UTF_8.encode(payload), kind));
        const taken = await takenAs({ ...fields, payload, signature });
        assert.deepEqual(taken, KINDS.filter((other) => other === kind), `${kind}: ${payload}`);
      }
    }),
    { numRuns: 300 },
  );
});

/** What a message is taken for by those who may get it. */
async function takenAs(message: {
  readonly deviceId: string;
  readonly timestamp: string;
  readonly messageId: string;
  readonly payload: string;
  readonly signature: string;
}): Promise<SignedKind[]> {
  const isTaken: { readonly [K in SignedKind]: boolean } = {
    message: await isReading(message) || await isCommand(message),
    acknowledgement: await isAcknowledgement(message),
    receipt: (await readDeviceReceipt(downlink(message), { ...message, key: KEY })).valid,
    response: await verify(
      KEY,
      signingInput(message, UTF_8.encode(message.payload), "response"),
      bytesOfHex(message.signature)!,
    ),
  };
  return KINDS.filter((kind) => isTaken[kind]);
}

type Message = Parameters<typeof takenAs>[0];

async function isReading(message: Message): Promise<boolean> {
  const examined = await examine(uplink(message), arrivalOf(message), KEYS);
  return examined.kind === "candidate" && examined.signedPayload !== undefined;
}

/** Refused as malformed is refused too late: its signature is right. */
async function isAcknowledgement(message: Message): Promise<boolean> {
  const examined = await examineAcknowledgement(uplink(message), arrivalOf(message), KEYS);
  return examined.kind !== "refused" || examined.rejection.code !== "invalid_signature";
}

async function isCommand(message: Message): Promise<boolean> {
  const options = { ...message, key: KEY, nowSeconds: NOW };
  return (await readDeviceCommand(downlink(message), options)).valid;
}

/** As a device would have sent it. */
function uplink({ deviceId, timestamp, messageId, payload, signature }: Message) {
  return readEnvelope(
    UTF_8.encode(
      `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
        `"payload":${payload},"signature":"${signature}"}`,
    ),
  );
}

/** As the gateway would have sent it. */
function downlink({ payload, ...fields }: Message): Uint8Array {
  return writeCommand({ ...fields, payload: UTF_8.encode(payload) });
}

function arrivalOf({ deviceId }: Message) {
  return { identity: deviceId, retained: false, redelivered: false, arrivedMs: NOW * 1000 };
}

const KEYS: Parameters<typeof examine>[2] = {
  statusOf: () => "active",
  signedPayload: (envelope, _nowSeconds, kind) => signedPayloadOf(envelope, KEY, kind),
};
