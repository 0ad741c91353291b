import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { API_KEYS_MAX } from "../../../src/store/api_keys.ts";
import { ApiKeys } from "../../../src/store/sqlite/api_keys.ts";
import { apiKeyDigest } from "../../../src/config/credentials.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";
import { shell } from "../../support/shell.ts";

/** A site made by the program itself, with one device. */
async function withSite(
  work: (key: (...args: string[]) => ReturnType<typeof shell>, dir: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    for (const args of [["init"], ["device", "add", "sensor_001"]]) {
      const { code, stderr } = await shell([...args, "--dir", dir]);
      assert.equal(code, 0, stderr);
    }
    await work((...args) => shell(["key", ...args, "--dir", dir]), dir);
  });
}

Deno.test("key add prints the key once; the store has its hash only", async () => {
  await withSite(async (key, dir) => {
    const { stdout, stderr } = await key("add", "line1", "--device", "sensor_001");
    const made = stdout.trim();
    assert.match(made, /^[A-Za-z0-9_-]{43}$/);
    assert.ok(!stderr.includes(made));
    const first = (await Deno.readTextFile(`${dir}/api.key`)).trim();
    const store = new Database(`${dir}/data/gateway.db`);
    const keys = new ApiKeys(store);
    assert.ok(
      keys.has(apiKeyDigest(made)) && keys.has(apiKeyDigest(first)),
      "init has put the first one in",
    );
    assert.deepEqual(keys.list().map(({ name, deviceIds }) => [name, deviceIds]), [
      ["backend", undefined],
      ["line1", ["sensor_001"]],
    ]);
    store.close();
    const bytes = new TextDecoder("latin1").decode(await Deno.readFile(`${dir}/data/gateway.db`));
    assert.ok(!bytes.includes(made) && !bytes.includes(first));
    const list = await key("list");
    assert.match(list.stdout, /^backend +\d{4}-\d\d-\d\d +every device$/m);
    assert.match(list.stdout, /^line1 +\d{4}-\d\d-\d\d +sensor_001$/m);
    assert.ok(!list.stdout.includes(made));
    const json = JSON.parse((await key("list", "--json")).stdout);
    assert.deepEqual(json.map(({ devices }: { devices: unknown }) => devices), [
      "every",
      ["sensor_001"],
    ]);
  });
});

Deno.test("key add refuses a name that is taken, an unknown device, and a scope that is none", async () => {
  await withSite(async (key, dir) => {
    const refused: [number, RegExp, string[]][] = [
      [1, /"backend" exists already/, ["add", "backend"]],
      [1, /"Backend" exists already/, ["add", "Backend"]],
      [1, /no device "sensor_002"/, [
        "add",
        "x",
        "--device",
        "sensor_001",
        "--device",
        "sensor_002",
      ]],
      [2, /Cannot take both/, ["add", "x", "--device", "sensor_001", "--metrics-only"]],
      [2, /Only one of/, ["add", "x", "--view", "--operate"]],
      [2, /Only one of/, ["add", "x", "--view", "--metrics-only"]],
      [2, /Cannot name a key "a b"/, ["add", "a b"]],
      [1, /no key "x"/, ["remove", "x"]],
    ];
    for (const [code, error, args] of refused) {
      const result = await key(...args);
      assert.equal(result.code, code, args.join(" "));
      assert.match(result.stderr, error);
      assert.equal(result.stdout, "");
    }
    const database = new DatabaseSync(`${dir}/data/gateway.db`);
    assert.equal(database.prepare("SELECT count(*) AS n FROM api_keys").get()!["n"], 1);
    database.close();
    assert.equal((await key("add", "prometheus", "--metrics-only")).code, 0);
    assert.match((await key("list")).stdout, /^prometheus .* metrics only$/m);
    assert.equal((await key("remove", "backend")).code, 0);
    assert.doesNotMatch((await key("list")).stdout, /backend/);
  });
});

Deno.test("there are at most so many keys as each request can be compared with", async () => {
  await withSite(async (key, dir) => {
    const store = new Database(`${dir}/data/gateway.db`);
    const keys = new ApiKeys(store);
    for (let i = 1; i < API_KEYS_MAX; i++) {
      assert.ok(
        keys.add(apiKeyDigest(`key ${i}`), {
          name: `n${i}`,
          createdAt: 1,
          role: "commands" as const,
          deviceIds: undefined,
        }),
      );
    }
    store.close();
    assert.match((await key("add", "more")).stderr, /there are 100/);
  });
});

Deno.test("a key for looking says so wherever it is shown", async () => {
  await withSite(async (key) => {
    assert.match(
      (await key("add", "ann", "--view")).stderr,
      /^Added ann, for every device, to view;/m,
    );
    const added = await key("add", "bob", "--operate", "--device", "sensor_001", "--json");
    const { key: text, ...rest } = JSON.parse(added.stdout);
    assert.match(text, /^[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(rest, { name: "bob", role: "operate", devices: ["sensor_001"] });
    const list = await key("list");
    assert.match(list.stdout, /^ann .* every device, to view$/m);
    assert.match(list.stdout, /^bob .* sensor_001, to operate$/m);
    assert.match(list.stdout, /^backend .* every device$/m);
    const json = JSON.parse((await key("list", "--json")).stdout);
    assert.deepEqual(json.map(({ name, role }: Record<string, unknown>) => [name, role]), [
      ["ann", "view"],
      ["backend", "commands"],
      ["bob", "operate"],
    ]);
  });
});
