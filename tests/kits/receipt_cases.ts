/** What a kit does with receipts and responses: whom it believes, and what follows. */

import assert from "node:assert/strict";
import { hexOf, type Kit } from "./kit.ts";
import { enqueue, type KitCase, sentAt } from "./reading_cases.ts";
import {
  DEVICE,
  deviceText,
  NO_TIME,
  NOW,
  SECRET,
  signatureOf,
  type SignedText,
  signedText,
} from "./signed_text.ts";

const NIL_ID = "00000000-0000-0000-0000-000000000000";

const rejected = (code: string) => `{"result":"rejected","code":"${code}"}`;
const DELIVERED = `{"result":"delivered","status":200,"sha256":"${"0".repeat(64)}"}`;

/** A device with one message in flight, sent when `uptime` was 0. */
async function inFlight(kit: Kit): Promise<string> {
  await kit.device(DEVICE, SECRET);
  await kit.ask(`clock 0 ${NOW}`);
  const id = await enqueue(kit);
  await sentAt(kit, 0);
  return id;
}

async function receive(kit: Kit, uptime: number, text: SignedText): Promise<string> {
  return await receiveText(kit, uptime, await signedText({ kind: "receipt", ...text }));
}

async function receiveText(kit: Kit, uptime: number, text: string): Promise<string> {
  const { word, rest } = await kit.ask(`receipt ${uptime} ${hexOf(text)}`);
  return rest === "" ? word : `${word} ${rest}`;
}

async function respond(
  kit: Kit,
  text: SignedText,
  { signed = text, status = "200" } = {},
): Promise<string> {
  const { id = "", timestamp = NOW, payload = "" } = text;
  const signature = await signatureOf({
    kind: "response",
    ...signed,
    payload: `${status}${signed.payload ?? ""}`,
  });
  return (await kit.ask(`response ${id} ${status} ${timestamp} ${signature} ${hexOf(payload)}`))
    .word;
}

