import assert from "node:assert/strict";
import { isPlainPath } from "../../../src/site/systemd_units.ts";
import { standsAt } from "../../build/packed_program.ts";
import { withFolder } from "../../support/with_folder.ts";
import { shell } from "../../support/shell.ts";

const ANALYZE = "/usr/bin/systemd-analyze";
const UNITS = "etc/systemd/system";
const FILES = [
  `${UNITS}/secure-iot-gateway.service`,
  `${UNITS}/mosquitto.service.d/secure-iot-gateway.conf`,
  `${UNITS}/secure-iot-gateway-lists.service`,
  "etc/sysusers.d/secure-iot-gateway.conf",
];

/** Everything that systemd has to say, and whether it is content. */
async function analyze(root: string, ...args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(ANALYZE, {
    args: ["--no-pager", ...args],
    env: { SYSTEMD_UNIT_PATH: `${root}/${UNITS}:` },
  }).output();
  return { success, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("install writes what install --print shows, and never overwrites", async () => {
  await withFolder(async (root) => {
    const printed = await shell(["install", "--print"]);
    const first = await shell(["install", "--prefix", root]);
    assert.deepEqual([printed.code, printed.stderr, first.code], [0, "", 0]);
    assert.match(first.stderr, /^hint: The unit runs \/usr\/local\/bin\/\S+, which is not there/);
    for (const path of FILES) {
      const text = Deno.readTextFileSync(`${root}/${path}`);
      assert.ok(printed.stdout.includes(`# /${path}\n${text}`), path);
      assert.doesNotMatch(text, /\{\{|\}\}/);
    }
    Deno.removeSync(`${root}/${FILES[0]}`);
    const again = await shell(["install", "--prefix", root]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^error: Cannot install: .*exists/i);
    assert.ok(!standsAt(`${root}/${FILES[0]}`), "all or nothing");
  });
});

Deno.test("install takes one of --print and --prefix, and only paths that a unit can hold", async () => {
  for (const args of [[], ["--print", "--prefix", "/"]]) {
    const { code, stderr } = await shell(["install", ...args]);
    assert.equal(code, 2);
    assert.match(stderr, /^error: Either --print or --prefix must be given\nhint: /);
  }
  const odd = await shell(["install", "--print", "--dir", "/srv/my site", "--program", "/a%n"]);
  assert.deepEqual([odd.code, odd.stdout, odd.stderr.match(/^error: /gm)?.length], [2, "", 2]);
  for (const path of ["relative", "/a\nExecStart=/b", "/a b", "/a;b", "/a/../b", "/", ""]) {
    assert.equal(isPlainPath(path), false, path);
  }
});

Deno.test("systemd takes the units as they are, and finds little exposed in them", async () => {
  if (!standsAt(ANALYZE)) return console.log("skipped: systemd is not here");
  await withFolder(async (root) => {
    const installed = await shell(["install", "--prefix", root, "--program", "/bin/true"]);
    assert.equal(installed.code, 0, installed.stderr);
    const [unit, , lists] = FILES.map((path) => `${root}/${path}`) as [string, string, string];
    // Debian's own unit of the broker may be missing here.
    Deno.writeTextFileSync(
      `${root}/${UNITS}/mosquitto.service`,
      "[Service]\nType=notify\nExecStart=/bin/true\n",
    );
    Deno.writeTextFileSync(
      `${root}/${FILES[1]}`,
      Deno.readTextFileSync(`${root}/${FILES[1]}`).replace("/usr/sbin/mosquitto", "/bin/true"),
    );
    for (const name of [unit, lists, `${root}/${UNITS}/mosquitto.service`]) {
      const verified = await analyze(root, "verify", "--man=no", name);
      assert.deepEqual(verified, { success: true, text: "" });
    }
    for (const name of [unit, lists]) {
      const security = await analyze(root, "security", "--offline=true", "--threshold=20", name);
      assert.ok(security.success, security.text);
      // A process that was root when it started cannot be seen then: that is the broker.
      if (name === lists) assert.doesNotMatch(Deno.readTextFileSync(name), /^ProtectProc=/m);
      assert.match(security.text, /Overall exposure level for .*: [01]\.\d /);
    }
  });
});
