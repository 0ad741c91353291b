/** The contract in machine form, docs/*.json: its examples are valid, and it says what the code does. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import project from "../../deno.json" with { type: "json" };
import { dispositionOf } from "../../src/core/delivery.ts";
import { isDeviceId } from "../../src/core/device.ts";
import { isWrongBackend, RETRY_STATUSES, statusesOf } from "../../src/core/retry_statuses.ts";
import { ACKNOWLEDGED_STATES, COMMAND_STATES } from "../../src/core/command_life.ts";
import { REJECTION_CODES } from "../../src/core/rejection.ts";
import {
  ackTopic,
  commandTopic,
  dataTopic,
  originOf,
  receiptTopic,
  responseTopic,
} from "../../src/core/topic.ts";
import { listSettings } from "../../src/config/settings.ts";
import { Contract, type Json } from "../support/contract.ts";
import commands from "../vectors/command.json" with { type: "json" };
import readings from "../vectors/uplink.json" with { type: "json" };

const API = new Contract("openapi.json");
const BACKEND = new Contract("backend_openapi.json");
const TOPICS = new Contract("asyncapi.json");
const DOCUMENTS = { API, BACKEND, TOPICS };

/** Malformed vectors whose fault is in their text, or that are no JSON: no schema sees it. */
const BEYOND_SCHEMAS = [
  "duplicate device_id",
  "not JSON",
  "empty",
  "byte order mark in front",
  "number with a leading zero in the payload",
  "control character inside a string",
  "payload nested 65 deep",
];

/** Each object in a document. */
function* objectsIn(value: unknown): Generator<Json> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const inner of Object.values(value)) yield* objectsIn(inner);
}

/** What the examples of a header, a parameter, a body or a message show, each with its schema. */
function examplesOf(object: Json): (readonly [schema: Json, value: unknown])[] {
  const { schema, payload, headers, example, examples } = object;
  if (schema && example !== undefined) return [[schema, example]];
  if (schema && examples) return Object.values(examples).map(({ value }) => [schema, value]);
  if (!payload || !Array.isArray(examples)) return [];
  return examples.flatMap((one: Json) => [
    [payload, one["payload"]] as const,
    ...(headers ? [[headers, one["headers"]] as const] : []),
  ]);
}

for (const [name, contract] of Object.entries(DOCUMENTS)) {
  Deno.test(`every example of the ${name} document is valid`, () => {
    const examples = [...objectsIn(contract.root)].flatMap(examplesOf);
    assert.ok(examples.length > 0);
    for (const [schema, value] of examples) {
      assert.deepEqual(contract.faults(schema, value), [], JSON.stringify(value));
    }
  });

  Deno.test(`the ${name} document has the program's version and the same ids as the others`, () => {
    assert.equal(contract.root["info"]!["version"], project.version);
    const { DeviceId, MessageId, Timestamp } = contract.root["components"]!["schemas"]!;
    const shared = API.root["components"]!["schemas"]!;
    assert.deepEqual(DeviceId, shared["DeviceId"]);
    assert.deepEqual(MessageId, shared["MessageId"]);
    assert.deepEqual(Timestamp, shared["Timestamp"]);
  });
}

Deno.test("the documents know a device id as the program does", () => {
  const schema = { $ref: "#/components/schemas/DeviceId" } as unknown as Json;
  const texts = [
    "a",
    "sensor_001",
    "A.b-c_9",
    "x".repeat(64),
    "x".repeat(65),
    "",
    "_a",
    "a/b",
    "é",
  ];
  for (const text of texts) {
    assert.equal(API.faults(schema, text).length === 0, isDeviceId(text), text);
  }
});

Deno.test("each vector is a reading by its schema, unless it is malformed", () => {
  const { payload } = TOPICS.root["components"]!["messages"]!["reading"]!;
  for (const { name, message, expect } of readings) {
    if (BEYOND_SCHEMAS.includes(name)) continue;
    const isMalformed = expect === "malformed";
    assert.equal(TOPICS.faults(payload!, JSON.parse(message)).length > 0, isMalformed, name);
  }
});

Deno.test("the examples of a reading and a command are vectors", () => {
  const { reading, command } = TOPICS.root["components"]!["messages"]!;
  const exampleOf = (message: Json) => (message["examples"] as unknown as Json[])[0]!["payload"];
  assert.deepEqual(exampleOf(reading!), JSON.parse(readings[0]!.message!));
  assert.deepEqual(exampleOf(command!), JSON.parse(commands[0]!.message));
});

Deno.test("acknowledgements and receipts in the examples are signed, each as its kind", () => {
  const { acknowledgement, receipt } = TOPICS.root["components"]!["messages"]!;
  for (const [prefix, message] of [["ack:", acknowledgement], ["receipt:", receipt]] as const) {
    for (const { payload } of message!["examples"] as unknown as Json[]) {
      const { timestamp, message_id, payload: inner, signature } = payload!;
      const input = `${prefix}sensor_001${timestamp}${message_id}${JSON.stringify(inner)}`;
      const expected = createHmac("sha256", commands[0]!.secret).update(input).digest("hex");
      assert.equal(signature, expected, input);
    }
  }
});

