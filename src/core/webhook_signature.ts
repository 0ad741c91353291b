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

import { idempotencyKey, type OutboxEntry } from "./outbox_entry.ts";
import { importKey, type SecretKey } from "./signature.ts";

/** Signs requests with one or two keys. */
export class WebhookSigner {
  readonly #keys: Promise<readonly SecretKey[]>;

  /** `keys` are their bytes. */
  constructor(keys: readonly Uint8Array[]) {
    this.#keys = Promise.all(keys.map((key) => importKey(new Uint8Array(key))));
  }

  /** The fields of one attempt to send an entry; `nowSeconds` is the wall clock, Unix seconds. */
  async headers(
    entry: Pick<OutboxEntry, "deviceId" | "messageId" | "payload" | "commandState">,
    nowSeconds: number,
  ): Promise<Record<string, string>> {
    const id = `${entry.deviceId.replaceAll(".", "%2E")}:${idempotencyKey(entry)}`;
    return await this.headersOf({ id, body: entry.payload }, nowSeconds);
  }

  /** The same for any request; `id` must have no dot. */
  async headersOf(
    { id, body }: { readonly id: string; readonly body: Uint8Array },
    nowSeconds: number,
  ): Promise<Record<string, string>> {
    const prefix = new TextEncoder().encode(`${id}.${nowSeconds}.`);
    const signed = new Uint8Array(prefix.length + body.length);
    signed.set(prefix);
    signed.set(body, prefix.length);
    const signatures = (await this.#keys).map(async (key) =>
      `v1,${new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)).toBase64()}`
    );
    return {
      "webhook-id": id,
      "webhook-timestamp": String(nowSeconds),
      "webhook-signature": (await Promise.all(signatures)).join(" "),
    };
  }
}
