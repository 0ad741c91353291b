import assert from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { readSealingKeys } from "../../../src/store/sealing_keys.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { rotateSealingKey, sealSecrets, unsealSecrets } from "../../../src/store/sqlite/sealing.ts";
import {
  assertAllOpen,
  countHits,
  type Place,
  withPlainRegistry,
} from "../../support/plain_registry.ts";

/** Runs one conversion in a process of its own; true if it killed itself at `point`. */
async function runAndKill(place: Place, verb: string, point: string): Promise<boolean> {
  const script = fileURLToPath(new URL("../../support/sealing_run.ts", import.meta.url));
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  const [name = "", count = "1"] = point.split(" ");
  const { success, signal, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-q", "--no-prompt", "--config", config, "-P=test", script],
      ...[place.store.path, place.places.file, verb, name, count],
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.ok(success || signal === "SIGKILL", new TextDecoder().decode(stderr));
  return signal === "SIGKILL";
}

const POINTS: Record<string, readonly string[]> = {
  seal: ["key_written", "marked", "in_batch", "batch", "in_batch 3", "converted", "clean"],
  rotate: ["key_written", "marked", "in_batch 2", "batch 2", "converted", "clean"],
  unseal: ["marked", "in_batch 2", "batch 2"],
};

for (const [verb, points] of Object.entries(POINTS)) {
  Deno.test(`${verb}, killed at any point: every secret still opens, and doing it again ends it`, async () => {
    await withPlainRegistry(async (place) => {
      const { store, places } = place;
      const folder = dirname(store.path);
      for (const point of points) {
        if (verb === "seal") {
          await unsealSecrets({ store, places }); // back to the beginning
          await Deno.remove(places.file).catch(() => {});
        } else await sealSecrets({ store, places });
        assert.ok(await runAndKill(place, verb, point), point);
        assertAllOpen(place);
        assert.equal(
          new Registry(store, readSealingKeys(places)).missingSealingKeys(),
          undefined,
          point,
        );
        if (verb === "unseal") {
          await unsealSecrets({ store, places });
          continue;
        }
        const again = verb === "seal" ? sealSecrets : rotateSealingKey;
        await again({ store, places });
        assertAllOpen(place);
        assert.equal(readSealingKeys(places).length, 1, point);
        assert.equal(await countHits(folder), 0, point);
      }
    });
  });
}
