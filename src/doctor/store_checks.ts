/** The database: whether it is whole, and what it says of devices and of time. */

import { AuditLog } from "../store/sqlite/audit_log.ts";
import { WARN_DAYS } from "../config/expiry.ts";
import { APPLICATION_ID, MIGRATIONS } from "../store/sqlite/schema.ts";
import { readSealingKeys } from "../store/sealing_keys.ts";
import { Registry } from "../store/sqlite/registry.ts";
import { Database } from "../store/sqlite/database.ts";
import { Inspection } from "../store/sqlite/inspection.ts";
import {
  type Check,
  type CheckOutcome,
  failed,
  messageOf,
  ok,
  passUnless,
  type Site,
  warning,
} from "./check.ts";

/** Whether the database can be used at all; the others, and every attack with a device, need it. */
export const STORE_CHECK: Check<Site> = { name: "store", look: integrity };

/** The checks of this family that need a sound store. */
export const STORE_CHECKS: readonly Check<Site>[] = [
  { name: "devices' certificates", look: deviceEnds },
  { name: "secrets", look: secrets },
  { name: "audit", look: audit },
  { name: "clock", look: clock },
];

const DAY_SECONDS = 86_400;
const NAMED_MAX = 5;
/** Two clocks of one machine never differ by more than a step of NTP. */
const STEP_SECONDS = 60;

function integrity({ config }: Site): CheckOutcome {
  const { database } = config.store;
  const remedy = "Stop the gateway, keep the file, and bring back the newest backup";
  try {
    using file = new Inspection(database);
    const { fault, version, application } = file.integrity();
    if (fault !== undefined) return failed(`"${database}" is damaged: ${fault}`, remedy);
    if (application !== APPLICATION_ID) return failed(`"${database}" is another program's`, remedy);
    const newest = MIGRATIONS.length;
    const observed = `whole, schema ${version} of ${newest}`;
    if (Number(version) > newest) {
      return failed(`${observed}: a newer program wrote it`, "Update this one");
    }
    if (version === newest) reading(database, (store) => store.transaction(() => {})); // it can be written
    return version === newest
      ? ok(observed)
      : warning(observed, "Restart the gateway, which brings it up");
  } catch (error) {
    return failed(`"${database}" cannot be read: ${messageOf(error)}`, remedy);
  }
}

function deviceEnds({ config, nowMs }: Site): CheckOutcome {
  const ends = reading(config.store.database, (store) => new Registry(store).certificateEnds());
  const near = ends.filter(({ notAfter }) => notAfter - nowMs / 1000 <= WARN_DAYS * DAY_SECONDS);
  if (near.length === 0) return ok(`${ends.length} devices, none ends within ${WARN_DAYS} days`);
  const names = near.slice(0, NAMED_MAX).map(({ deviceId }) => deviceId).join(", ");
  const others = near.length > NAMED_MAX ? ` and ${near.length - NAMED_MAX} more` : "";
  return warning(
    `${names}${others}: the certificate ends within ${WARN_DAYS} days, or has ended`,
    "Give them new certificates",
  );
}

function secrets({ config }: Site): CheckOutcome {
  const keys = readSealingKeys(config.store.sealingKey);
  const fault = reading(
    config.store.database,
    (store) => new Registry(store, keys).missingSealingKeys(),
  );
  if (fault !== undefined) return failed(fault, "Bring back secrets.key");
  return keys.length === 0
    ? ok("plain in the database, as the site wants it: see secrets seal")
    : ok("sealed, and secrets.key opens them");
}

function audit({ config }: Site): CheckOutcome {
  const { faults, count } = reading(config.store.database, (store) => new AuditLog(store).prove());
  return passUnless(faults, {
    observed: `${count} entries, none altered, removed or moved`,
    remedy: "Somebody has written into the database: find out who, see audit export",
  });
}

/** A message from the future was fresh when it came: the clock was ahead then, or is behind now. */
function clock({ config, nowMs }: Site): CheckOutcome {
  using file = new Inspection(config.store.database);
  const { newest, attended } = file.times();
  const nowSeconds = Math.floor(nowMs / 1000);
  const aheads = [
    { ahead: newest - nowSeconds, allowed: config.checks.toleranceSeconds, what: "a message" },
    { ahead: attended - nowSeconds, allowed: STEP_SECONDS, what: "the gateway's own mark" },
  ].filter(({ ahead, allowed }) => ahead > allowed);
  const behind = aheads.map(({ what, ahead }) => `${what} that was accepted is ${ahead} s ahead`);
  if (behind.length > 0) {
    return failed(`${behind.join("; ")} of this clock`, "Set the clock right, by NTP");
  }
  if (newest === 0) return ok("no message to compare it with yet");
  return ok(`the newest message is of ${new Date(newest * 1000).toISOString()}, not ahead`);
}

/** A store opened as commands do it, for as long as `work` takes. */
function reading<T>(path: string, work: (store: Database) => T): T {
  const store = new Database(path);
  try {
    return work(store);
  } finally {
    store.close();
  }
}
