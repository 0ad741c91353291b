/** What openssl and the kits make of the vectors for devices. */

import assert from "node:assert/strict";
import { withFolder } from "../support/with_folder.ts";
import { type DeviceVector, deviceVectors } from "./device_vectors.ts";
import { VECTOR_KINDS } from "./vector_bends.ts";
import { canRun, hexOf, Kit, KIT_FORMS } from "./kit.ts";

Deno.test("openssl makes each signature", { ignore: !await canRun(["openssl"]) }, async () => {
  await withFolder(async (folder) => {
    for (const kind of VECTOR_KINDS) {
      for (
        const { key, signingKey = key, signed, sig, comment } of (await deviceVectors(kind))
          .testGroups[0].tests
      ) {
        const file = `${folder}/signed`;
        await Deno.writeTextFile(file, signed);
        const { stdout } = await new Deno.Command("openssl", {
          args: ["dgst", "-sha256", "-mac", "HMAC", "-macopt", `hexkey:${signingKey}`, "-r", file],
        }).output();
        assert.equal(new TextDecoder().decode(stdout).slice(0, 64), sig, `${kind}: ${comment}`);
      }
    }
  });
});

for (const form of KIT_FORMS) {
  const ignore = !await canRun(form.needs);
  Deno.test(`the kit in ${form.name} decides as the vectors say`, { ignore }, async () => {
    await withFolder(async (folder) => {
      const kit = new Kit(await form.build(folder), !form.hasLooseJson);
      try {
        for (const kind of ["command", "receipt", "response"] as const) {
          for (const vector of (await deviceVectors(kind)).testGroups[0].tests) {
            const word = await decide(kit, kind, vector);
            const isGood = kind === "command" ? word === "ok" : word === "other";
            assert.equal(isGood, vector.result === "valid", `${kind}: ${vector.comment}: ${word}`);
          }
        }
      } finally {
        await kit.end();
      }
    });
  });
}

/** What the kit says of a message: a genuine receipt or response is about another than its own. */
async function decide(
  kit: Kit,
  kind: "command" | "receipt" | "response",
  { deviceId, key, now, msg, properties }: DeviceVector,
): Promise<string> {
  await kit.device(deviceId, new TextDecoder().decode(Uint8Array.fromHex(key)));
  await kit.ask(`clock 0 ${now}`);
  if (kind !== "response") return (await kit.ask(`${kind} 0 ${hexOf(msg)}`)).word;
  const { message_id, status, timestamp, signature } = properties ?? {};
  const line = `response ${message_id} ${status} ${timestamp} ${signature} ${hexOf(msg)}`;
  return (await kit.ask(line)).word;
}
