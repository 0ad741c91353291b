/** Tables fit a terminal of 80 columns, whatever is in them. */

import assert from "node:assert/strict";
import { freePorts } from "../../support/free_ports.ts";
import { withFolder } from "../../support/with_folder.ts";
import { shell } from "../../support/shell.ts";

const LONG_ID = "d".repeat(64);

async function withSite(work: (dir: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    // Nobody listens there.
    const [mqtt, gateway, api] = freePorts(3).map(String);
    const ports = ["--mqtt-port", mqtt!, "--gateway-port", gateway!, "--api-port", api!];
    const first = ["init", ...ports];
    for (const args of [first, ["device", "add", LONG_ID], ["device", "add", "sensor_001"]]) {
      const made = await shell([...args, "--dir", dir]);
      assert.equal(made.code, 0, made.stderr);
    }
    await work(dir);
  });
}

function tooLong(text: string): string[] {
  return text.split("\n").filter((line) => line.length > 80);
}

Deno.test("device list gives a long id a line of its own", async () => {
  await withSite(async (dir) => {
    const { stdout } = await shell(["device", "list", "--dir", dir]);
    assert.deepEqual(tooLong(stdout), []);
    assert.match(stdout, new RegExp(`^${LONG_ID}\n {20}  active `, "m"));
    assert.match(stdout, /^sensor_001 {12}active /m);
  });
});

Deno.test("key list breaks a key's devices into lines", async () => {
  await withSite(async (dir) => {
    const devices = ["--device", LONG_ID.slice(0, 30), "--device", "sensor_001"];
    await shell(["device", "add", LONG_ID.slice(0, 30), "--dir", dir]);
    const made = await shell(["key", "add", "k".repeat(40), ...devices, "--dir", dir]);
    assert.equal(made.code, 0, made.stderr);
    const { stdout } = await shell(["key", "list", "--dir", dir]);
    assert.deepEqual(tooLong(stdout), []);
    assert.match(stdout, /^k{40}\n {24} {2}\d{4}-\d\d-\d\d {2}\S/m);
  });
});

Deno.test("doctor explains once why what is down keeps it from looking", async () => {
  await withSite(async (dir) => {
    const { stdout } = await shell(["doctor", "--dir", dir]);
    const rows = stdout.match(/^.* skip .*$/gm)!;
    assert.match(rows[0]!, /the broker does not answer at/);
    assert.ok(rows.slice(1).filter((row) => row.endsWith(" as above")).length > 10, stdout);
    assert.equal(stdout.match(/to start it:/g)!.length, 2, "the broker and the gateway");
  });
});

Deno.test("doctor breaks what it observed into lines, and says at the end what failed", async () => {
  await withSite(async (dir) => {
    await Deno.chmod(`${dir}/certs/broker.key`, 0o644);
    const all = await shell(["doctor", "--offline", "--dir", dir]);
    assert.equal(all.code, 1);
    // A path is never broken: it is to be copied.
    assert.deepEqual(tooLong(all.stdout).filter((line) => line.trim().includes(" ")), []);
    const [table, end] = all.stdout.split("\nFailed:\n");
    assert.match(table!, /^file modes +fail +certs\/broker\.key has mode 0644: /m);
    assert.match(end!, /^file modes +fail /);
    assert.doesNotMatch(end!, / pass /);
    const failed = await shell(["doctor", "--offline", "--only-failed", "--dir", dir]);
    assert.equal(failed.code, 1);
    assert.doesNotMatch(failed.stdout, / pass |^Failed:|--offline/m);
    assert.match(failed.stdout, /^file modes +fail /m);
    assert.ok(!failed.stdout.includes("\u001b"));
  });
});
