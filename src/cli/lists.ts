/**
 * `lists follow`, `show` and `publish`: the brokers' lists, where gateways share a store.
 *
 * The rules are:
 * - `follow` runs beside a broker without end; it tries again what failed, and says only what is new;
 * - what the store or the broker does while it is away ends nothing;
 * - it gives up what it does not need before it reads what others have written.
 */

import { setTimeout as pause } from "node:timers/promises";
import type { Config } from "../config/config.ts";
import { faultText } from "../core/fault_text.ts";
import { type OpenSite, readBrokerAccess } from "../site/operations/broker_access.ts";
import { updateBroker } from "../site/operations/broker_update.ts";
import { followLists, numberInPlace, probeCertificate } from "../site/operations/follow_lists.ts";
import type { RevocationResult } from "../site/operations/revocation.ts";
import type { SiteLayout } from "../site/layout.ts";
import type { SharedLists } from "../store/shared_lists.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { brokerSentence, failOn, faultSentence } from "./revocation_report.ts";
import { CommandError, note, print, printable } from "./terminal.ts";

/** What `lists follow` may be told. */
interface FollowOptions extends JsonOption {
  readonly once?: true;
}

/** How often the store is asked for newer lists. */
const LOOK_EVERY_MS = 1_000;

/** How often it is tried again to bring the broker to those that are there. */
const AGAIN_MS = 5_000;

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

const NOT_SHARED =
  "The store is a file: device revoke gives its lists to the one broker that there is";

/** Gives this machine's broker the lists in the store, now or whenever there are newer ones. */
export async function followLists_(options: FollowOptions): Promise<void> {
  return await follow(options);
}

async function follow(options: FollowOptions): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  Deno.permissions.revokeSync({ name: "env" });
  await withLists(config, async (lists) => {
    const follower = new Follower(lists, { layout, config }, options);
    if (options.once) return await follower.once();
    const stop = new AbortController();
    const end = () => stop.abort();
    for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, end);
    try {
      await follower.run(stop.signal);
    } finally {
      for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, end);
    }
  });
}
