import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { pack } from "../../src/build/pack.ts";
import { withFolder } from "../with_folder.ts";
import { type PackedRun, runPacked, thisMachine, withPacked } from "./packed_program.ts";

const SIZE_MAX_BYTES = 48_000_000;
const SIGN = ["sign", "sensor_001", '{"temperature":  22.50}', "--secret-file"];

/** The only folder in the cache: what was unpacked. */
function homeIn(cache: string): string {
  const names = [...Deno.readDirSync(cache)].map(({ name }) => name);
  assert.equal(names.length, 1, names.join());
  return `${cache}/${names[0]}`;
}

function modeOf(path: string): string {
  return (Deno.lstatSync(path).mode! & 0o777).toString(8);
}

function assertRan(run: PackedRun): void {
  assert.equal(run.stderr, "");
  assert.match(run.stdout, /^\d+\.\d+\.\d+ \([0-9a-f]{12}(-modified)?\)\n$/);
  assert.equal(run.code, 0);
}

Deno.test("two runs of pack give the same files, small enough, and sums that are right", async () => {
  await withPacked(async ({ dist: first }) => {
    await withFolder(async (second) => {
      await pack(second, { say: () => {} });
      const names = [...Deno.readDirSync(first)].map(({ name }) => name).toSorted();
      assert.deepEqual(names, [
        "SHA256SUMS",
        "secure-iot-gateway-aarch64",
        "secure-iot-gateway-x86_64",
        "secure-iot-gateway.cdx.json",
      ]);
      const sums = Deno.readTextFileSync(`${first}/SHA256SUMS`).trimEnd().split("\n");
      for (const name of names.slice(1)) {
        const bytes = Deno.readFileSync(`${first}/${name}`);
        assert.ok(bytes.length <= SIZE_MAX_BYTES, `${name}: ${bytes.length} bytes`);
        const sum = createHash("sha256").update(bytes).digest("hex");
        assert.ok(sums.includes(`${sum}  ${name}`), name);
      }
      for (const name of names) {
        const [a, b] = [first, second].map((folder) => Deno.readFileSync(`${folder}/${name}`));
        assert.ok(a!.every((byte, i) => byte === b![i]) && a!.length === b!.length, name);
      }
    });
  });
});

Deno.test("a first start unpacks into a folder of the user's own, a later one leaves it as it is", async () => {
  await withPacked(async ({ program, cache }) => {
    assertRan(await runPacked(program, ["--version"], { cache }));
    const home = homeIn(cache);
    const modes = [cache, home, `${home}/deno`, `${home}/main.js`].map(modeOf);
    assert.deepEqual(modes, ["700", "700", "500", "400"]);
    const before = Deno.statSync(`${home}/deno`);
    assertRan(await runPacked(program, ["--version"], { cache }));
    assert.equal(Deno.statSync(`${home}/deno`).ino, before.ino);
    homeIn(cache);
  });
});

Deno.test("what is half-written, changed in size, opened to others or foreign is unpacked anew", async () => {
  await withPacked(async ({ program, cache }) => {
    assertRan(await runPacked(program, ["--version"], { cache }));
    const home = homeIn(cache);
    const faults: Record<string, () => void> = {
      "half-written": () => {
        Deno.chmodSync(`${home}/main.js`, 0o600);
        Deno.truncateSync(`${home}/main.js`, 100);
        Deno.chmodSync(`${home}/main.js`, 0o400);
      },
      "missing": () => Deno.removeSync(`${home}/deno`),
      "writable by others": () => Deno.chmodSync(`${home}/main.js`, 0o406),
      "an open folder": () => Deno.chmodSync(home, 0o777),
      "a link": () => {
        Deno.renameSync(home, `${cache}/elsewhere`);
        Deno.symlinkSync("elsewhere", home);
      },
    };
    if (Deno.uid() === 0) {
      faults["another user's"] = () => Deno.chownSync(`${home}/main.js`, 65534, 65534);
    }
    for (const [name, spoil] of Object.entries(faults)) {
      spoil();
      const spoilt = Deno.lstatSync(home).ino;
      assertRan(await runPacked(program, ["--version"], { cache }));
      assert.notEqual(Deno.lstatSync(home).ino, spoilt, name);
      await Deno.remove(`${cache}/elsewhere`, { recursive: true }).catch(() => {});
      homeIn(cache);
    }
  });
});

