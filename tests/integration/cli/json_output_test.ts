import assert from "node:assert/strict";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("--json prints one JSON document, for every command that prints something", async () => {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const json = async (...args: string[]) => {
      const { code, stdout, stderr } = await shell([...args, "--json", "--dir", dir]);
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return JSON.parse(stdout);
    };
    assert.equal((await json("init")).directory, dir);
    assert.deepEqual(await json("device", "add", "sensor_001"), {
      device_id: "sensor_001",
      bundle: `${dir}/devices/sensor_001`,
    });
    await Deno.writeTextFile(`${folder}/two.csv`, "device_id\nsensor_002\nsensor_003\n");
    assert.equal((await json("device", "import", `${folder}/two.csv`)).length, 2);
    assert.equal((await json("device", "list"))[0].status, "active");
    const rotated = await json("device", "rotate", "sensor_001", "--secret");
    assert.deepEqual([rotated.complete, rotated.steps[0].kind], [true, "secret_rotated"]);
    const removed = await json("device", "remove", "sensor_003");
    assert.deepEqual(removed.steps.map(({ kind }: { kind: string }) => kind), [
      "device_removed",
      "revocation_list_written",
      "access_list_written",
      "broker_not_running",
      "bundle_removed",
    ]);
    const upgraded = await json("site", "upgrade");
    assert.deepEqual([upgraded.changes, upgraded.complete], [[], true]);
    assert.match((await json("key", "add", "line1")).key, /^[A-Za-z0-9_-]{43}$/);
    assert.equal((await json("key", "remove", "line1")).removed, true);
    assert.equal((await json("secrets", "seal")).count, 3); // two devices, and what one had before
    assert.equal((await json("secrets", "rotate-key")).count, 3);
    assert.equal((await json("secrets", "unseal")).count, 3);
    assert.match((await json("audit", "verify")).head.hash, /^[0-9a-f]{64}$/);
    assert.equal((await json("dead", "retry", "--all")).requeued, 0);
    assert.equal((await json("dead", "drop", "--all")).dropped, 0);
    const { stdout } = await shell(["sign", "sensor_002", "1", "--dir", dir]);
    await Deno.writeTextFile(`${folder}/message`, stdout.trim());
    const verified = await json("verify", "sensor_002", `${folder}/message`);
    assert.deepEqual([verified.accepted, verified.rejection], [true, null]);
    const forged = await shell([
      "verify",
      "sensor_001",
      `${folder}/message`,
      "--json",
      "--dir",
      dir,
    ]);
    assert.deepEqual([forged.code, JSON.parse(forged.stdout).accepted], [1, false]);
    assert.equal((await json("install", "--print")).files.length, 3);
  });
});

Deno.test("--json also tells what was done when a command fails", async () => {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    for (const args of [["init"], ["device", "add", "sensor_001"]]) {
      assert.equal((await shell([...args, "--dir", dir])).code, 0);
    }
    const { code, stdout, stderr } = await shell(
      ["device", "revoke", "sensor_001", "--json", "--dir", dir],
    );
    assert.equal(code, 1);
    assert.match(stderr, /^error: Cannot tell the broker/);
    const result = JSON.parse(stdout);
    assert.deepEqual([result.complete, result.fault.kind], [false, "broker_not_running"]);
    assert.equal(result.steps[0].kind, "device_refused");
  });
});
