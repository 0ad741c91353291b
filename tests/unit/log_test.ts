import assert from "node:assert/strict";
import type { EventOf } from "../../src/core/event.ts";
import { reject, type RejectionCode } from "../../src/core/rejection.ts";
import { EventLog } from "../../src/log/event_log.ts";
import { LineOutput } from "../../src/log/line_output.ts";
import { openLog } from "../../src/log/log.ts";
import { LINES_PER_SECOND } from "../../src/log/rejection_log.ts";

function rejected(code: RejectionCode, identity = "sensor_001"): EventOf<"message_rejected"> {
  const messageId = "550e8400-e29b-41d4-a716-446655440000";
  return {
    kind: "message_rejected",
    identity,
    rejection: reject(code),
    messageId,
    bytes: new Uint8Array(),
  };
}

Deno.test("a log line is one JSON object with time, level, event and message", () => {
  const lines: string[] = [];
  const log = openLog("info", (line) => lines.push(line));
  log("warning", "something", { message: "It happened", device_id: "a", count: 3 });
  assert.equal(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, {
    level: "warning",
    event: "something",
    message: "It happened",
    device_id: "a",
    count: 3,
  });
});

Deno.test("levels below the set one are not written", () => {
  const lines: string[] = [];
  const log = openLog("warning", (line) => lines.push(line));
  log("info", "quiet", { message: "x" });
  log("error", "loud", { message: "x" });
  assert.deepEqual(lines.map((line) => JSON.parse(line).event), ["loud"]);
});

Deno.test("text from outside cannot start a new line or move a cursor", () => {
  const lines: string[] = [];
  const log = openLog("info", (line) => lines.push(line));
  const evil = 'a\nb\r\u001b[2J\u009b31m\u2028\u202e\u007f\u0000{curly} "quoted"';
  log("info", "evil", { message: evil, device_id: evil });
  assert.equal(lines[0]!.indexOf("\n"), lines[0]!.length - 1);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(lines[0]!.trimEnd(), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
  assert.equal(JSON.parse(lines[0]!).message, evil);
  assert.equal(JSON.parse(lines[0]!).device_id, evil);
});

Deno.test("a text line has time, level, sentence and fields; nothing in it obeys a stranger", () => {
  const lines: string[] = [];
  const log = openLog("info", (line) => lines.push(line), "text");
  log("warning", "evil", {
    message: "a\nb\u001b[2J",
    device_id: "a b=1",
    count: 3,
    secret: "hush",
  });
  assert.match(
    lines[0]!,
    /^\S+Z WARNING a\\u000ab\\u001b\[2J event=evil device_id="a b=1" count=3 secret="\[struck out\]"\n$/,
  );
  const coloured = openLog("info", (line) => lines.push(line), "colour");
  coloured("error", "loud", { message: "x" });
  assert.ok(lines[1]!.endsWith("Z \u001b[31mERROR  \u001b[0m x event=loud\n"));
});

Deno.test("a property that is named like a secret is struck out", () => {
  const lines: string[] = [];
  const log = openLog("info", (line) => lines.push(line));
  log("info", "slip", { message: "x", shared_secret: "hunter2", signature: "00ff" });
  assert.doesNotMatch(lines[0]!, /hunter2|00ff/);
});

Deno.test("more than 100 rejections a second of one code are summed up, none is dropped", () => {
  const records: Record<string, unknown>[] = [];
  const log = new EventLog((level, event, line) => records.push({ level, event, ...line }), {
    accepted: false,
  });
  for (let i = 0; i < 250; i++) log.write(rejected("invalid_signature"));
  log.write(rejected("replayed", "sensor_002"));
  log.flush();
  const own = records.filter(({ event }) => event === "message_rejected");
  const sums = records.filter(({ event }) => event === "messages_rejected");
  assert.equal(own.length, LINES_PER_SECOND + 1);
  assert.deepEqual(sums.map(({ code, count }) => [code, count]), [["invalid_signature", 150]]);
  assert.equal(own[0]!["message"], "Rejected message from sensor_001: Invalid signature");
  assert.equal(own[0]!["code"], "invalid_signature");
  assert.equal(own[0]!["device_id"], "sensor_001");
  assert.equal(own[0]!["message_id"], "550e8400-e29b-41d4-a716-446655440000");
});

Deno.test("the sum of a second comes by itself when the second is over", async () => {
  const counts: unknown[] = [];
  const summed = Promise.withResolvers<void>();
  const log = new EventLog((_level, event, { count }) => {
    if (event !== "messages_rejected") return;
    counts.push(count);
    summed.resolve();
  }, { accepted: false });
  for (let i = 0; i < LINES_PER_SECOND + 7; i++) log.write(rejected("invalid_signature"));
  await summed.promise;
  assert.deepEqual(counts, [7]);
});

Deno.test("a timestamp out of range is logged with how much, and which way", () => {
  const lines: unknown[] = [];
  const log = new EventLog(
    (_level, _event, line) => lines.push([line.message, line["seconds_off"]]),
    {
      accepted: false,
    },
  );
  const { rejection, ...rest } = rejected("timestamp_out_of_range");
  for (const secondsOff of [-597, 3_600]) {
    log.write({ ...rest, rejection: { ...rejection, secondsOff } });
  }
  log.flush();
  assert.deepEqual(lines, [
    [
      "Rejected message from sensor_001: Timestamp out of range: 597 s behind the gateway's clock",
      -597,
    ],
    [
      "Rejected message from sensor_001: Timestamp out of range: 3600 s ahead of the gateway's clock",
      3_600,
    ],
  ]);
});

Deno.test("lines that cannot be written are dropped and counted, and one line says how many", () => {
  let room = Infinity;
  let file = "";
  const output = new LineOutput((bytes) => {
    if (room === 0) throw new Error("No space left on device");
    const taken = bytes.subarray(0, room);
    room -= taken.length;
    file += new TextDecoder().decode(taken);
    return taken.length;
  });
  const log = openLog("info", (line) => output.write(line));
  const events = new EventLog(log, { accepted: false }, () => output.takeDropped());
  const writeThree = () => [1, 2, 3].forEach(() => events.write({ kind: "intake_resumed" }));
  writeThree();
  room = 5; // a line breaks off
  writeThree();
  room = Infinity;
  writeThree();
  const lines = file.trimEnd().split("\n");
  assert.equal(lines.length, 3 + 1 + 3 + 1);
  const records = lines.filter((_, i) => i !== 3).map((line) => JSON.parse(line));
  const told = records.filter(({ event }) => event === "log_lines_dropped");
  assert.deepEqual(told.map(({ count }) => count), [3]);
});
