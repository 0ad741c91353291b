import assert from "node:assert/strict";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("what reads no secret works without the sealing key, and with one that is refused", async () => {
  await withFolder(async (folder) => {
    const directory = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", directory]);
    for (const args of [["init"], ["device", "add", "sensor_001"], ["secrets", "seal"]]) {
      assert.equal((await run(...args)).code, 0);
    }
    const key = `${directory}/secrets.key`;
    const lose: (() => Promise<void>)[] = [() => Deno.chmod(key, 0o644), () => Deno.remove(key)];
    for (const [i, losing] of lose.entries()) {
      await losing();
      for (
        const args of [
          ["device", "list"],
          ["device", "show", "sensor_001"],
          ["key", "add", `key_${i}`, "--device", "sensor_001"],
          ["key", "list"],
          ["key", "remove", `key_${i}`],
          ["audit", "verify"],
          ["audit", "export"],
          ["dead", "list"],
          ["dead", "drop", "--device", "sensor_001"],
        ]
      ) assert.deepEqual([(await run(...args)).stderr.replace(/^Added.*\n/, "")], [""], `${args}`);
      for (const args of [["sign", "sensor_001", "1"], ["secrets", "unseal"]]) {
        const { code, stderr } = await run(...args);
        assert.equal(code, 1);
        assert.match(stderr, /secrets\.key/);
      }
    }
  });
});
