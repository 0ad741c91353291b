/** The launcher with a stand-in for Deno that shows what it was started with. */

import assert from "node:assert/strict";
import { lchownSync } from "node:fs";
import { assemble } from "../../src/build/pack.ts";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { withFolder } from "../support/with_folder.ts";
import type { FinishedRun } from "../support/finished_run.ts";
import { runPacked, standsAt, thisMachine } from "./packed_program.ts";

const STAND_IN = `#!/bin/sh
[ "$1" = --version ] && exit
umask
printf '%s\\n' "$@" "stdin: $(cat)"
exit 7
`;

/** Runs `test` with a file made of launcher, stand-in and an empty program. */
async function withLauncher(
  test: (launcher: {
    readonly program: string;
    /** Not yet there. */
    readonly cache: string;
    readonly folder: string;
  }) => Promise<void>,
  options: { readonly machine?: string } = {},
): Promise<void> {
  await withFolder(async (folder) => {
    Deno.mkdirSync(`${folder}/package`);
    Deno.writeTextFileSync(`${folder}/package/deno`, STAND_IN);
    const archive = `${folder}/archive.tgz`;
    await ChildProcess.run({ path: "tar", args: ["-czf", archive, "-C", folder, "package/deno"] });
    const program = `${folder}/program`;
    const packed = await assemble(
      { archive: Deno.readFileSync(archive), program: new TextEncoder().encode("//\n") },
      { commit: "0123456789ab", machine: options.machine ?? thisMachine() },
    );
    Deno.writeFileSync(program, packed, { mode: 0o755 });
    await test({ program, cache: `${folder}/cache`, folder });
  });
}

/** The only folder in the cache: what was unpacked. */
function homeIn(cache: string): string {
  const names = [...Deno.readDirSync(cache)].map(({ name }) => name);
  assert.equal(names.length, 1, names.join());
  return `${cache}/${names[0]}`;
}

function modeOf(path: string): string {
  return (Deno.lstatSync(path).mode! & 0o777).toString(8);
}

function assertRan(run: FinishedRun): void {
  assert.equal(run.stderr, "");
  assert.equal(run.code, 7);
}

function assertRefused(run: FinishedRun, error: RegExp): void {
  assert.match(run.stderr, error);
  assert.equal(run.stdout, "");
  assert.equal(run.code, 1);
}

Deno.test("a first start unpacks into a folder of the user's own, a later one leaves it as it is", async () => {
  await withLauncher(async ({ program, cache }) => {
    assertRan(await runPacked(program, ["run"], { cache }));
    const home = homeIn(cache);
    const modes = [cache, home, `${home}/deno`, `${home}/main.js`].map(modeOf);
    assert.deepEqual(modes, ["700", "700", "500", "400"]);
    const { ino } = Deno.statSync(`${home}/deno`);
    assertRan(await runPacked(program, ["run"], { cache }));
    assert.equal(Deno.statSync(`${homeIn(cache)}/deno`).ino, ino);
  });
});

Deno.test("what is half-written, changed in size, opened to others or foreign is unpacked again", async () => {
  await withLauncher(async ({ program, cache }) => {
    assertRan(await runPacked(program, ["run"], { cache }));
    const home = homeIn(cache);
    const faults: Record<string, () => void> = {
      "cut short": () => Deno.writeTextFileSync(`${home}/deno`, STAND_IN.slice(0, -1)),
      "missing": () => Deno.removeSync(`${home}/main.js`),
      "writable by others": () => Deno.chmodSync(`${home}/main.js`, 0o406),
      "an open folder": () => Deno.chmodSync(home, 0o777),
      "a link": () => {
        Deno.renameSync(home, `${cache}-elsewhere`);
        Deno.symlinkSync(`${cache}-elsewhere`, home);
      },
      "a file": () => {
        Deno.removeSync(home, { recursive: true });
        Deno.writeTextFileSync(home, "");
      },
    };
    if (Deno.uid() === 0) {
      faults["another user's"] = () => Deno.chownSync(`${home}/main.js`, 65534, 65534);
    }
    for (const [name, spoil] of Object.entries(faults)) {
      spoil();
      const { ino } = Deno.lstatSync(home);
      assertRan(await runPacked(program, ["run"], { cache }));
      assert.notEqual(Deno.lstatSync(homeIn(cache)).ino, ino, name);
    }
  });
});

Deno.test("a file that was damaged on its way is refused, and leaves nothing behind", async () => {
  await withLauncher(async ({ program, cache }) => {
    const whole = Deno.readFileSync(program);
    const changed = whole.with(whole.length - 8, whole.at(-8)! ^ 1); // its CRC: gzip says so
    const other = await packedOf("//!\n"); // another program than the launcher knows
    const swapped = new Uint8Array([...whole.subarray(0, 8192), ...other.subarray(8192)]);
    for (const damaged of [changed, swapped, whole.subarray(0, -10), whole.subarray(0, 8292)]) {
      Deno.writeFileSync(program, damaged);
      assertRefused(
        await runPacked(program, ["run"], { cache }),
        /error: (Cannot unpack ".*"|".*" is damaged)/,
      );
      assert.deepEqual([...Deno.readDirSync(cache)], []);
    }
  });
});

