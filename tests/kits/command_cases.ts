/** What a kit does with commands: once, in time, from the gateway, and its word about them. */

import assert from "node:assert/strict";
import { hexOf, type Kit } from "./kit.ts";
import { enqueue, type KitCase, sentAt } from "./reading_cases.ts";
import {
  COMMAND_ID,
  DEVICE,
  deviceText,
  NO_TIME,
  NOW,
  SECRET,
  signatureOf,
  type SignedText,
  signedText,
} from "./signed_text.ts";

const PAYLOAD = '{"action":"unlock","for":22.0}';

async function ready(kit: Kit, limits = {}): Promise<void> {
  await kit.device(DEVICE, SECRET, limits);
  await kit.ask(`clock 0 ${NOW}`);
}

async function receive(kit: Kit, uptime: number, text: SignedText): Promise<string> {
  return await receiveText(kit, uptime, await signedText({ payload: PAYLOAD, ...text }));
}

async function receiveText(kit: Kit, uptime: number, message: string): Promise<string> {
  const { word, rest, text } = await kit.ask(`command ${uptime} ${hexOf(message)}`);
  if (word === "ok") assert.equal(text, PAYLOAD);
  return word === "repeated" ? `${word} ${rest}` : word;
}

async function acknowledge(
  kit: Kit,
  state: string,
  { result = "", reason = "", id = COMMAND_ID } = {},
) {
  return await kit.ask(`acknowledge 5 ${id} ${state} ${hexOf(result)} ${hexOf(reason)}`);
}

/** The id of a command with this number. */
const idOf = (number: number) => COMMAND_ID.slice(0, -4) + String(number).padStart(4, "0");

/** Cases of commands and acknowledgements. */
export const COMMAND_CASES: readonly KitCase[] = [
  ["a command is taken once, also when it comes signed anew, and after a restart", async (kit) => {
    await ready(kit);
    assert.equal(await receive(kit, 0, {}), "ok");
    assert.equal(await receive(kit, 0, {}), "repeated -");
    assert.equal(await receive(kit, 100, { timestamp: NOW + 100 }), "repeated -");
    assert.equal(
      await receive(kit, 100, { id: COMMAND_ID.toUpperCase(), timestamp: NOW + 100 }),
      "repeated -",
    );
    await kit.ask("restart");
    await kit.ask(`clock 0 ${NOW + 200}`);
    assert.equal(await receive(kit, 0, { timestamp: NOW + 200 }), "repeated -");
  }],
  ["a repeated command says what was acknowledged last", async (kit) => {
    await ready(kit);
    await receive(kit, 0, {});
    for (const state of ["received", "running", "done"]) {
      await acknowledge(kit, state);
      assert.equal(await receive(kit, 0, {}), `repeated ${state}`);
    }
    await acknowledge(kit, "received");
    await kit.ask("restart");
    assert.equal(await receive(kit, 0, {}), "repeated done");
  }],
  ["a command is fresh up to the tolerance, either way", async (kit) => {
    await ready(kit);
    assert.equal(await receive(kit, 0, { timestamp: NOW - 301 }), "stale");
    assert.equal(await receive(kit, 0, { timestamp: NOW + 301 }), "stale");
    assert.equal(await receive(kit, 0, { id: idOf(1), timestamp: NOW - 300 }), "ok");
    assert.equal(await receive(kit, 0, { id: idOf(2), timestamp: NOW + 300 }), "ok");
  }],
  ["without a clock no command is taken", async (kit) => {
    await kit.device(DEVICE, SECRET);
    assert.equal(await receive(kit, 5, { timestamp: NO_TIME }), "no_clock");
    assert.equal(await receive(kit, 5, {}), "no_clock");
  }],
  ["a command that was bent in any field is forged, and so is every other kind", async (kit) => {
    await ready(kit);
    const genuine: SignedText = { payload: PAYLOAD };
    const bent: readonly SignedText[] = [
      { ...genuine, kind: "acknowledgement" },
      { ...genuine, kind: "receipt" },
      { ...genuine, kind: "response" },
      { ...genuine, device: "another" },
      { ...genuine, secret: "another" },
      { ...genuine, timestamp: NOW + 1 },
      { ...genuine, id: idOf(9) },
      { ...genuine, payload: PAYLOAD.replace("22.0", "22.1") },
    ];
    for (const signed of bent) {
      const text = await signedText(genuine, await signatureOf(signed));
      assert.equal(await receiveText(kit, 0, text), "forged", JSON.stringify(signed));
    }
    assert.equal(await receive(kit, 0, {}), "ok");
  }],
  ["a reading of its own that is sent back is no command", async (kit) => {
    await ready(kit);
    for (let i = 0; i < 4; i++) await enqueue(kit, PAYLOAD);
    const reading = await sentAt(kit, 0) ?? "";
    const reflected = reading.replace(`"device_id":"${DEVICE}",`, "");
    assert.equal(await receiveText(kit, 0, reflected), "forged");
  }],
  ["no more commands than there are places, until the oldest cannot come again", async (kit) => {
    await ready(kit, { places: 2, seconds: 600 });
    assert.equal(await receive(kit, 0, { id: idOf(1) }), "ok");
    assert.equal(await receive(kit, 0, { id: idOf(2), timestamp: NOW + 1 }), "ok");
    assert.equal(await receive(kit, 0, { id: idOf(3) }), "full");
    assert.equal(await receive(kit, 900, { id: idOf(3), timestamp: NOW + 900 }), "full");
    assert.equal(await receive(kit, 901, { id: idOf(3), timestamp: NOW + 901 }), "ok");
    assert.equal(await receive(kit, 901, { id: idOf(2), timestamp: NOW + 901 }), "repeated -");
    assert.equal(await receive(kit, 901, { id: idOf(4), timestamp: NOW + 901 }), "full");
  }],
  ["an acknowledgement is signed as one, its result byte for byte", async (kit) => {
    await ready(kit);
    for (
      const result of ["1E2", '{"a": [22.0, "\\u00e9é"]}', '"x"', "null", `"${"r".repeat(16_000)}"`]
    ) {
      const { word, text } = await acknowledge(kit, "done", { result });
      assert.equal(word, "send");
      const payload = `{"state":"done","result":${result}}`;
      assert.equal(
        text,
        await deviceText({ kind: "acknowledgement", timestamp: NOW + 5, payload }),
      );
    }
  }],
  ["each state, and a reason that is any text", async (kit) => {
    await ready(kit);
    const reason = 'a "bolt"\\\n\u0007\u00e9 is stuck';
    for (const state of ["received", "running", "done", "failed", "refused"]) {
      const { text } = await acknowledge(kit, state, { reason });
      const { payload } = JSON.parse(text);
      assert.deepEqual(payload, { state, reason });
      const exact = text.slice(text.indexOf('"payload":') + 10, text.lastIndexOf(',"signature"'));
      const genuine = { kind: "acknowledgement" as const, timestamp: NOW + 5, payload: exact };
      assert.equal(text, await deviceText(genuine));
    }
  }],
  ["what cannot be said is refused", async (kit) => {
    await ready(kit);
    assert.equal((await acknowledge(kit, "delivered")).word, "malformed");
    assert.equal((await acknowledge(kit, "done", { result: "{" })).word, "malformed");
    assert.equal((await acknowledge(kit, "done", { id: "1" })).word, "malformed");
  }],
];
