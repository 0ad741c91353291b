/** Root works on a site that belongs to the user of the gateway: nothing in it may become root's. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { gatewayCommand } from "../../../src/demo/sandbox/gateway_process.ts";
import { ChildProcess } from "../../../src/demo/sandbox/child_process.ts";
import { siteLayout } from "../../../src/site/layout.ts";
import { lockPath } from "../../../src/site/site_lock.ts";
import { poll } from "../../../src/time/poll.ts";
import { freePorts } from "../../support/free_ports.ts";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

const NOBODY = 65534;

/** Every command that writes; without a broker, some end with 1, after they wrote. */
const COMMANDS = [
  ["init"],
  ["device", "add", "sensor_001"],
  ["device", "add", "sensor_002", "--pem"],
  ["device", "import", "devices.csv"],
  ["device", "adopt", "other.db"],
  ["device", "rotate", "sensor_001", "--secret"],
  ["device", "rotate", "sensor_001", "--certificate"],
  ["device", "rotate", "sensor_001", "--finish", "--force"],
  ["device", "revoke", "sensor_001"],
  ["device", "restore", "sensor_001"],
  ["site", "upgrade"],
  ["device", "remove", "sensor_002"],
  ["certificate", "renew", "broker"],
  ["certificate", "renew", "gateway"],
  ["rotate-authority"],
  ["rotate-authority", "--finish", "--force"],
  ["secrets", "seal"],
  ["secrets", "rotate-key"],
  ["key", "add", "line1"],
  ["key", "remove", "line1"],
  ["dead", "drop", "--all"],
  ["audit", "verify"],
  ["doctor", "--offline"],
  ["secrets", "unseal"],
] as const;

Deno.test({
  name: "what root writes in another user's site belongs to that user",
  ignore: Deno.uid() !== 0,
  async fn() {
    await withNobodysFolder(async (directory) => {
      for (const args of COMMANDS) {
        const { stderr } = await shell(inSite(args, directory));
        assert.doesNotMatch(stderr, /bug|denied|Cannot write/, args.join(" "));
        assert.deepEqual(strangersIn(directory), [], `${args.join(" ")}: ${stderr}`);
      }
      await runForAMoment(directory);
      assert.deepEqual(strangersIn(directory), [], "run");
    });
  },
});

Deno.test({
  name: "doctor names a file that the gateway's user cannot read, also if it is root's",
  ignore: Deno.uid() !== 0,
  async fn() {
    await withNobodysFolder(async (directory) => {
      for (const args of [["init"], ["secrets", "seal"]]) await shell(inSite(args, directory));
      assert.equal(await ownersOf(directory), "pass");
      const { configuration } = siteLayout(directory);
      await Deno.chown(`${directory}/certs/broker.crt`, 0, 0); // it can be read all the same
      assert.equal(await ownersOf(directory), "pass");
      for (const path of [`${directory}/secrets.key`, `${directory}/data/gateway.db`]) {
        await Deno.chown(path, 0, 0);
        assert.equal(await ownersOf(directory), "fail", path);
        await Deno.chown(path, NOBODY, NOBODY);
      }
      await Deno.chown(configuration, 0, 0); // then it is root's site
      assert.equal(await ownersOf(directory), "fail");
    });
  },
});

Deno.test({
  name: "root writes to no file that the site's owner has put in a lock's place as a link",
  ignore: Deno.uid() !== 0,
  async fn() {
    await withNobodysFolder(async (directory) => {
      await shell(inSite(["init"], directory));
      const target = `${directory}/../target`;
      Deno.writeTextFileSync(target, "root's");
      const lock = lockPath(siteLayout(directory), "gateway");
      Deno.symlinkSync(target, lock);
      const { code, stderr } = await shell(inSite(["run"], directory));
      assert.equal(code, 1);
      assert.match(stderr, /gateway\.lock" is a link/);
      assert.equal(Deno.readTextFileSync(target), "root's");
      assert.equal(Deno.statSync(target).uid, 0);
    });
  },
});

/** An empty folder of another user, with a list of devices and a registry beside it. */
async function withNobodysFolder(work: (directory: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    Deno.chmodSync(folder, 0o755);
    const directory = `${folder}/site`;
    Deno.mkdirSync(directory);
    Deno.chownSync(directory, NOBODY, NOBODY);
    Deno.writeTextFileSync(`${folder}/devices.csv`, "device_id\nsensor_003\n");
    const other = new DatabaseSync(`${folder}/other.db`);
    other.exec(`CREATE TABLE devices (device_id, shared_secret, created_at);
      INSERT INTO devices VALUES ('sensor_004', 'its secret', 1)`);
    other.close();
    await work(directory);
  });
}

function inSite(args: readonly string[], directory: string): string[] {
  const files = args.map((arg) => /\.(csv|db)$/.test(arg) ? `${directory}/../${arg}` : arg);
  return [...files, "--dir", directory];
}

/** What belongs to somebody else than the folder's owner. */
function strangersIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    const { uid, gid } = Deno.lstatSync(path);
    const own = uid === NOBODY && gid === NOBODY ? [] : [`${path} ${uid}:${gid}`];
    return isDirectory ? [...own, ...strangersIn(path)] : own;
  });
}

/** There is no broker: it waits for one. */
async function runForAMoment(directory: string): Promise<void> {
  const environment = { SECURE_IOT_GATEWAY_API_PORT: String(freePorts(1)[0]) };
  const gateway = new ChildProcess({ ...gatewayCommand(directory), environment });
  try {
    await poll("the gateway's first line", () => gateway.stderr.includes("\n"));
    assert.ok(gateway.running, gateway.stderr);
  } finally {
    await gateway.stop();
  }
}

async function ownersOf(directory: string): Promise<string> {
  const { stdout } = await shell(["doctor", "--offline", "--json", "--dir", directory]);
  const rows = JSON.parse(stdout) as { name: string; status: string }[];
  return rows.find(({ name }) => name === "file owners")!.status;
}