async function packedOf(program: string): Promise<Uint8Array> {
  return await withFolder(async (folder) => {
    Deno.mkdirSync(`${folder}/package`);
    Deno.writeTextFileSync(`${folder}/package/deno`, STAND_IN);
    const archive = `${folder}/archive.tgz`;
    await ChildProcess.run({ path: "tar", args: ["-czf", archive, "-C", folder, "package/deno"] });
    return await assemble(
      { archive: Deno.readFileSync(archive), program: new TextEncoder().encode(program) },
      { commit: "0123456789ab", machine: thisMachine() },
    );
  });
}

Deno.test("a cache folder that others may write to is refused, and so is another user's", async () => {
  await withLauncher(async ({ program, cache }) => {
    Deno.mkdirSync(cache);
    const untrusted = /^error: Cannot trust the cache folder .*\nhint: .*GATEWAY_CACHE\n$/;
    for (const mode of [0o777, 0o770, 0o1777]) {
      Deno.chmodSync(cache, mode);
      assertRefused(await runPacked(program, ["run"], { cache }), untrusted);
    }
    Deno.chmodSync(cache, 0o755);
    assertRan(await runPacked(program, ["run"], { cache }));
    Deno.chmodSync(cache, 0o757);
    assertRefused(await runPacked(program, ["run"], { cache }), untrusted);
    if (Deno.uid() !== 0) return;
    Deno.chmodSync(cache, 0o700);
    Deno.chownSync(cache, 65534, 65534);
    assertRefused(await runPacked(program, ["run"], { cache }), untrusted);
  });
});

Deno.test("a cache folder below one that others can put another in the place of is refused", async () => {
  await withLauncher(async ({ program, folder }) => {
    const untrusted = /^error: Cannot trust the cache folder .*\nhint: .*GATEWAY_CACHE\n$/;
    const above = `${folder}/above`;
    const cache = `${above}/further/cache`;
    Deno.mkdirSync(above);
    const faults: Record<string, () => void> = {};
    for (const mode of [0o777, 0o775, 0o757]) {
      faults[`mode ${mode.toString(8)}`] = () => Deno.chmodSync(above, mode);
    }
    if (Deno.uid() === 0) {
      faults["another user's"] = () => Deno.chownSync(above, 65534, 65534);
      faults["a link of another user"] = () => {
        Deno.removeSync(above, { recursive: true });
        Deno.mkdirSync(`${folder}/elsewhere`);
        Deno.symlinkSync(`${folder}/elsewhere`, above);
        lchownSync(above, 65534, 65534);
      };
    }
    const run = () => runPacked(program, ["run"], { cache });
    for (const [name, spoil] of Object.entries(faults)) {
      spoil();
      assertRefused(await run(), untrusted);
      assert.throws(() => Deno.statSync(`${above}/further`), name);
    }
    Deno.removeSync(above, { recursive: true });
    Deno.mkdirSync(above);
    assertRan(await run());
    Deno.chmodSync(above, 0o777); // also with the right files below it
    assertRefused(await run(), untrusted);
    Deno.chmodSync(above, 0o1777); // as /tmp: others cannot rename what is not theirs
    assertRan(await run());
  });
});

Deno.test("a link of one's own to the cache folder is followed once, and what it leads to is run", async () => {
  await withLauncher(async ({ program, cache, folder }) => {
    Deno.mkdirSync(`${folder}/real`, { mode: 0o700 });
    Deno.symlinkSync(`${folder}/real`, cache);
    for (let start = 0; start < 2; start++) {
      const run = await runPacked(program, ["run"], { cache });
      assertRan(run);
      assert.ok(run.stdout.includes(`${Deno.realPathSync(folder)}/real/`), run.stdout);
    }
  });
});

Deno.test("a link that others can turn, or that leads to where others can, is refused", async () => {
  await withLauncher(async ({ program, folder }) => {
    const open = `${folder}/open`;
    Deno.mkdirSync(open);
    Deno.mkdirSync(`${folder}/real`, { mode: 0o700 });
    Deno.mkdirSync(`${open}/real`, { mode: 0o700 });
    Deno.symlinkSync(`${folder}/real`, `${open}/link`);
    Deno.symlinkSync(`${open}/real`, `${folder}/link`);
    for (const cache of [`${open}/link`, `${folder}/link`]) {
      assertRan(await runPacked(program, ["run"], { cache }));
      Deno.chmodSync(open, 0o777); // also with the right files at its end
      assertRefused(await runPacked(program, ["run"], { cache }), /^error: Cannot trust the cache/);
      Deno.chmodSync(open, 0o755);
    }
  });
});

