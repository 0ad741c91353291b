/** `GET /ui/api/devices/{id}`: all that is known of one device; no secret of it. */

import { secondsOf } from "../../core/time.ts";
import type { KnownDevice } from "../../store/device_keys.ts";
import type { DeviceTable } from "./device_table.ts";
import type { PageSources } from "./page_sources.ts";
import type { RecentRejection } from "./recent_rejections.ts";

/** The device; undefined if it is not registered any longer. */
export async function devicePage(deviceId: string, sources: PageSources, table: DeviceTable) {
  const { keys, store, memory } = sources;
  const row = await table.row(deviceId);
  const known = knownOf(deviceId, keys.known());
  if (row === undefined || known === undefined) return undefined;
  const { createdAt, revokedAt, revokedReason, damage } = known.device;
  const certificates = await store.registry.certificates(deviceId);
  return {
    ...row,
    created: createdAt ?? null,
    revoked_at: revokedAt ?? null,
    revoked_reason: revokedReason ?? null,
    damage: damage ?? null,
    certificates: certificates.map(({ serial, notBefore, notAfter }) => (
      { serial, not_before: notBefore, not_after: notAfter }
    )),
    secrets: known.uses.map(({ generation, lastUsed, until }) => (
      { generation, last_used: lastUsed ?? null, until: until ?? null }
    )),
    rejections: memory.rejections.of(deviceId).map(describeRejection),
  };
}

/** A rejection without its message. */
export function describeRejection(rejection: RecentRejection) {
  const { id, atMs, code, reason, messageId, count, bytes } = rejection;
  return {
    ...{ id, at: secondsOf(atMs), code, reason, message_id: messageId ?? null, count },
    has_message: bytes !== undefined,
  };
}

function knownOf(deviceId: string, all: Iterable<KnownDevice>): KnownDevice | undefined {
  for (const known of all) if (known.device.deviceId === deviceId) return known;
  return undefined;
}
