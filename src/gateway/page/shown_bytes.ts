/** Bytes from outside as JSON has them: text if they are UTF-8, base64 if they are not. */

/** Both null: there is nothing to show. */
interface ShownBytes {
  readonly text: string | null;
  readonly base64: string | null;
}

/** The bytes; text has them whole, or they are in base64. */
export function shownBytes(bytes: Uint8Array | undefined): ShownBytes {
  if (bytes === undefined) return { text: null, base64: null };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, base64: null };
  } catch {
    return { text: null, base64: bytes.toBase64() };
  }
}
