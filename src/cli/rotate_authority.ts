/** `rotate-authority`: a new authority for the devices, without a gap. */

import { Registry } from "../store/sqlite/registry.ts";
import type { Database } from "../store/sqlite/database.ts";
import {
  beginRollover,
  currentRollover,
  finishRollover,
  type RolloverResult,
  withAuthorityLock,
} from "../site/pki/authority_rollover.ts";
import { updateBroker } from "../site/operations/broker_update.ts";
import type { SiteLayout } from "../site/layout.ts";
import { printBrokerUpdate } from "./revocation_report.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, print } from "./terminal.ts";

/** Ids that are named in one message. */
const NAMED_MAX = 5;

/** Moves to a new device authority, or ends the move. */
export async function rotateAuthority(
  options: SiteOption & { readonly finish?: true; readonly force?: true },
): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  await withStore(config, async (store) => {
    try {
      await withAuthorityLock(layout, async () => {
        if (options.finish) await finish(layout, store, options.force === true);
        else await begin(layout, store);
      });
    } catch (error) {
      if (
        !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)
      ) {
        throw error;
      }
      throw new CommandError(`Cannot move to another authority: ${error.message}`);
    }
    const update = await updateBroker(store, { layout, config, nowMs: Date.now() });
    printBrokerUpdate(update, "Until then the broker takes the authorities that it took before");
  });
}

async function begin(layout: SiteLayout, store: Database): Promise<void> {
  const move = await beginRollover(layout, Date.now());
  if (!move.ok) throw new CommandError(`Cannot move to another authority: ${move.fault}`);
  print(`New certificates come from authority ${shortOf(move.issuer)}`);
  if (move.previous === undefined) return;
  const left = devicesLeft(store, move.issuer);
  print(`Those of authority ${shortOf(move.previous)} are good until rotate-authority --finish`);
  print(`${left.length} devices are to be given one of the new: device rotate ID --certificate`);
}

async function finish(layout: SiteLayout, store: Database, force: boolean): Promise<void> {
  const move: RolloverResult = await currentRollover(layout);
  if (!move.ok) throw new CommandError(move.fault);
  if (move.previous === undefined) return print("There is one authority only");
  const left = devicesLeft(store, move.issuer);
  if (left.length > 0 && !force) {
    const named = left.slice(0, NAMED_MAX).join(", ") + (left.length > NAMED_MAX ? ", …" : "");
    throw new CommandError(
      `Cannot end the move: ${left.length} devices have no certificate of the new authority: ${named}`,
      { hint: "Give them one with device rotate ID --certificate, or give --force" },
    );
  }
  await finishRollover(layout);
  new Registry(store).withdrawIssuedByOthers(move.issuer, Math.floor(Date.now() / 1000));
  print(`Authority ${shortOf(move.previous)} is good no more`);
}

/** Devices that are not revoked and have no certificate of the issuing authority. */
function devicesLeft(store: Database, issuer: string): string[] {
  const registry = new Registry(store);
  return registry.list().filter(({ revokedAt, deviceId }) =>
    revokedAt === undefined &&
    !registry.certificates(deviceId).some((certificate) => certificate.issuer === issuer)
  ).map(({ deviceId }) => deviceId);
}

function shortOf(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}
