/** The certificates and keys of a site, read and checked before they are used. */

import { faultText } from "../core/fault_text.ts";
import { createHash } from "node:crypto";
import { type HeaderField, readHeaderFields, readSigningKeys } from "./backend_files.ts";
import { serverCertificateCommand } from "../core/tls_fault.ts";
import type { Config } from "./config.ts";
import { readOperatorFile, readOperatorText } from "./operator_file.ts";
import { isPair, isVersion1, type PemResult, readCertificates, readPrivateKey } from "./pem.ts";

/** A system's list of all authorities has a quarter of this. */
const PEM_MAX_BYTES = 1_048_576;

/** The gateway cannot start; the message is for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** A certificate and its private key, as PEM text or as paths. */
interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** The contents of the files that a configuration names; plain values. */
export interface Credentials {
  readonly broker: KeyPair & { readonly ca: string };
  /** PEM text; undefined: use the system's authorities. */
  readonly backend: BackendCredentials;
  /** Undefined where the store is a file. */
  readonly store: StoreCredentials | undefined;
  /** `keyDigest`: SHA-256 of the operator's copy of a Bearer key; undefined if there is none. */
  readonly api: KeyPair & { readonly keyDigest: Uint8Array | undefined };
}

/** Who the gateway is to the store's servers. */
export interface StoreCredentials {
  /** PEM text; undefined: use the system's authorities. */
  readonly ca: string | undefined;
  readonly pair: KeyPair | undefined;
  readonly password: string | undefined;
}

/** Who the gateway is to the backend. */
interface BackendCredentials {
  readonly ca: string | undefined;
  /** Fields of each request. */
  readonly fields: readonly HeaderField[];
  /** The client certificate; undefined if there is none. */
  readonly pair: KeyPair | undefined;
  /** Bytes of the keys that sign each request; empty if it is not signed. */
  readonly signingKeys: readonly Uint8Array[];
}

/** SHA-256 of a key; the gateway stores only this. */
export function apiKeyDigest(key: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(key).digest());
}

/** Reads every file that `config` names; throws a `StartError` that names the bad one. */
export function readCredentials({ broker, backend, api, store }: Config): Credentials {
  return {
    broker: readBrokerCredentials(broker),
    backend: readBackendCredentials(backend),
    store: readStoreCredentials(store),
    api: { ...readKeyPair(api), keyDigest: readKeyDigest(api.keyFile) },
  };
}

/** Reads what the gateway is to the store's servers; throws as `readCredentials` does. */
export function readStoreCredentials({ server }: Config["store"]): StoreCredentials | undefined {
  return server && {
    ca: server.ca === undefined ? undefined : readAuthorities(server.ca),
    pair: server.pair && readKeyPair(server.pair),
    password: server.passwordFile === undefined
      ? undefined
      : readPrivateText(server.passwordFile).trim(),
  };
}

/** Reads what the gateway is to the backend; throws as `readCredentials` does. */
export function readBackendCredentials(backend: Config["backend"]): BackendCredentials {
  return {
    ca: backend.ca === undefined ? undefined : readAuthorities(backend.ca),
    fields: readSecretFile(backend.headersFile, readHeaderFields) ?? [],
    pair: backend.pair && readKeyPair(backend.pair),
    signingKeys: readSecretFile(backend.signingKeyFile, readSigningKeys) ?? [],
  };
}

/** Reads what it takes to connect to the broker; throws as `readCredentials` does. */
export function readBrokerCredentials({ ca, certificate, key }: Config["broker"]) {
  return { ca: readAuthorities(ca), ...readKeyPair({ certificate, key }) };
}

/** The certificates of a file, each as PEM text; throws as `readCredentials` does. */
export function readCertificateFile(path: string): readonly [string, ...string[]] {
  return readPem(path, readCertificates);
}

/** Why a certificate and its key cannot be used together; undefined if they can. */
export function keyPairFault(paths: KeyPair): string | undefined {
  try {
    readKeyPair(paths);
    return undefined;
  } catch (error) {
    if (error instanceof StartError) return error.message;
    throw error;
  }
}

/** A certificate and its key, checked as a pair: later, a wrong pair gives a misleading error. */
export function readKeyPair(paths: KeyPair): KeyPair {
  const certificates = readCertificateFile(paths.certificate);
  if (isVersion1(certificates[0])) {
    throw new StartError(
      `Cannot use "${paths.certificate}": it is X.509 version 1, which has no names of hosts; ` +
        `make one of version 3: ${serverCertificateCommand()}`,
    );
  }
  const key = readPem(paths.key, readPrivateKey);
  if (isPair(certificates[0], key)) return { certificate: certificates.join(""), key };
  throw new StartError(`"${paths.key}" is not the key of "${paths.certificate}"`);
}

/** A file that only its owner may read; undefined if none is named. */
function readSecretFile<T>(
  path: string | undefined,
  read: (
    text: string,
  ) => { readonly ok: true; readonly value: T } | {
    readonly ok: false;
    readonly faults: readonly string[];
  },
): T | undefined {
  if (path === undefined) return undefined;
  const result = read(readPrivateText(path));
  if (result.ok) return result.value;
  throw new StartError(`Cannot use "${path}": ${result.faults.join("; ")}`);
}

function readPrivateText(path: string): string {
  try {
    const text = readOperatorText(path, PEM_MAX_BYTES);
    const mode = Deno.statSync(path).mode ?? 0;
    if ((mode & 0o077) === 0) return text;
  } catch (error) {
    throw new StartError(`Cannot read "${path}": ${faultText(error)}`);
  }
  throw new StartError(`Cannot use "${path}": other users may read it; type chmod 600 "${path}"`);
}

function readAuthorities(path: string): string {
  return readCertificateFile(path).join("");
}

function readPem<T>(path: string, read: (bytes: Uint8Array) => PemResult<T>): T {
  const result = read(readBytes(path));
  if (result.ok) return result.value;
  throw new StartError(`Cannot use "${path}": ${result.fault}`);
}

function readKeyDigest(path: string): Uint8Array | undefined {
  try {
    const key = readOperatorText(path).trim();
    return key === "" ? undefined : apiKeyDigest(key);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StartError(`Cannot read "${path}": ${faultText(error)}`);
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readOperatorFile(path, PEM_MAX_BYTES);
  } catch (error) {
    throw new StartError(`Cannot read "${path}": ${faultText(error)}`);
  }
}
