/** The database: whether it is intact, and what it says about devices and the clock. */

import { faultText } from "../core/fault_text.ts";
import { counted } from "../core/counted.ts";
import { DAY_SECONDS, secondsOf } from "../core/time.ts";
import { WARN_DAYS } from "../config/expiry.ts";
import { readSealingKeys } from "../store/sealing_keys.ts";
import { inspectStore, openStore } from "../store/open_store.ts";
import type { Store } from "../store/store.ts";
import { placeName, storePlaceIn } from "../store/store_place.ts";
import { type Check, type CheckOutcome, fail, pass, passUnless, type Site, warn } from "./check.ts";

/** Whether the database can be used at all; the others, and every attack with a device, need it. */
export const STORE_CHECK: Check<Site> = { name: "store", look: integrity };

/** The checks of this family that need an undamaged store. */
export const STORE_CHECKS: readonly Check<SiteWithStore>[] = [
  { name: "devices' certificates", look: deviceEnds },
  { name: "devices' rows", look: rows },
  { name: "secrets", look: secrets },
  { name: "audit", look: audit },
  { name: "clock", look: clock },
];

/** A site whose store is undamaged and open. */
interface SiteWithStore extends Site {
  readonly store: Store;
}

const NAMED_MAX = 5;
/** Two clocks of one machine never differ by more than a step of NTP. */
const STEP_SECONDS = 60;

async function integrity({ config }: Site): Promise<CheckOutcome> {
  const isFile = config.store.server === undefined;
  const remedy = isFile
    ? "Stop the gateway, keep the file, and restore the newest backup of it"
    : "Correct [store] in gateway.toml, or bring the servers up";
  const upgrade = isFile
    ? "Restart the gateway, which upgrades it: systemctl restart secure-iot-gateway"
    : "Type store migrate";
  let name = `"${config.store.database}"`;
  try {
    const place = storePlaceIn(config);
    name = placeName(place);
    const { damage, isForeign, schema, newestSchema } = await inspectStore(place);
    if (damage !== undefined) return fail(`${name} is damaged: ${damage}`, remedy);
    if (isForeign) return fail(`${name} is from another program`, remedy);
    const observed = `whole, schema ${schema} of ${newestSchema}`;
    if (schema > newestSchema) {
      return fail(`${observed}: a newer version wrote it`, "Install the newest secure-iot-gateway");
    }
    if (schema < newestSchema) {
      return warn(observed, upgrade);
    }
    await proveWritable(config);
    return pass(observed);
  } catch (error) {
    return fail(`${name} cannot be read: ${faultText(error)}`, remedy);
  }
}

async function proveWritable(config: Site["config"]): Promise<void> {
  const store = await openStore(storePlaceIn(config), { author: "command" });
  try {
    await store.audit.chainPending(); // a transaction
  } finally {
    await store.close();
  }
}

async function deviceEnds({ store, nowMs }: SiteWithStore): Promise<CheckOutcome> {
  const ends = await store.registry.certificateEnds();
  const near = ends.filter(({ notAfter }) => notAfter - nowMs / 1000 <= WARN_DAYS * DAY_SECONDS);
  if (near.length === 0) {
    return pass(
      `${counted(ends.length, "device")}, no certificate expires within ${WARN_DAYS} days`,
    );
  }
  const names = near.slice(0, NAMED_MAX).map(({ deviceId }) => deviceId).join(", ");
  const others = near.length > NAMED_MAX ? ` and ${near.length - NAMED_MAX} more` : "";
  return warn(
    `${names}${others}: the certificate expires within ${WARN_DAYS} days, or has expired`,
    "For each: secure-iot-gateway device rotate ID --certificate",
  );
}

/** Other programs may write to the table of devices. */
async function rows({ store }: SiteWithStore): Promise<CheckOutcome> {
  const devices = await store.registry.list();
  const hasKeys = await store.registry.missingSealingKeys() === undefined;
  const damaged = devices.flatMap((device) => {
    const isAltered = hasKeys && !device.opens;
    const damage = device.damage ?? (isAltered ? "its secret was altered" : undefined);
    return damage === undefined ? [] : [`"${device.deviceId}" is damaged: ${damage}`];
  });
  const others = damaged.length - NAMED_MAX;
  const named = damaged.slice(0, NAMED_MAX).concat(others > 0 ? [`and ${others} more`] : []);
  return passUnless(named, {
    observed: `${counted(devices.length, "device")}, none damaged`,
    remedy: "For each: secure-iot-gateway device remove ID, or correct its row in the database",
  });
}

async function secrets({ config, store }: SiteWithStore): Promise<CheckOutcome> {
  const keys = readSealingKeys(config.store.sealingKey);
  const fault = await store.registry.missingSealingKeys();
  if (fault !== undefined) return fail(fault, "Restore secrets.key from your copy of it");
  return keys.length === 0
    ? pass("not sealed (secrets seal does that)")
    : pass("sealed, and secrets.key opens them");
}

async function audit({ store }: SiteWithStore): Promise<CheckOutcome> {
  const { faults, count } = await store.audit.prove();
  return passUnless(faults, {
    observed: `${counted(count, "entry", "entries")}, none altered, removed or moved`,
    remedy: "The database was changed by hand: compare audit export with a backup",
  });
}

/** A message from the future was fresh when it came: the clock was ahead then, or is behind now. */
async function clock({ config, store, nowMs }: SiteWithStore): Promise<CheckOutcome> {
  const { newestSeconds: newest, attendedSeconds: attended = 0 } = await store.marks();
  const nowSeconds = secondsOf(nowMs);
  const aheads = [
    {
      ahead: newest - nowSeconds,
      allowed: config.checks.toleranceSeconds,
      what: "an accepted message",
    },
    { ahead: attended - nowSeconds, allowed: STEP_SECONDS, what: "a time that the gateway noted" },
  ].filter(({ ahead, allowed }) => ahead > allowed);
  const behind = aheads.map(({ what, ahead }) => `${what} is ${ahead} s ahead`);
  if (behind.length > 0) {
    return fail(`${behind.join("; ")} of this clock`, "Set the clock: timedatectl set-ntp true");
  }
  if (newest === 0) return pass("no message to compare it with yet");
  return pass(
    `the newest message is from ${new Date(newest * 1000).toISOString()}, not ahead of the clock`,
  );
}
