import assert from "node:assert/strict";
import type { DeviceStatus } from "../../../src/core/device.ts";
import type { Published, PublishProperties } from "../../../src/core/ports.ts";
import { importSecret } from "../../../src/core/signature.ts";
import { readDeviceCommand } from "../../../src/client/device_command.ts";
import { CommandSender } from "../../../src/gateway/pipeline/command_sender.ts";
import { DEVICE_ID, NOW, SECRET } from "../../support/judge.ts";

const ACKNOWLEDGED: Published = { kind: "acknowledged", subscribers: false };

interface Sent {
  readonly topic: string;
  readonly body: Uint8Array;
  readonly properties: PublishProperties;
}

/** Sends one command to a device of this status and secret; the broker answers with `published`. */
async function send(
  over: { status?: DeviceStatus; secret?: string; published?: Published; full?: true } = {},
) {
  const order: string[] = [];
  const sent: Sent[] = [];
  const sender = new CommandSender({
    clock: { wallMs: () => NOW * 1000, monotonicMs: () => 0 },
    keys: {
      refresh: () => Promise.resolve(),
      statusOf: () => over.status ?? "active",
      signedPayload: () => Promise.resolve(undefined),
      key: () => importSecret(over.secret ?? SECRET),
    },
    broker: {
      publish: (topic, body, properties) => {
        order.push("publish");
        sent.push({ topic, body, properties });
        return Promise.resolve(over.published ?? ACKNOWLEDGED);
      },
    },
    committer: {
      remember: ({ messageId }) => {
        order.push(messageId);
        return Promise.resolve(!over.full);
      },
    },
    toleranceSeconds: 300,
  });
  const result = await sender.send(DEVICE_ID, new TextEncoder().encode('{"n":22.50}'));
  return { result, sent, order };
}

Deno.test("a command is signed with the device's secret, and expires with the tolerance", async () => {
  const { result, sent: [one] } = await send();
  assert.equal(one!.topic, `device/${DEVICE_ID}/command`);
  assert.deepEqual(one!.properties, { messageExpiryInterval: 300 });
  const key = (await importSecret(SECRET))!;
  const command = await readDeviceCommand(one!.body, { deviceId: DEVICE_ID, key, nowSeconds: NOW });
  assert.deepEqual([command.valid, command.payload], [true, '{"n":22.50}']);
  const { messageId } = command;
  assert.deepEqual(result, { kind: "sent", messageId, timestamp: NOW, subscribers: false });
});

Deno.test("a command's id is on the disk before it is published, or nothing is sent", async () => {
  const { result, order } = await send();
  assert.ok(result.kind === "sent");
  assert.deepEqual(order, [result.messageId, "publish"]);
  const full = await send({ full: true });
  assert.deepEqual([full.result, full.sent], [{ kind: "unstored" }, []]);
});

Deno.test("a device that is not active, or has no key, is sent nothing", async () => {
  const overs = [{ status: "unknown" }, { status: "revoked" }, { status: "expired" }] as const;
  for (const over of [...overs, { secret: "" }]) {
    const { result, sent } = await send(over);
    assert.deepEqual([result, sent], [{ kind: "unknown_device" }, []], JSON.stringify(over));
  }
});

Deno.test("a command that the broker does not acknowledge is unsent, with the reason", async () => {
  for (const kind of ["refused", "unsent"] as const) {
    const { result } = await send({ published: { kind, reason: "why" } });
    assert.partialDeepStrictEqual(result, { kind: "unsent", reason: "why" });
  }
});
