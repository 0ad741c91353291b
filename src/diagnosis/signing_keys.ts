/** With which key and which hash a signature may have been made. */

import { createHash, createHmac } from "node:crypto";
import { bytesOfHex } from "../core/signature.ts";
import { utf16, utf8 } from "./signed_layouts.ts";
import { MISTAKES_MAX, right, type Way, wrong } from "./way.ts";

/** Makes a signature of a text, as hex digits. */
export type Algorithm = (input: Uint8Array) => string;

/** Every way to make a signature of a text, with the secret of its device or another's. */
export function algorithmsOf(
  secret: string,
  otherSecrets: ReadonlyMap<string, string>,
): Way<Algorithm>[] {
  const key = utf8(secret);
  const sha256 = "The signature is a plain SHA-256, not HMAC-SHA256 with the secret as its key";
  const twice = "The HMAC is over the text's SHA-256: it must be over the text itself";
  return [
    right((input) => hmac(key, input)),
    ...otherKeysOf(secret).map(([bytes, mistake]) =>
      wrong<Algorithm>((input) => hmac(bytes, input), mistake)
    ),
    wrong((input) => hash(input), sha256),
    wrong((input) => hash(key, input), sha256),
    wrong((input) => hash(input, key), sha256),
    wrong((input) => hmac(key, utf8(hash(input))), twice),
    wrong((input) => hmac(key, bytesOfHex(hash(input))!), twice),
    wrong(
      (input) => hmac(input, key),
      "The HMAC's key and text are swapped: the secret is the key",
    ),
    ...[...otherSecrets].map(([deviceId, other]) =>
      wrong<Algorithm>(
        (input) => hmac(utf8(other), input),
        `The signature is made with the secret of ${deviceId}`,
        { weight: MISTAKES_MAX },
      )
    ),
  ];
}

/** What else may be taken for the key, and the sentence that says so. */
function otherKeysOf(secret: string): [bytes: Uint8Array, mistake: string][] {
  const strip = "strip what its file has at the end";
  const decoded = "before it became the key: the key is the secret's text as it is";
  const openssl = "openssl's whole output, with its name in front: the key is the secret alone";
  const keys: [Uint8Array | undefined, string][] = [
    [utf8(`${secret}\n`), `The key is the secret and a newline: ${strip}`],
    [utf8(`${secret}\r\n`), `The key is the secret, a carriage return and a newline: ${strip}`],
    [utf8(`"${secret}"`), "The key is the secret in quotation marks: take them off"],
    [utf8(`b'${secret}'`), "The key is Python's text of the secret's bytes, b'…': use the bytes"],
    [utf8(`\ufeff${secret}`), "The key is the secret behind a byte order mark: leave it out"],
    [utf8(secret.trim()), "The key is the secret without the white space around it"],
    [
      utf8(secret.trim().split(/\s+/).at(-1)!),
      "The key is only the last word of the secret, as " +
      'behind openssl\'s "SHA2-256(stdin)= ": the key is the whole text',
    ],
    ...["SHA2-256(stdin)= ", "SHA256(stdin)= ", "(stdin)= "].map((head) =>
      [utf8(head + secret), `The key is ${openssl}`] as [Uint8Array, string]
    ),
    [bytesOfHex(secret.trim()), `The secret was decoded from hex ${decoded}`],
    [bytesOfBase64(secret.trim()), `The secret was decoded from base64 ${decoded}`],
    [utf8(utf8(secret).toHex()), `The secret was encoded in hex ${decoded}`],
    [utf8(utf8(secret).toBase64()), `The secret was encoded in base64 ${decoded}`],
    [bytesOfHex(hash(utf8(secret))), `The secret was hashed ${decoded}`],
    [utf8(hash(utf8(secret))), `The secret was hashed ${decoded}`],
    [
      utf8(secret.toLowerCase()),
      "The key is the secret in lower case: upper and lower case differ",
    ],
    [
      utf8(secret.toUpperCase()),
      "The key is the secret in upper case: upper and lower case differ",
    ],
    [utf16(secret, { little: true }), "The key is the secret in UTF-16: it is its bytes in UTF-8"],
    ...["", "undefined", "null", "None"].map((text) =>
      [utf8(text), `The key is ${JSON.stringify(text)}: the device has not read its secret`] as [
        Uint8Array,
        string,
      ]
    ),
  ];
  return keys.filter((key): key is [Uint8Array, string] =>
    key[0] !== undefined && key[0].toHex() !== utf8(secret).toHex()
  );
}

/** The bytes of base64 or base64url text, padded or not; undefined if it is neither. */
export function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(plain)) return undefined;
  try {
    return Uint8Array.from(atob(plain), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function hmac(key: Uint8Array, input: Uint8Array): string {
  return createHmac("sha256", key).update(input).digest("hex");
}

function hash(...parts: readonly Uint8Array[]): string {
  const all = createHash("sha256");
  for (const part of parts) all.update(part);
  return all.digest("hex");
}
