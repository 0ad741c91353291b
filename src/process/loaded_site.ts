/** A site's configuration and the files it names, read at one moment, and what differs from another. */

import type { Config } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { listSettings, type Settings } from "../config/settings.ts";
import { openStore } from "../store/open_store.ts";
import { storePlaceOf } from "../store/store_place.ts";
import type { GatewaySpec } from "./protocol.ts";

/** What a gateway runs with, and the settings it came from. */
export interface LoadedSite extends GatewaySpec {
  readonly settings: Settings;
}

/**
 * Reads the files that a configuration names, and brings its database to this version's schema, since
 * the worker may not back it up. Rejects with a `StartError` or a `StoreError`.
 */
export async function loadSite(
  { config, settings }: { readonly config: Config; readonly settings: Settings },
): Promise<LoadedSite> {
  const credentials = readCredentials(config);
  const { sealingKey: _, ...place } = storePlaceOf(config, credentials.store);
  await (await openStore(place, { author: "gateway" })).close();
  return { config, settings, credentials };
}

/** The settings whose value, or the file they name, differs. */
export function changedSettings(before: LoadedSite, after: LoadedSite): string[] {
  const names = listSettings().map(({ section, key }) => `${section}.${key}`);
  return names.filter((name) => valueOf(before, name) !== valueOf(after, name));
}

function valueOf({ settings, credentials }: LoadedSite, name: string) {
  const { broker, backend, api, store } = credentials;
  const [section, key] = name.split(".") as [keyof Settings, string];
  const files: Readonly<Record<string, string | undefined>> = {
    "broker.ca": broker.ca,
    "broker.certificate": broker.certificate,
    "broker.key": broker.key,
    "backend.ca": backend.ca,
    "backend.headers_file": JSON.stringify(backend.fields),
    "backend.certificate": backend.pair?.certificate,
    "backend.key": backend.pair?.key,
    "backend.signing_key_file": backend.signingKeys.map((key) => key.toHex()).join(),
    "store.ca": store?.ca,
    "store.certificate": store?.pair?.certificate,
    "store.key": store?.pair?.key,
    "store.password_file": store?.password,
    "api.certificate": api.certificate,
    "api.key": api.key,
    "api.key_file": api.keyDigest?.toHex(),
  };
  return JSON.stringify([Object.entries(settings[section]).find(([k]) => k === key), files[name]]);
}
