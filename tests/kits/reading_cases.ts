/** What a kit does with readings: the queue, the bytes, the attempts. */

import assert from "node:assert/strict";
import { hexOf, type Kit } from "./kit.ts";
import { DEVICE, deviceText, NO_TIME, NOW, SECRET } from "./signed_text.ts";

/** A case: a claim, and what is put to a kit. */
export type KitCase = readonly [claim: string, check: (kit: Kit) => Promise<void>];

/** Puts a reading into the queue and returns its id. */
export async function enqueue(kit: Kit, payload = '{"t":22.50}'): Promise<string> {
  const { word, rest } = await kit.ask(`enqueue ${hexOf(payload)}`);
  assert.equal(word, "ok", payload.slice(0, 80));
  return rest;
}

/** The message that a kit sends at `uptime`; undefined if it sends none. */
export async function sentAt(kit: Kit, uptime: number): Promise<string | undefined> {
  const { word, text } = await kit.ask(`next ${uptime}`);
  if (word === "idle") return undefined;
  assert.equal(word, "send");
  return text;
}

/** Cases of readings. */
export const READING_CASES: readonly KitCase[] = [
  ["a reading is signed over its exact text", async (kit) => {
    for (const payload of kit.hasStrictJson ? [...ODD_PAYLOADS, DEEP] : ODD_PAYLOADS) {
      await kit.device(DEVICE, SECRET);
      await kit.ask(`clock 100 ${NOW}`);
      const id = await enqueue(kit, payload);
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.equal(await sentAt(kit, 107), await deviceText({ timestamp: NOW + 7, id, payload }));
    }
  }],
  ["what is no JSON is not taken", async (kit) => {
    await kit.device(DEVICE, SECRET);
    for (const payload of kit.hasStrictJson ? NO_JSON : ["", "{", "nul", "'a'"]) {
      assert.equal((await kit.ask(`enqueue ${hexOf(payload)}`)).word, "malformed", payload);
    }
    assert.equal(await sentAt(kit, 1), undefined);
  }],
  ["ids and secrets of every length", async (kit) => {
    const secrets = ["s", "x".repeat(64), "y".repeat(65), "z".repeat(1024)];
    for (const device of ["a", "A.b-c_9", "d".repeat(64)]) {
      for (const secret of secrets) {
        await kit.device(device, secret);
        const id = await enqueue(kit, "1");
        const payload = { device, secret, id, payload: "1", timestamp: NO_TIME };
        assert.equal(await sentAt(kit, 5), await deviceText(payload));
      }
    }
  }],
  ["one is in flight; it goes again with the same bytes while they are in range", async (kit) => {
    await kit.device(DEVICE, SECRET);
    await kit.ask(`clock 0 ${NOW}`);
    const id = await enqueue(kit);
    await enqueue(kit);
    const first = await sentAt(kit, 0);
    assert.equal(await sentAt(kit, 29), undefined);
    assert.equal(await sentAt(kit, 30), first);
    assert.equal(await sentAt(kit, 89), undefined);
    assert.equal(await sentAt(kit, 90), first);
    assert.equal(await sentAt(kit, 210), first);
    assert.equal(await sentAt(kit, 449), undefined);
    const anew = { timestamp: NOW + 450, id, payload: '{"t":22.50}' };
    assert.equal(await sentAt(kit, 450), await deviceText(anew));
  }],
  ["the pauses grow to 15 minutes and no further", async (kit) => {
    await kit.device(DEVICE, SECRET);
    await enqueue(kit);
    let uptime = 0;
    for (const pause of [30, 60, 120, 240, 480, 900, 900, 900]) {
      assert.notEqual(await sentAt(kit, uptime), undefined, `${uptime}`);
      assert.equal(await sentAt(kit, uptime + pause - 1), undefined, `${pause}`);
      uptime += pause;
    }
  }],
  ["a new connection sends at once what is in flight", async (kit) => {
    await kit.device(DEVICE, SECRET);
    await enqueue(kit);
    const first = await sentAt(kit, 0);
    await kit.ask("connected 10");
    assert.equal(await sentAt(kit, 10), first);
  }],
  ["after a restart the same reading goes with its id, signed anew", async (kit) => {
    await kit.device(DEVICE, SECRET);
    const id = await enqueue(kit);
    await sentAt(kit, 0);
    await kit.ask("restart");
    await kit.ask(`clock 0 ${NOW}`);
    assert.equal(
      await sentAt(kit, 3),
      await deviceText({ timestamp: NOW + 3, id, payload: '{"t":22.50}' }),
    );
  }],
];

const ODD_PAYLOADS = [
  '{"temperature":22.0,"exponent":1E2,"big":12345678901234567890}',
  '{"text":"\\u00e9é\\/\\"\\\\","b":[true,false,null,-0,0.5e-7]}',
  ' { "a" : [ 1 , 2 ] }\t',
  '"only a text"',
  "[]",
  "0",
  `"${"x".repeat(60_000)}"`,
];

const DEEP = "[".repeat(64) + "]".repeat(64);

const NO_JSON = [
  "",
  " ",
  "{",
  "{]",
  "[1,]",
  "{,}",
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  "{a:1}",
  "01",
  "+1",
  "1.",
  ".5",
  "1e",
  "-",
  "NaN",
  "Infinity",
  "nul",
  "truex",
  '"',
  '"\\x"',
  '"\\u12g4"',
  '"\n"',
  "1 2",
  "{}}",
  "'a'",
];
