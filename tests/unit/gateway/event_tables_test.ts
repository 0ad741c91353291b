import assert from "node:assert/strict";
import { emptyMetrics } from "../../../src/build/docs.ts";
import { SAMPLES } from "../../../src/build/event_samples.ts";
import { EventLog } from "../../../src/log/event_log.ts";
import { countEvent } from "../../../src/gateway/telemetry/event_metrics.ts";

/** Events that have no log line; each is counted. */
const NO_LINE = [
  "message_duplicate",
  "delivery_started",
  "backend_outcome",
  "message_delivered",
  "callback_delivered",
  "receipt_sent",
  "receipt_dropped",
  "file_expiry",
  "devices_expiring",
];

Deno.test("each event has one log line under its own name, but for those that are only counted", () => {
  for (const event of Object.values(SAMPLES)) {
    const lines: { name: string; message: unknown }[] = [];
    const log = new EventLog(
      (_level, name, { message }) => lines.push({ name, message }),
      { accepted: true },
    );
    log.write(event);
    log.flush();
    const expected = NO_LINE.includes(event.kind) ? [] : [event.kind];
    assert.deepEqual(lines.map(({ name }) => name), expected);
    for (const { message } of lines) assert.doesNotMatch(String(message), /undefined|NaN|\[object/);
  }
});

Deno.test("an accepted message has a line only if the settings say so", () => {
  const names: string[] = [];
  const log = new EventLog((_level, name) => names.push(name), { accepted: false });
  log.write(SAMPLES.message_accepted);
  assert.deepEqual(names, []);
});

Deno.test("each event without a log line is counted: nothing happens unseen", async () => {
  const before = await emptyMetrics().text();
  for (const kind of NO_LINE) {
    const event = Object.values(SAMPLES).find((sample) => sample.kind === kind)!;
    const metrics = emptyMetrics();
    countEvent(event, metrics);
    assert.notEqual(await metrics.text(), before, kind);
  }
});
