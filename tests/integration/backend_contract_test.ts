/** What the gateway sends to a backend, and docs/backend_openapi.json, say the same. */

import assert from "node:assert/strict";
import type { Command } from "../../src/core/command_life.ts";
import { commandRecord } from "../../src/core/command_record.ts";
import type { OutboxEntry } from "../../src/core/outbox_entry.ts";
import { SampleBackend } from "../../src/demo/sandbox/sample_backend.ts";
import { HttpBackend } from "../../src/gateway/backend/http_backend.ts";
import { Contract } from "../support/contract.ts";
import { PLAIN_BACKEND } from "../support/plain_backend.ts";
import { ACCEPTED, wordOf } from "../support/sample_command.ts";

const CLOCK = { wallMs: () => 1_727_715_725_000, monotonicMs: () => performance.now() };

/** What every HTTP client sends. */
const FIELDS_OF_HTTP = [
  ...["host", "accept", "accept-encoding", "accept-language", "user-agent"],
  ...["content-type", "content-length"],
];

const COMMAND = "660f9500-f30c-42e5-b827-557766551111";

/** What is sent of each kind, and where the document describes it. */
const ROWS: readonly (readonly [path: string, url: string, entries: readonly OutboxEntry[]])[] = [
  ["/device/{device_id}/data", "/device/a.b_c/data", [entry()]],
  [
    "/device/{device_id}/command/{message_id}",
    `/device/a.b_c/command/${COMMAND}`,
    [callback({ state: "sent" })],
  ],
  [
    "/device/{device_id}/command/{message_id}",
    `/device/a.b_c/command/${COMMAND}`,
    [callback({ state: "done", acknowledgement: wordOf("done") })],
  ],
  ["/batch", "/batch", [entry(), entry()]],
];

function entry(over: Partial<OutboxEntry> = {}): OutboxEntry {
  return {
    sequence: 1,
    deviceId: "a.b_c",
    messageId: crypto.randomUUID(),
    timestamp: "1727712000",
    payload: new TextEncoder().encode("{}"),
    acceptedMs: 0,
    ...over,
  };
}

function callback(over: Partial<Command>): OutboxEntry {
  const command = { ...ACCEPTED, deviceId: "a.b_c", messageId: COMMAND, ...over };
  const { messageId, state: commandState } = command;
  return entry({ messageId, commandState, payload: commandRecord(command) });
}

for (const [path, url, entries] of ROWS) {
  const what = `${url}${entries[0]!.commandState ? `, ${entries[0]!.commandState}` : ""}`;
  Deno.test(`each field of a request to ${what} is described, and the reverse`, async () => {
    const contract = new Contract("backend_openapi.json");
    const { parameters, requestBody } = contract.root["paths"]![path]!["post"]!;
    const fields = new Map(
      Object.values(parameters!).map((one) => contract.follow(one))
        .filter((one) => one["in"] as unknown === "header")
        .map(({ name, schema }) => [String(name).toLowerCase(), schema!]),
    );
    const backend = SampleBackend.start();
    const isBatch = path === "/batch";
    const gateway = new HttpBackend({
      ...PLAIN_BACKEND,
      callbackPath: "/device/{device_id}/command/{message_id}",
      batch: { max: 10, bytes: 1_000, path: "/batch" },
      signingKeys: [new Uint8Array(32), new Uint8Array(32).fill(1)],
      url: backend.url,
      timeoutMs: 5_000,
      concurrency: 1,
      toleranceSeconds: 300,
      hasTraceparent: true,
    }, CLOCK);
    const { signal } = new AbortController();
    try {
      if (isBatch) await gateway.deliverBatch(entries, signal);
      else await gateway.deliver(entries[0]!, signal);
    } finally {
      gateway.close();
      await backend.stop();
    }
    const received = backend.received[0]!;
    assert.equal(received.path, url);
    const schema = requestBody!["content"]!["application/json"]!["schema"]!;
    assert.deepEqual(contract.faults(schema, JSON.parse(received.text)), []);
    const sent = [...received.headers].filter(([name]) => !FIELDS_OF_HTTP.includes(name));
    assert.deepEqual(sent.map(([name]) => name).sort(), [...fields.keys()].sort());
    for (const [name, text] of sent) {
      const schema = fields.get(name)!;
      const isNumber = contract.follow(schema)["type"] as unknown === "integer";
      assert.deepEqual(contract.faults(schema, isNumber ? Number(text) : text), [], name);
    }
  });
}
