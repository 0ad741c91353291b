/** The site that a command works on. */

import { faultText } from "../core/fault_text.ts";
import { StoreError } from "../store/store_error.ts";
import { type Config, readConfig } from "../config/config.ts";
import { SITE_DIRECTORY_VARIABLE } from "../config/settings_table.ts";
import { openStore } from "../store/open_store.ts";
import type { Store } from "../store/store.ts";
import { type StorePlace, storePlaceIn } from "../store/store_place.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { systemFault } from "../config/system_fault.ts";
import type { Settings } from "../config/settings.ts";
import { type SiteLayout, siteLayout } from "../site/layout.ts";
import { programName } from "./program_name.ts";
import { CommandError, EXIT } from "./terminal.ts";

/** Options that every command has. */
export interface SiteOption {
  readonly dir?: string;
}

/** The layout of the site folder: `--dir`, else the environment's, else the current folder. */
export function layoutOf(options: SiteOption): SiteLayout {
  const directory = options.dir ?? Deno.env.get(SITE_DIRECTORY_VARIABLE) ?? ".";
  if (directory === "") {
    throw new CommandError("The site folder's name is empty", { exit: EXIT.usage });
  }
  return siteLayout(directory);
}

/** The configuration of a site, or a failure that names every fault. */
export function configOf(layout: SiteLayout): Config {
  return settingsOf(layout).config;
}

/** The same, with the settings as they are in gateway.toml and the environment. */
export function settingsOf(
  layout: SiteLayout,
): { config: Config; settings: Settings; ignored: readonly string[] } {
  const environment = Deno.env.toObject();
  const result = readConfig(readConfiguration(layout), {
    environment,
    directory: layout.directory,
  });
  if (!result.ok) {
    throw new CommandError(result.faults, {
      exit: EXIT.usage,
      hint: `Correct "${layout.configuration}"; docs/operator/settings.md lists every setting`,
    });
  }
  return result;
}

/** Opens a site's store for as long as `work` takes; secrets that are sealed stay shut. */
export async function withStore<T>(
  config: Config,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const { sealingKey: _, ...place } = storePlaceIn(config);
  return await withStoreAt(place, work);
}

/** The same for what needs the devices' secrets: all that are sealed must open. */
export async function withSecrets<T>(
  config: Config,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  return await withStoreAt(storePlaceIn(config), async (store) => {
    const fault = await store.registry.missingSealingKeys();
    if (fault !== undefined) throw new CommandError(fault);
    return await work(store);
  });
}

async function withStoreAt<T>(
  place: StorePlace,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  return await onStore(async () => {
    const store = await openStore(place, { author: "command" });
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  });
}

/** Work on a store; what is wrong with it is said with a hint. */
export async function onStore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StoreError ? storeFailure(error) : error;
  }
}

function storeFailure(error: StoreError): CommandError {
  const hint = systemFault(error)?.hint;
  return new CommandError(error.message, hint === undefined ? {} : { hint });
}

function readConfiguration(layout: SiteLayout): string {
  try {
    return readOperatorText(layout.configuration);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new CommandError(`There is no site in "${layout.directory}": no gateway.toml`, {
        hint:
          `Name the site folder with --dir, or make one: ${programName()} init --dir ${layout.directory}`,
      });
    }
    const hint = systemFault(error)?.hint;
    throw new CommandError(
      `Cannot read "${layout.configuration}": ${faultText(error)}`,
      hint === undefined ? {} : { hint },
    );
  }
}