/** Cases of receipts and responses. */
export const RECEIPT_CASES: readonly KitCase[] = [
  ["delivered, dead and replayed end a reading, and the next one goes at once", async (kit) => {
    const held = ["pending", "dead", "settled"].map((word) =>
      `{"result":"rejected","code":"replayed","held":"${word}"}`
    );
    for (const payload of [DELIVERED, '{"result":"dead","status":422}', ...held]) {
      const id = await inFlight(kit);
      const second = await enqueue(kit, "2");
      assert.equal(await receive(kit, 1, { id, payload }), "ok ended");
      assert.equal(
        await sentAt(kit, 1),
        await deviceText({ id: second, timestamp: NOW + 1, payload: "2" }),
      );
    }
  }],
  ["a clock that is wrong is put right, and the reading signed anew at once", async (kit) => {
    await kit.device(DEVICE, SECRET); // no clock at all
    const id = await enqueue(kit, "1");
    assert.equal(await sentAt(kit, 7), await deviceText({ id, timestamp: NO_TIME, payload: "1" }));
    const payload = rejected("timestamp_out_of_range");
    assert.equal(await receive(kit, 8, { id, payload, timestamp: NOW }), "ok again");
    assert.equal(await sentAt(kit, 9), await deviceText({ id, timestamp: NOW + 1, payload: "1" }));
  }],
  ["the clock is put right at most once a minute", async (kit) => {
    const id = await inFlight(kit);
    const payload = rejected("timestamp_out_of_range");
    assert.equal(await receive(kit, 1, { id, payload, timestamp: NOW + 1000 }), "ok again");
    await sentAt(kit, 1);
    assert.equal(await receive(kit, 2, { id, payload, timestamp: NOW + 2000 }), "ok again");
    assert.equal(await sentAt(kit, 60), undefined);
    const anew = await deviceText({ id, timestamp: NOW + 1060, payload: '{"t":22.50}' });
    assert.equal(await sentAt(kit, 61), anew);
  }],
  ["the clock is never put back behind what the gateway has signed", async (kit) => {
    const id = await inFlight(kit);
    assert.equal(
      await receive(kit, 1, { id, payload: rejected("rate_limited"), timestamp: NOW }),
      "ok again",
    );
    const payload = rejected("timestamp_out_of_range");
    assert.equal(await receive(kit, 2, { id, payload, timestamp: NOW - 5000 }), "ok again");
    const text = await sentAt(kit, 1000);
    assert.equal(text, await deviceText({ id, timestamp: NOW + 1000, payload: '{"t":22.50}' }));
  }],
  ["too fast: the pause is doubled", async (kit) => {
    const id = await inFlight(kit);
    assert.equal(await receive(kit, 1, { id, payload: rejected("rate_limited") }), "ok again");
    assert.equal(await sentAt(kit, 60), undefined);
    assert.notEqual(await sentAt(kit, 61), undefined);
  }],
  ["what only a person can mend goes again hourly", async (kit) => {
    for (const code of ["malformed", "invalid_signature", "identity_mismatch", "of_the_future"]) {
      const id = await inFlight(kit);
      assert.equal(await receive(kit, 1, { id, payload: rejected(code) }), "ok stuck");
      await kit.ask("connected 2");
      assert.equal(await sentAt(kit, 3600), undefined);
      assert.notEqual(await sentAt(kit, 3601), undefined);
    }
  }],
  ["a receipt without an id is about the message in flight", async (kit) => {
    await inFlight(kit);
    const payload = '{"result":"rejected","code":"malformed","detail":"no \\"payload\\""}';
    assert.equal(await receive(kit, 1, { id: NIL_ID, payload }), "ok stuck");
    await kit.device(DEVICE, SECRET);
    assert.equal(await receive(kit, 1, { id: NIL_ID, payload }), "other");
  }],
  ["a receipt about another message changes nothing", async (kit) => {
    await inFlight(kit);
    assert.equal(await receive(kit, 1, { payload: DELIVERED }), "other");
    assert.notEqual(await sentAt(kit, 30), undefined);
  }],
  ["upper-case hex digits are the same signature and the same id", async (kit) => {
    const id = await inFlight(kit);
    const text: SignedText = { kind: "receipt", id: id.toUpperCase(), payload: DELIVERED };
    const signature = (await signatureOf(text)).toUpperCase();
    assert.equal(await receiveText(kit, 1, await signedText(text, signature)), "ok ended");
  }],
  ["a receipt that was bent in any field is forged, and so is every other kind", async (kit) => {
    const id = await inFlight(kit);
    const genuine: SignedText = { kind: "receipt", id, payload: DELIVERED };
    const bent: readonly SignedText[] = [
      { ...genuine, kind: "message" },
      { ...genuine, kind: "acknowledgement" },
      { ...genuine, kind: "response" },
      { ...genuine, device: `${DEVICE}1` },
      { ...genuine, secret: `${SECRET}1` },
      { ...genuine, timestamp: NOW + 1 },
      { ...genuine, id: id.replace(/.$/, (digit) => digit === "0" ? "1" : "0") },
      { ...genuine, payload: `${DELIVERED} ` },
    ];
    for (const signed of bent) {
      const text = await signedText(genuine, await signatureOf(signed));
      assert.equal(await receiveText(kit, 1, text), "forged", JSON.stringify(signed));
    }
    assert.notEqual(await sentAt(kit, 30), undefined);
  }],
  ["what is not in the gateway's form is malformed", async (kit) => {
    const id = await inFlight(kit);
    const text = await signedText({ kind: "receipt", id, payload: DELIVERED });
    const wrong = [
      "",
      "{}",
      text.slice(1),
      text.slice(0, -1),
      `${text}\n`,
      ` ${text}`,
      text.replace(":17", ": 17"),
      text.replace('"timestamp":1', '"timestamp":"1'),
      text.replace(/.{10}"}$/, 'zzzzzzzzzz"}'),
      text.replace("-", "0"),
      text.slice(0, 85),
      text.slice(0, 160),
      "x".repeat(5000),
    ];
    for (const one of wrong) assert.equal(await receiveText(kit, 1, one), "malformed", one);
  }],
  ["a response that was signed for the message in flight ends it", async (kit) => {
    for (const payload of ['{"ok":true}', "", "\0not JSON\u{1f600}", "z".repeat(60_000)]) {
      const id = await inFlight(kit);
      assert.equal(await respond(kit, { id, payload }, { status: "204" }), "ok");
      assert.equal(await sentAt(kit, 1000), undefined);
    }
  }],
  ["a response is bound to its message, its status, its time and its body", async (kit) => {
    const id = await inFlight(kit);
    const genuine: SignedText = { id, payload: "{}" };
    const bent: readonly SignedText[] = [
      { ...genuine, kind: "receipt" },
      { ...genuine, kind: "message" },
      { ...genuine, id: NIL_ID },
      { ...genuine, timestamp: NOW + 1 },
      { ...genuine, payload: "{ }" },
      { ...genuine, secret: "another" },
    ];
    for (const signed of bent) assert.equal(await respond(kit, genuine, { signed }), "forged");
    assert.equal(await respond(kit, { ...genuine, id: NIL_ID }), "other");
    assert.equal(await respond(kit, genuine, { status: "20" }), "malformed");
    assert.notEqual(await sentAt(kit, 30), undefined);
  }],
];
