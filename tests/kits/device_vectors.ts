/**
 * Test vectors for whoever writes a device or another gateway, in the form that Wycheproof has for
 * its own: a file for each kind of signed message, made by the program's core.
 *
 * The rules are:
 * - `msg` is the whole message and `signed` the exact text under the HMAC, both UTF-8; the key is
 *   given in hex; `result` is what the receiver decides;
 * - readings and acknowledgements are received by the gateway, commands, receipts and responses by
 *   the device; `now` is the receiver's clock;
 * - of a response `msg` is the body, and its User Properties stand beside it.
 */

import { importSecret, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import {
  type Bend,
  bendsOf,
  DEVICE,
  ID,
  KINDS,
  NOTES,
  NOW,
  PAYLOADS,
  SECRET,
  VECTOR_KINDS,
  type VectorKind,
} from "./vector_bends.ts";

/** One vector. */
export interface DeviceVector {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly deviceId: string;
  /** The device's secret: the UTF-8 bytes of its text, in hex. */
  readonly key: string;
  readonly now: number;
  readonly msg: string;
  /** The secret that signed, where it is another. */
  readonly signingKey?: string;
  /** What the signature in `msg` is over. */
  readonly signed: string;
  /** The signature, in lower case. */
  readonly sig: string;
  /** Of a response: its User Properties. */
  readonly properties?: Readonly<Record<string, string>>;
  readonly result: "valid" | "invalid";
}

/** A file of vectors. */
interface VectorFile {
  readonly algorithm: "HMACSHA256";
  readonly schema: string;
  readonly numberOfTests: number;
  readonly header: readonly string[];
  readonly notes: Readonly<
    Record<string, { readonly bugType: string; readonly description: string }>
  >;
  readonly testGroups: readonly [
    { readonly type: string; readonly keySize: number; readonly tests: readonly DeviceVector[] },
  ];
}

const UTF_8 = new TextEncoder();

/** All vectors of a kind. */
export async function deviceVectors(kind: VectorKind): Promise<VectorFile> {
  const tests = await Promise.all(bendsOf(kind).map((bend, at) => vectorOf(kind, bend, at + 1)));
  return {
    algorithm: "HMACSHA256",
    schema: "device_message_v1",
    numberOfTests: tests.length,
    header: [`Test vectors of signed messages: ${kind}.`, "Made by the program's own core."],
    notes: Object.fromEntries(
      Object.entries(NOTES).filter(([flag]) => tests.some(({ flags }) => flags.includes(flag))),
    ),
    testGroups: [{ type: `${kind}Test`, keySize: 8 * SECRET.length, tests }],
  };
}

async function vectorOf(kind: VectorKind, bend: Bend, tcId: number): Promise<DeviceVector> {
  const { device = DEVICE, secret = SECRET, id = ID, timestamp = String(NOW) } = bend;
  const { payload = PAYLOADS[kind], status = "200", signed = {} } = bend;
  const fields = {
    deviceId: signed.device ?? device,
    timestamp: signed.timestamp ?? timestamp,
    messageId: signed.id ?? id,
  };
  const text = (signed.status ?? (kind === "response" ? status : "")) + (signed.payload ?? payload);
  const input = signingInput(fields, UTF_8.encode(text), signed.kind ?? KINDS[kind]);
  const key = await importSecret(signed.secret ?? secret);
  if (key === undefined) throw new Error("an empty secret");
  const sig = await sign(key, input);
  const signature = bend.upperCaseSignature ? sig.toUpperCase() : sig;
  const message = kind === "response"
    ? payload
    : messageOf(kind, { device, timestamp, id, payload, signature });
  return {
    tcId,
    comment: bend.comment,
    flags: [bend.flag ?? "Normal"],
    deviceId: device,
    key: UTF_8.encode(secret).toHex(),
    ...(signed.secret !== undefined && { signingKey: UTF_8.encode(signed.secret).toHex() }),
    now: bend.now ?? NOW,
    msg: bend.rewrite?.(message) ?? message,
    signed: new TextDecoder().decode(input),
    sig,
    ...(kind === "response" && { properties: { message_id: id, status, timestamp, signature } }),
    result: bend.invalid ? "invalid" : "valid",
  };
}

function messageOf(
  kind: VectorKind,
  fields: Readonly<Record<"device" | "timestamp" | "id" | "payload" | "signature", string>>,
): string {
  const { device, timestamp, id, payload, signature } = fields;
  const isFromDevice = kind === "reading" || kind === "acknowledgement";
  return `{${isFromDevice ? `"device_id":"${device}",` : ""}"timestamp":${timestamp},` +
    `"message_id":"${id}","payload":${payload},"signature":"${signature}"}`;
}

/** The text of a kind's file. */
export async function vectorText(kind: VectorKind): Promise<string> {
  return `${JSON.stringify(await deviceVectors(kind), undefined, 1)}\n`;
}

/** The file of a kind. */
export function vectorPath(kind: VectorKind): string {
  return new URL(`../vectors/device/${kind}_test.json`, import.meta.url).pathname;
}

if (import.meta.main) {
  for (const kind of VECTOR_KINDS) {
    await Deno.writeTextFile(vectorPath(kind), await vectorText(kind));
  }
}
