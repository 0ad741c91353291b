/** What the page's API remembers, over gateways that follow one another in one process. */

import type { GatewayEvent } from "../../core/event.ts";
import type { Clock } from "../../time/clock.ts";
import { FlowHistory } from "./flow_history.ts";
import { RecentRejections } from "./recent_rejections.ts";
import { Sessions } from "./sessions.ts";

/** The memory. */
export class PageMemory {
  readonly sessions: Sessions;
  readonly flow: FlowHistory;
  readonly rejections: RecentRejections;

  constructor(clock: Clock) {
    this.sessions = new Sessions(clock);
    this.flow = new FlowHistory(clock);
    this.rejections = new RecentRejections(clock);
  }

  /** Remembers an event, if it is to be. */
  take(event: GatewayEvent): void {
    this.flow.take(event);
    if (event.kind === "message_rejected") this.rejections.take(event);
  }
}
