/** Where an entry is POSTed: `backend.url` and a path, with the entry's names filled in. */

import type { EntryNames } from "./event.ts";

/** The URL of each entry; both parts may have a query. */
export class Endpoint {
  /** Texts and placeholders in turns, the first and the last a text. */
  readonly #parts: readonly string[];

  /** `path` may have `{device_id}` and `{message_id}`, which no URL has to escape. */
  constructor(url: string, path: string) {
    const [base = "", baseQuery] = split(url);
    const [target = "", targetQuery] = split(path);
    const query = [baseQuery, targetQuery].filter((text) => text).join("&");
    const text = base.replace(/\/+$/, "") + target + (query && `?${query}`);
    this.#parts = text.split(/\{(device_id|message_id)\}/);
  }

  /** The URL for an entry. */
  of({ deviceId, messageId }: Pick<EntryNames, "deviceId" | "messageId">): string {
    let url = this.#parts[0]!;
    for (let i = 1; i < this.#parts.length; i += 2) {
      url += (this.#parts[i] === "device_id" ? deviceId : messageId) + this.#parts[i + 1];
    }
    return url;
  }
}

/** A URL as it may be shown: its query may have a key in it. */
export function shownUrl(url: string): string {
  return split(url)[0]!;
}

/** A text before and after its first question mark. */
function split(text: string): string[] {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