Deno.test("an acknowledgement has the program's states", () => {
  const { state } = TOPICS
    .root["components"]!["schemas"]!["AcknowledgementPayload"]!["properties"]!;
  assert.deepEqual(state!["enum"], ACKNOWLEDGED_STATES);
});

Deno.test("a receipt of a rejection has the program's codes", () => {
  const { code } = TOPICS.root["components"]!["schemas"]!["RejectedReceipt"]!["properties"]!;
  assert.deepEqual(code!["enum"], REJECTION_CODES);
});

Deno.test("an acknowledgement and a receipt are refused by their schemas if a field is odd", () => {
  const { acknowledgement, receipt } = TOPICS.root["components"]!["messages"]!;
  const rows: [Json | undefined, Record<string, unknown>][] = [
    [acknowledgement, { state: "finished" }],
    [acknowledgement, { result: 1 }],
    [receipt, { result: "rejected" }],
    [receipt, { result: "rejected", code: "late" }],
    [receipt, { result: "delivered", status: 200 }],
    [receipt, { result: "dead", status: 422, code: "replayed" }],
  ];
  for (const [message, payload] of rows) {
    const [example] = message!["examples"] as unknown as Json[];
    const faults = TOPICS.faults(message!["payload"]!, { ...example!["payload"], payload });
    assert.ok(faults.length > 0, JSON.stringify(payload));
  }
});

Deno.test("the topics are the program's", () => {
  const addresses = Object.values(TOPICS.root["channels"]!).map(({ address }) => address);
  const topics = [dataTopic, responseTopic, commandTopic, ackTopic, receiptTopic];
  assert.deepEqual(addresses, topics.map((topic) => topic("{device_id}")));
  assert.deepEqual(originOf(ackTopic("a")), { kind: "acknowledgement", identity: "a" });
});

Deno.test("a command lives as long as the default tolerance", () => {
  const { bindings } = TOPICS.root["operations"]!["sendCommand"]!;
  const tolerance = listSettings().find(({ section, key }) =>
    section === "checks" && key === "tolerance"
  );
  assert.equal(`${bindings!["mqtt"]!["messageExpiryInterval"]}s`, tolerance!.defaultValue);
});

/** What a backend is asked, and the names of what its final answers mean. */
const ASKED = [
  ["/device/{device_id}/data", "Delivered", "DeadLetter"],
  ["/device/{device_id}/command/{message_id}", "StateTaken", "StateDeadLetter"],
  ["/batch", "BatchTaken", "BatchRefused"],
] as const;

for (const [path, delivered, rejected] of ASKED) {
  Deno.test(`the backend's statuses mean what the program makes of them: ${path}`, () => {
    const answers = BACKEND.root["paths"]![path]!["post"]!["responses"]!;
    const listed = RETRY_STATUSES.toUpperCase().split(", ");
    assert.deepEqual(Object.keys(answers).sort(), ["2XX", "4XX", ...listed].sort());
    const retryStatuses = statusesOf(RETRY_STATUSES);
    for (let status = 200; status < 600; status++) {
      const described = answers[status] ?? answers[`${String(status)[0]}XX`]!;
      const answer = { kind: "answer", status, body: undefined, retryAfter: null } as const;
      const outcome = { ...answer, location: null, contentType: null };
      const retry = isWrongBackend(status) ? "WrongBackend" : "Again";
      const name = { delivered, rejected, retry }[dispositionOf(outcome, retryStatuses)];
      assert.equal(described["$ref"], `#/components/responses/${name}`, String(status));
    }
  });
}

Deno.test("the backend's paths are the defaults of the settings, and the example of the callback's", () => {
  const settings = listSettings();
  const of = (name: string) => settings.find(({ section, key }) => `${section}.${key}` === name)!;
  assert.deepEqual(Object.keys(BACKEND.root["paths"]!), ASKED.map(([path]) => path));
  assert.equal(of("backend.path").defaultValue, ASKED[0][0]);
  assert.ok(of("commands.callback").purpose.includes(`"${ASKED[1][0]}"`));
  assert.equal(of("backend.batch_path").defaultValue, ASKED[2][0]);
});

Deno.test("the backend may be told of every state but waiting", () => {
  const schemas = BACKEND.root["components"]!["schemas"]!;
  const told = COMMAND_STATES.filter((one) => one !== "waiting");
  assert.deepEqual(schemas["CommandState"]!["enum"], told);
  const asked = API.root["components"]!["schemas"]!;
  for (const name of ["CommandRecord", "Acknowledgement"]) {
    assert.deepEqual(schemas[name], asked[name], `${name}, told and asked for`);
  }
});
