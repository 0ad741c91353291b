/** A command as it is accepted, and a device's word on it. */

import type { AcknowledgedState, Acknowledgement, Command } from "../../src/core/command_life.ts";
import { DEVICE_ID, NOW } from "./judge.ts";

/** A kept command that nothing was done with yet. */
export const ACCEPTED: Command = {
  deviceId: DEVICE_ID,
  messageId: "660f9500-f30c-42e5-b827-557766551111",
  keyName: "backend",
  state: "waiting",
  delivery: undefined,
  createdSeconds: NOW,
  expiresSeconds: NOW + 3600,
  isKept: true,
  sends: 0,
  copies: 0,
  lastSentSeconds: undefined,
  withdrawn: false,
  acknowledgement: undefined,
};

/** What the device says. */
export function wordOf(state: AcknowledgedState): Acknowledgement {
  const payload = new TextEncoder().encode(`{"state":"${state}"}`);
  return { state, receivedSeconds: NOW, timestamp: String(NOW), payload };
}
