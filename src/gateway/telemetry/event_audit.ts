/** Events as entries of the audit: those that say who has used the API, or tried to. */

import type { AuditNote } from "../../core/audit_note.ts";
import { isDeviceId } from "../../core/device.ts";
import type { EventOf, GatewayEvent } from "../../core/event.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";

type Kind = GatewayEvent["kind"];
type Entered = Pick<AuditNote, "subject" | "detail" | "count">;

/** What each event enters; most enter nothing, or the store enters them by itself. */
const NOTES: { readonly [K in Kind]?: (event: EventOf<K>) => Entered } = {
  command_accepted: ({ keyName, deviceId, messageId, delivery }) => ({
    subject: deviceId,
    detail: `${keyName} ${messageId} ${delivery}`,
    count: 1,
  }),
  command_cancelled: ({ keyName, deviceId, messageId, state }) => ({
    subject: deviceId,
    detail: `${keyName} ${messageId} ${state}`,
    count: 1,
  }),
  command_state_changed: ({ keyName, deviceId, messageId, state }) => ({
    subject: deviceId,
    detail: `${keyName} ${messageId} ${state}`,
    count: 1,
  }),
  command_refused: ({ keyName, deviceId, messageId, reason, count }) => ({
    subject: isDeviceId(deviceId) ? deviceId : "", // any text may be in a path
    detail: `${keyName} ${messageId ?? "-"} ${reason}`,
    count,
  }),
  session_begun: ({ keyName, address }) => ({
    subject: "",
    detail: `${keyName} from ${address}`,
    count: 1,
  }),
  operator_acted: ({ keyName, action, deviceId, messageId, count }) => ({
    subject: deviceId ?? "",
    detail: `${keyName} ${messageId ?? "-"} ${action}`,
    count,
  }),
  api_key_refused: ({ fault, count, address }) => ({
    subject: "",
    detail: `${fault}, last from ${address}`,
    count,
  }),
};

/** Enters an event in the audit, if it is one of those. */
export function enterEvent(
  event: GatewayEvent,
  { committer, clock }: { committer: { note(note: AuditNote): void }; clock: Clock },
): void {
  const note = NOTES[event.kind] as ((event: GatewayEvent) => Entered) | undefined;
  if (!note) return;
  committer.note({ at: secondsOf(clock.wallMs()), event: event.kind, ...note(event) });
}
