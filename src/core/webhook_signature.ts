/**
 * Signatures by which the backend knows that a request comes from its gateway: Standard Webhooks
 * (https://www.standardwebhooks.com), symmetric, `v1`.
 *
 * The rules are:
 * - what is signed is `{webhook-id}.{webhook-timestamp}.{body}`, with HMAC-SHA256;
 * - with two keys there are two signatures, so that a backend can change from one to the other;
 * - the scheme signs no URL, so the id names the device too, and of a callback the state. It must
 *   have no dot of its own;
 * - the id of a batch, whose body names the devices, is its Idempotency-Key.
 */

import { joined } from "./bytes.ts";
import { idempotencyKey, type OutboxEntry } from "./outbox_entry.ts";
import { SecretKey } from "./signature.ts";

/** Signs requests with one or two keys. */
export class WebhookSigner {
  readonly #keys: readonly SecretKey[];

  /** `keys` are their bytes. */
  constructor(keys: readonly Uint8Array[]) {
    this.#keys = keys.map((key) => new SecretKey(key));
  }

  /** The fields of one attempt to send an entry; `nowSeconds` is the wall clock, Unix seconds. */
  headers(
    entry: Pick<OutboxEntry, "deviceId" | "messageId" | "payload" | "commandState">,
    nowSeconds: number,
  ): Record<string, string> {
    const id = `${entry.deviceId.replaceAll(".", "%2E")}:${idempotencyKey(entry)}`;
    return this.headersOf({ id, body: entry.payload }, nowSeconds);
  }

  /** The same for any request; `id` must have no dot. */
  headersOf(
    { id, body }: { readonly id: string; readonly body: Uint8Array },
    nowSeconds: number,
  ): Record<string, string> {
    const prefix = new TextEncoder().encode(`${id}.${nowSeconds}.`);
    const signed = joined([prefix, body]);
    const signatures = this.#keys.map((key) =>
      `v1,${Uint8Array.fromHex(key.mac(signed)).toBase64()}`
    );
    return {
      "webhook-id": id,
      "webhook-timestamp": String(nowSeconds),
      "webhook-signature": signatures.join(" "),
    };
  }
}