Deno.test("a file that was damaged on its way is refused, and leaves nothing behind", async () => {
  await withPacked(async ({ program, cache }) => {
    const bytes = Deno.readFileSync(program);
    const place = bytes.length - 1000; // in the program; Deno's own archive is 40 MB further up
    bytes[place]! ^= 1;
    const damaged = `${cache}-damaged`;
    for (const content of [bytes, bytes.subarray(0, place)]) {
      Deno.writeFileSync(damaged, content, { mode: 0o755 });
      const run = await runPacked(damaged, ["--version"], { cache });
      assert.match(run.stderr, /error: (Cannot unpack|".*" is damaged)/);
      assert.equal(run.code, 1);
      assert.deepEqual([...Deno.readDirSync(cache)], []);
    }
  });
});

Deno.test("a cache folder that others may write to is refused, and so is another user's", async () => {
  await withPacked(async ({ program, cache }) => {
    Deno.mkdirSync(cache);
    Deno.chmodSync(cache, 0o777);
    const open = await runPacked(program, ["--version"], { cache });
    assert.match(open.stderr, /^error: Cannot trust the cache folder .*\nhint: .*_CACHE\n$/);
    assert.equal(open.code, 1);
    Deno.chmodSync(cache, 0o700);
    if (Deno.uid() !== 0) return;
    Deno.chownSync(cache, 65534, 65534);
    const foreign = await runPacked(program, ["--version"], { cache });
    assert.match(foreign.stderr, /^error: Cannot trust the cache folder/);
    assert.deepEqual([...Deno.readDirSync(cache)], []);
  });
});

Deno.test("without a folder that can be written, the error names the variable that gives one", async () => {
  await withPacked(async ({ program, cache }) => {
    const homeless = await runPacked(program, ["--version"], { environment: { HOME: "" } });
    assert.match(homeless.stderr, /^error: There is no home .*\nhint: .*GATEWAY_CACHE\n$/);
    const readOnly = await runPacked(program, ["--version"], { environment: { HOME: "/proc" } });
    assert.match(
      readOnly.stderr,
      /error: Cannot make the cache folder .*\nhint: .*GATEWAY_CACHE\n$/,
    );
    assert.deepEqual([homeless.code, readOnly.code], [1, 1]);
    assertRan(await runPacked(program, ["--version"], { cache, environment: { HOME: "/proc" } }));
  });
});

Deno.test("first starts at the same time all work, and one unpacked folder is left", async () => {
  await withPacked(async ({ program, cache }) => {
    const starts = [1, 2, 3].map(() => runPacked(program, ["--version"], { cache }));
    for (const run of await Promise.all(starts)) assertRan(run);
    homeIn(cache);
  });
});

Deno.test("arguments, stdin, umask and exit code go through the launcher as they are", async () => {
  await withPacked(async ({ program, cache, folder }) => {
    Deno.writeTextFileSync(`${folder}/a secret`, "supersecretkey123");
    const signed = await runPacked(program, [...SIGN, `${folder}/a secret`], { cache });
    assert.equal(signed.code, 0, signed.stderr);
    assert.match(signed.stdout, /"payload":\{"temperature":22.50\}/);
    const verify = ["verify", "sensor_001", "-", "--secret-file", `${folder}/a secret`];
    const verified = await runPacked(program, verify, { cache, stdin: signed.stdout });
    assert.match(verified.stdout, /\nAccepted message from sensor_001\n$/);
    const wrong = await runPacked(program, ["sign", "*", ""], { cache });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /^error: .*"\*"/);
    const link = `${folder}/a link`;
    Deno.symlinkSync(program, link);
    assertRan(await runPacked("./a link", ["--version"], { cache, cwd: folder }));
  });
});

