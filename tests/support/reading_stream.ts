/** A device that does not stop sending. */

import type { DeviceClient } from "../../src/client/device_client.ts";

const READING = '{"temperature":22.5}';

/** Sends one reading after another until told to stop; returns how many were acknowledged. */
export function streamReadings(device: DeviceClient): () => Promise<number> {
  let stopped = false;
  const ended = (async () => {
    let sent = 0;
    for (; !stopped; sent++) await device.send(READING);
    return sent;
  })();
  ended.catch(() => {}); // reported by the stop
  return async () => {
    stopped = true;
    return await ended;
  };
}
