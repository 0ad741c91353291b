/** Each mistake that the page for firmware authors names, made against a real gateway. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { poll } from "../../src/time/poll.ts";
import { DEVICE_MISTAKES, hmacHex } from "../support/device_mistakes.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const PAGE = fileURLToPath(new URL("../../docs/device/firmware.md", import.meta.url));
/** Ids have as many characters as the page's `sensor_001`, so that the bytes are the same. */
const FIRST_NUMBER = 101;
const NOT_OURS = ", not signed with our secret";
const SETTINGS = { CHECKS_RATE_LIMIT_PER_SECOND: "0.01", CHECKS_RATE_LIMIT_BURST: "1" };

Deno.test("each mistake that the page names gets the receipt that the page says", async () => {
  await withLiveSite(async (site) => {
    const said = await Promise.all(
      Object.keys(DEVICE_MISTAKES).map(async (mistake, i) =>
        [mistake, await saidOf(site, `sensor_${FIRST_NUMBER + i}`, mistake)] as const
      ),
    );
    assert.deepEqual(Object.fromEntries(mistakesOfPage()), Object.fromEntries(said));
  }, { settings: SETTINGS });
});

for (const protocolVersion of [4, 5] as const) {
  Deno.test(`what the page says of the broker's word holds, MQTT ${protocolVersion}`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_101", { protocolVersion });
      const { message } = await device.sign("1");
      const foreign = await device.publish(message, { topic: "device/sensor_102/data" });
      assert.equal(foreign.reasonCode, protocolVersion === 5 ? 135 : 0);
      const retained = device.publish(message, { retain: true });
      await assert.rejects(retained, protocolVersion === 5 ? /reason 154$/ : /closed/);
      const first = await site.device("sensor_103", { protocolVersion });
      const second = await site.connect(`${site.layout.devicesFolder}/sensor_103`, {
        protocolVersion,
        clientId: "esp32",
      });
      await poll("the first connection to end", () => !first.connected);
      const { messageId } = await second.send("1");
      await site.received(1);
      assert.equal(site.backend.received[0]?.messageId, messageId, "its client id does not matter");
    });
  });
}

Deno.test("messages have the sizes that the page says", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_101");
    const timestamp = Math.floor(Date.now() / 1000) - 400;
    const stale = await device.sign('{"temperature":22.5}', { timestamp });
    await device.publish(stale.message);
    const refused = await poll("a receipt", () => device.receipts.shift());
    await device.send("1");
    const delivered = await poll("a receipt", () => device.receipts.shift());
    const sizes = [stale.message.length, refused.length, delivered.length];
    const [, memory = ""] = Deno.readTextFileSync(PAGE).split("\n## Memory\n");
    const said = /: (\d+) for the example [^]*? (\d+) for `timestamp[^]*? (\d+) for/.exec(memory);
    assert.deepEqual(said?.slice(1).map(Number), sizes);
  }, { settings: { RECEIPTS_SEND: "all" } });
});

/** The rows of the page's tables of mistakes: what was done, and what the receipt says of it. */
function mistakesOfPage(): [mistake: string, said: string][] {
  const [, section = ""] = Deno.readTextFileSync(PAGE).split("\n## What the receipt says\n");
  const [tables = ""] = section.split("\n## ");
  return [...tables.matchAll(/^\| ([^|]+?) +\| (`[^|]*?) +\|/gm)]
    .map(([, mistake = "", said = ""]) => [mistake, said]);
}

/** Makes a mistake, and hears of it; as the page writes it: the code, and what is behind it. */
async function saidOf(site: LiveSite, deviceId: string, mistake: string): Promise<string> {
  const folder = await site.register(deviceId);
  const secret = Deno.readTextFileSync(`${folder}/secret`);
  const device = await site.connect(folder, { protocolVersion: 4 });
  const { messages, key = secret } = await DEVICE_MISTAKES[mistake]!(device, secret);
  for (const [i, message] of messages.entries()) {
    await device.publish(message);
    if (i === messages.length - 1) break;
    await poll("its reading to be delivered", () => device.responses.length > 0);
  }
  const receipt = await poll(`a receipt for: ${mistake}`, () => device.receipts.shift());
  const { timestamp, message_id: id, payload, signature } = JSON.parse(
    new TextDecoder().decode(receipt),
  );
  const { code, detail, held } = payload;
  const text = `receipt:${deviceId}${timestamp}${id}${JSON.stringify(payload)}`;
  const isOurs = signature === await hmacHex(key, text);
  const words = [code, detail, held].filter((one) => one !== undefined);
  return words.map((one) => `\`${one}\``).join(": ") + (isOurs ? "" : NOT_OURS);
}