Deno.test("a file for another kind of machine says so", async () => {
  await withPacked(async ({ foreignProgram, cache }) => {
    const run = await runPacked(foreignProgram, ["--version"], { cache });
    assert.match(run.stderr, /^error: This file is for \w+, this machine is \w+\n$/);
    assert.equal(run.code, 1);
  });
});

Deno.test("busybox alone is enough to unpack and start", async (t) => {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find(isFile);
  if (busybox === undefined) return skip(t);
  await withPacked(async ({ program, cache, folder }) => {
    const bin = `${folder}/bin`;
    Deno.mkdirSync(bin);
    for (const tool of ["sh", "ls", "id", "uname", "tail", "head", "gzip", "tar", "sha256sum"]) {
      Deno.symlinkSync(busybox, `${bin}/${tool}`);
    }
    for (const tool of ["mkdir", "mv", "rm", "chmod"]) Deno.symlinkSync(busybox, `${bin}/${tool}`);
    const environment = { PATH: bin };
    const args = ["sh", program, "--version"];
    assertRan(await runPacked(busybox, args, { cache, environment }));
    assertRan(await runPacked(busybox, args, { cache, environment }));
  });
});

Deno.test("a later start takes at most 50 ms more than one from source", async () => {
  await withPacked(async ({ program, cache, folder }) => {
    Deno.writeTextFileSync(`${folder}/secret`, "supersecretkey123");
    const args = [...SIGN, `${folder}/secret`];
    const source = ["run", "-q", "--no-prompt", "-P=gateway", "main.ts", ...args];
    const tookMs = { source: [] as number[], packed: [] as number[] };
    for (let i = 0; i < 9; i++) {
      for (const form of ["source", "packed"] as const) {
        const startedMs = performance.now();
        const run = form === "packed"
          ? await runPacked(program, args, { cache })
          : await runPacked(Deno.execPath(), source, {});
        assert.equal(run.code, 0, run.stderr);
        if (i > 1) tookMs[form].push(performance.now() - startedMs); // the first ones fill caches
      }
    }
    const fastest = { source: Math.min(...tookMs.source), packed: Math.min(...tookMs.packed) };
    assert.ok(fastest.packed - fastest.source <= 50, JSON.stringify(fastest));
  });
});

Deno.test("the aarch64 file works under an emulator", async (t) => {
  const emulator = "/usr/bin/qemu-aarch64-static";
  const libraries = "/usr/aarch64-linux-gnu";
  if (thisMachine() !== "x86_64" || !isFile(emulator) || !isFile(`${libraries}/lib/libc.so.6`)) {
    return skip(t);
  }
  await withPacked(async ({ foreignProgram, cache, folder }) => {
    const environment = { SECURE_IOT_GATEWAY_EMULATOR: emulator, QEMU_LD_PREFIX: libraries };
    const run = async (...args: string[]) => {
      const ended = await runPacked(foreignProgram, args, { cache, environment });
      assert.equal(ended.code, 0, ended.stderr);
      return ended.stdout;
    };
    const secret = `${folder}/secret`;
    Deno.writeTextFileSync(secret, "supersecretkey123");
    const [version, , signed] = await Promise.all([
      run("--version"),
      run("init", "--dir", `${folder}/site`),
      run(...SIGN, secret),
    ]);
    assert.match(version, /^\d+\.\d+\.\d+ \(/);
    assert.ok(isFile(`${folder}/site/gateway.toml`));
    Deno.writeTextFileSync(`${folder}/message`, signed);
    const report = await run("verify", "sensor_001", `${folder}/message`, "--secret-file", secret);
    assert.match(report, /\nAccepted message from sensor_001\n$/);
  });
});

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function skip(t: Deno.TestContext): void {
  console.log(`skipped, not installed: ${t.name}`);
}