Deno.test("without a folder that can be written, the error names the variable that gives one", async () => {
  await withLauncher(async ({ program, cache }) => {
    const hint = /^error: There is no home .*\nhint: .*GATEWAY_CACHE\n$/;
    assertRefused(await runPacked(program, ["run"], { environment: { HOME: "" } }), hint);
    const environment = { HOME: "/proc" };
    const readOnly = await runPacked(program, ["run"], { environment });
    assertRefused(readOnly, /^error: Cannot make the cache folder .*\nhint: .*GATEWAY_CACHE\n$/);
    assertRan(await runPacked(program, ["run"], { cache, environment }));
  });
});

Deno.test("first starts at the same time all work, and one unpacked folder is left", async () => {
  await withLauncher(async ({ program, cache }) => {
    const starts = Array.from({ length: 8 }, () => runPacked(program, ["run"], { cache }));
    for (const run of await Promise.all(starts)) assertRan(run);
    homeIn(cache);
  });
});

Deno.test("what an unpacking that was killed has left is cleared away by the next one", async () => {
  await withLauncher(async ({ program, cache }) => {
    const killed = new Deno.Command("true").spawn();
    await killed.status;
    Deno.mkdirSync(`${cache}/unpacking.${killed.pid}/x`, { recursive: true, mode: 0o700 });
    assertRan(await runPacked(program, ["run"], { cache }));
    homeIn(cache);
  });
});

Deno.test("arguments, stdin, umask and exit code go through the launcher as they are", async () => {
  await withLauncher(async ({ program, cache, folder }) => {
    Deno.symlinkSync(program, `${folder}/a link`);
    const args = ["sign", "*", "", "two words", "$HOME"];
    const script = 'umask 027; exec "./a link" "$@"';
    for (let start = 0; start < 2; start++) { // also the first, which unpacks under another umask
      const run = await runPacked("/bin/sh", ["-c", script, "sh", ...args], {
        cache,
        cwd: folder,
        stdin: "bytes",
      });
      assertRan(run);
      assert.match(run.stdout, /^0?027\n/);
      const [, passed] = run.stdout.split("/main.js\n");
      assert.equal(passed, [...args, "stdin: bytes", ""].join("\n"));
    }
  });
});

Deno.test("only demo and what tells the broker may start programs, and no start may do everything", async () => {
  await withLauncher(async ({ program, cache }) => {
    const telling = ["certificate", "device", "doctor", "rotate-authority", "site"];
    for (const command of ["run", "init", "demo", ...telling]) {
      const { stdout } = await runPacked(program, [command], { cache });
      const flags = stdout.split("\n").slice(1, stdout.split("\n").findIndex(isProgram));
      const starts = ["demo", ...telling].includes(command);
      assert.equal(flags.some((flag) => flag.startsWith("--allow-run")), starts);
      for (const must of ["--no-prompt", "--ignore-env"]) {
        assert.ok(flags.includes(must), `${command}: ${must}`);
      }
      const env = flags.find((flag) => flag.startsWith("--allow-env="));
      assert.match(env!, /^--allow-env=SECURE_IOT_GATEWAY_\*(,[A-Za-z_]+)*$/);
      for (const never of ["-A", "--allow-all", "--allow-ffi", "--allow-env", "--allow-import"]) {
        assert.ok(!flags.includes(never), `${command}: ${never}`);
      }
    }
  });
});

function isProgram(line: string): boolean {
  return line.endsWith("/main.js");
}

Deno.test("a file for another kind of machine says so, and runs under an emulator", async () => {
  await withLauncher(async ({ program, cache }) => {
    const refused = await runPacked(program, ["run"], { cache });
    assertRefused(refused, /^error: This file is for riscv64, this machine is \w+\n$/);
    const environment = { SECURE_IOT_GATEWAY_EMULATOR: "/bin/sh" };
    assertRan(await runPacked(program, ["run"], { cache, environment }));
  }, { machine: "riscv64" });
});

Deno.test("the launcher needs no more than sh and a dozen tools, as busybox has them", async () => {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(standsAt);
  if (busybox === undefined) return console.log("skipped: there is no busybox here");
  await withLauncher(async ({ program, cache, folder }) => {
    Deno.mkdirSync(`${folder}/bin`);
    const checking = ["ls", "id", "uname", "sh", "cat"];
    const unpacking = ["tail", "head", "gzip", "tar", "sha256sum", "mkdir", "mv", "rm", "chmod"];
    for (const tool of [...checking, ...unpacking]) {
      Deno.symlinkSync(busybox, `${folder}/bin/${tool}`);
    }
    const environment = { PATH: `${folder}/bin` };
    for (let start = 0; start < 2; start++) {
      assertRan(await runPacked(busybox, ["sh", program, "run"], { cache, environment }));
    }
    homeIn(cache);
  });
});
