/**
 * `GET /ui/api/devices/{id}/rejections/{rid}`: a refused message, and the likely mistake in words.
 *
 * The rules are:
 * - it is looked for when somebody asks, by one search a second, each with a limit that intake does not
 *   feel;
 * - of other devices it says only what the key may see.
 */

import { secondsOf } from "../../core/time.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { DeviceWithSecret } from "../../store/device_record.ts";
import { problem } from "../api/problem.ts";
import { describeRejection } from "./device_page.ts";
import type { PageSources } from "./page_sources.ts";
import type { RecentRejection } from "./recent_rejections.ts";
import { shownBytes } from "./shown_bytes.ts";

/** Least time between two searches, milliseconds. */
const SEARCH_PAUSE_MS = 1_000;

/** What one search may take. */
const SEARCH_LIMITS = { trialsMax: 20_000, timeMaxMs: 50 };

/** Most devices whose secrets are tried: each may have to be opened. */
const SECRETS_MAX = 100;

/** Explains them, one a second. */
export class Explainer {
  readonly #sources: PageSources;
  #nextMs = -Infinity;

  constructor(sources: PageSources) {
    this.#sources = sources;
  }

  /** The rejection with its message and the likely mistakes. */
  async explain(deviceId: string, rejection: RecentRejection, key: ApiKey): Promise<Response> {
    const { clock } = this.#sources;
    if (clock.monotonicMs() < this.#nextMs) {
      return problem("busy", { headers: { "retry-after": "1" } });
    }
    this.#nextMs = clock.monotonicMs() + SEARCH_PAUSE_MS;
    const likely = await this.#mistakesIn(deviceId, rejection, key);
    const { text, base64 } = shownBytes(rejection.bytes);
    return Response.json({
      ...describeRejection(rejection),
      ...{ message: text, message_base64: base64, likely },
    });
  }

  /** None if they cannot be looked for: what happened is shown in any case. */
  async #mistakesIn(
    identity: string,
    { bytes, atMs, code }: RecentRejection,
    key: ApiKey,
  ): Promise<readonly string[]> {
    if (bytes === undefined) return [];
    // Loaded here: a gateway that nobody asks does without.
    const { likelyMistakes } = await import("../../diagnosis/explanation.ts");
    const { tryInSite } = await import("../../diagnosis/message_trial.ts");
    const { toleranceSeconds } = this.#sources.about;
    const subject = { bytes, identity, nowSeconds: secondsOf(atMs), now: true, retained: false };
    try {
      const trial = await tryInSite({ ...subject, toleranceSeconds }, {
        store: {
          registry: { list: () => Promise.resolve(this.#devicesFor(key, identity)) },
          // What it remembers is not asked: the rejection says it.
          replayIds: {
            forgottenSeconds: () => Promise.resolve(0),
            has: () => Promise.resolve(code === "replayed"),
          },
        },
        secret: undefined,
      });
      const isSame = trial.verdict.kind === "rejected" && trial.verdict.code === code;
      return isSame ? await likelyMistakes(trial, SEARCH_LIMITS) : [];
    } catch {
      return []; // a secret that does not open
    }
  }

  /** The device itself, then others that the key may see. */
  #devicesFor(key: ApiKey, identity: string): DeviceWithSecret[] {
    const { keys } = this.#sources;
    const own = keys.find(identity);
    const devices = own === undefined ? [] : [own];
    for (const { device } of keys.known()) {
      if (devices.length >= SECRETS_MAX) break;
      if (device !== own && reaches(key, device.deviceId)) devices.push(device);
    }
    return devices;
  }
}
