/** The certificates and keys of a site, read and checked before they are used. */

import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import type { Config } from "./config.ts";
import { readOperatorText } from "./operator_file.ts";

/** The gateway cannot start; the message is for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** A certificate and its private key, as PEM text. */
interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** The contents of the files that a configuration names; plain values. */
export interface Credentials {
  readonly broker: KeyPair & { readonly ca: string };
  /** PEM text; undefined: use the system's authorities. */
  readonly backend: { readonly ca: string | undefined };
  /** `keyDigest`: SHA-256 of the operator's copy of a Bearer key; undefined if there is none. */
  readonly api: KeyPair & { readonly keyDigest: Uint8Array | undefined };
}

/** SHA-256 of a key; the gateway stores only this. */
export function apiKeyDigest(key: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(key).digest());
}

/** Reads every file that `config` names; throws a `StartError` that names the bad one. */
export function readCredentials({ broker, backend, api }: Config): Credentials {
  return {
    broker: { ca: readAuthority(broker.ca), ...readKeyPair(broker.certificate, broker.key) },
    backend: { ca: backend.ca === undefined ? undefined : readAuthority(backend.ca) },
    api: { ...readKeyPair(api.certificate, api.key), keyDigest: readKeyDigest(api.keyFile) },
  };
}

/** A certificate and its key, checked as a pair: later, a wrong pair gives a misleading error. */
function readKeyPair(certificatePath: string, keyPath: string): KeyPair {
  const certificate = readText(certificatePath);
  const key = readText(keyPath);
  let fits: boolean;
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const reason = (error as Error).message;
    throw new StartError(`Cannot read "${certificatePath}" with "${keyPath}": ${reason}`);
  }
  if (!fits) throw new StartError(`"${keyPath}" is not the key of "${certificatePath}"`);
  return { certificate, key };
}

function readAuthority(path: string): string {
  const authority = readText(path);
  try {
    new X509Certificate(authority);
  } catch (error) {
    throw new StartError(`Cannot read "${path}": ${(error as Error).message}`);
  }
  return authority;
}

function readKeyDigest(path: string): Uint8Array | undefined {
  try {
    const key = readOperatorText(path).trim();
    return key === "" ? undefined : apiKeyDigest(key);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StartError(`Cannot read "${path}": ${(error as Error).message}`);
  }
}

function readText(path: string): string {
  try {
    return readOperatorText(path);
  } catch (error) {
    throw new StartError(`Cannot read "${path}": ${(error as Error).message}`);
  }
}
