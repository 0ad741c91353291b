import assert from "node:assert/strict";
import { configOf } from "../../../src/cli/open_site.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { addDevices } from "../../../src/site/operations/add_devices.ts";
import { openStore } from "../../../src/store/open_store.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { Registry } from "../../../src/store/sqlite/registry.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

/** Adds the devices a and b to a new site; `meanwhile` is what happens before they take their places. */
async function addBoth(
  directory: string,
  meanwhile: () => void,
): Promise<{ faults: readonly unknown[]; registered: string[]; bundles: string[] }> {
  const layout = siteLayout(directory);
  const config = configOf(layout);
  const store = await openStore(config.store, { author: "command" });
  try {
    const result = await addDevices(store, { layout, config, nowMs: Date.now() }, {
      requests: ["a", "b"].map((deviceId) => ({ deviceId, secret: `secret of ${deviceId}` })),
      progress: (done) => {
        if (done === 2) meanwhile();
      },
    });
    return {
      faults: result.ok ? [] : result.faults,
      registered: (await store.registry.list()).map(({ deviceId }) => deviceId),
      bundles: [...Deno.readDirSync(layout.devicesFolder)].map(({ name }) => name).sort(),
    };
  } finally {
    await store.close();
  }
}

async function withSite(work: (directory: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const directory = `${folder}/site`;
    const made = await shell(["init", "--dir", directory, ...quietPorts()]);
    assert.equal(made.code, 0, made.stderr);
    await work(directory);
  });
}

Deno.test("an id that another program takes meanwhile leaves no device, folder or journal of ours", async () => {
  await withSite(async (directory) => {
    const comeFirst = () => {
      const store = new Database(siteLayout(directory).database);
      new Registry(store).addAll([{ deviceId: "b", sharedSecret: "its own", createdAt: 1 }]);
      store.close();
    };
    const { faults, registered, bundles } = await addBoth(directory, comeFirst);
    assert.deepEqual(faults, [{ place: 1, kind: "already_registered", deviceId: "b" }]);
    assert.deepEqual([registered, bundles], [["b"], []]);
  });
});

Deno.test("a folder that appears meanwhile is left as it is, and no device is added", async () => {
  await withSite(async (directory) => {
    const file = `${directory}/devices/b/theirs`;
    const comeFirst = () => {
      Deno.mkdirSync(`${directory}/devices/b`);
      Deno.writeTextFileSync(file, "theirs");
    };
    const { faults: [fault], registered, bundles } = await addBoth(directory, comeFirst);
    assert.match(JSON.stringify(fault), /not_registered.*not empty/);
    assert.deepEqual([registered, bundles], [[], ["b"]]);
    assert.equal(await Deno.readTextFile(file), "theirs");
  });
});
