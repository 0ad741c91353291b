/** `GET /ui/api/outbox`: what the backend was asked to take and has not taken, the stuck first. */

import { secondsOf } from "../../core/time.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { LaneState } from "../pipeline/lanes.ts";
import { pageOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";

/** An entry, as the API writes it. */
interface WaitingRow {
  readonly sequence: number;
  readonly device_id: string;
  readonly message_id: string | null;
  readonly command_state: string | null;
  readonly age_seconds: number | null;
  readonly tries: number;
  readonly stuck: boolean;
  readonly waiting: number;
  readonly reason: string | null;
}

/** A page of what is in front of each device's lane and was tried. */
export function waitingPage(query: PageQuery, sources: PageSources, key: ApiKey) {
  const limit = query.limit;
  const device = query.text("device");
  const cursor = query.cursor("number", "number");
  const nowMs = sources.steadyMs();
  const rows: WaitingRow[] = [];
  for (const lane of sources.forwarder.laneStates()) {
    const isAsked = device === undefined || device === lane.deviceId;
    if (isAsked && lane.tries > 0 && reaches(key, lane.deviceId)) rows.push(rowOf(lane, nowMs));
  }
  rows.sort((one, other) => compare(placeOf(one), placeOf(other)));
  const { page: entries, next } = pageOf(rows, { limit, cursor, placeOf, compare });
  return { entries, next };
}

function rowOf(lane: LaneState, nowMs: number): WaitingRow {
  const { deviceId, sequence, front, tries, stuck, waiting, failure } = lane;
  return {
    sequence,
    device_id: deviceId,
    message_id: front?.messageId ?? null,
    command_state: front?.commandState ?? null,
    age_seconds: front === undefined ? null : secondsOf(Math.max(0, nowMs - front.acceptedMs)),
    tries,
    stuck,
    waiting,
    reason: failure ?? null,
  };
}

/** The stuck are first, then those that were accepted first. */
type Place = readonly [rank: number, sequence: number];

function placeOf({ stuck, sequence }: WaitingRow): Place {
  return [stuck ? 0 : 1, sequence];
}

function compare([rank, sequence]: Place, [otherRank, otherSequence]: Place): number {
  return rank - otherRank || sequence - otherSequence;
}
