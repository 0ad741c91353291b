/** What only the kit in C has: a size, adapters to libraries, and memory to go wrong with. */

import assert from "node:assert/strict";
import { withFolder } from "../support/with_folder.ts";
import { canRun } from "./kit.ts";

const KIT = new URL("../../kits/c/", import.meta.url).pathname;
const DRIVERS = new URL("drivers/", import.meta.url).pathname;

/** Code and constants for a Cortex-M, SHA-256 included. */
const LARGEST = 6 * 1024;
const FUZZ_SECONDS = Number(Deno.env.get("KIT_FUZZ_SECONDS") ?? 5);
const LIBRARIES = ["crypto", "mbedcrypto", "wolfssl", "bearssl"].map((name) => `-l${name}`);

/** Headers of a C library for it; the compiler's package brings none. */
const SPECS = "--specs=/usr/lib/picolibc/arm-none-eabi/picolibc.specs";
const hasCrossCompiler = await canRun(["arm-none-eabi-gcc"]) &&
  await compiles("arm-none-eabi-gcc", [SPECS], "string.h");
const hasLibraries = await canRun(["gcc"]) && await hasHeaders();
const hasCpp = hasLibraries && await canRun(["g++"]);
const hasFuzzer = await canRun(["clang"]) && await hasFuzzerRuntime();

Deno.test("the kit takes at most 6 KiB on a Cortex-M", { ignore: !hasCrossCompiler }, async () => {
  await withFolder(async (folder) => {
    for (const cpu of ["cortex-m0", "cortex-m3", "cortex-m4"]) {
      const source = `${folder}/kit.c`;
      const defines = "#define SIOT_IMPLEMENTATION\n#define SIOT_BUILTIN_SHA256\n";
      await Deno.writeTextFile(source, `${defines}#include "secure_iot_device.h"\n`);
      const flags = [
        SPECS,
        "-std=c99",
        "-Os",
        `-mcpu=${cpu}`,
        "-mthumb",
        "-Wall",
        "-Wextra",
        "-Werror",
      ];
      const object = `${folder}/kit.o`;
      await run("arm-none-eabi-gcc", [...flags, `-I${KIT}`, "-c", source, "-o", object]);
      const [code, data, zeroed] = (await run("arm-none-eabi-size", [object]))
        .split("\n")[1]?.trim().split(/\s+/).map(Number) ?? [];
      console.log(`${cpu}: ${code} bytes of code and constants`);
      assert.ok(code !== undefined && code > 0 && code <= LARGEST, `${cpu}: ${code}`);
      assert.deepEqual([data, zeroed], [0, 0], "it keeps nothing outside what it is given");
    }
  });
});

Deno.test("the HMAC of each adapter is the kit's own", { ignore: !hasLibraries }, async () => {
  await withFolder(async (folder) => {
    const program = `${folder}/adapters`;
    const flags = ["-std=c99", "-Wall", "-Wextra", `-I${KIT}`, `${DRIVERS}adapters.c`];
    await run("gcc", [...flags, ...LIBRARIES, "-o", program]);
    assert.equal(await run(program, []), "2760 alike\n");
  });
});

Deno.test("the header and each adapter can be included from C++", { ignore: !hasCpp }, async () => {
  await withFolder(async (folder) => {
    const source = `${folder}/device.cpp`;
    const adapters = ["openssl", "mbedtls", "wolfssl", "bearssl"];
    const includes = adapters.map((name) => `#include "adapters/${name}.h"\n`).join("");
    await Deno.writeTextFile(source, includes);
    const flags = ["-std=c++11", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror"];
    const check = (...more: string[]) =>
      run("g++", [...flags, `-I${KIT}`, "-fsyntax-only", ...more, source]);
    await check();
    await assert.rejects(check("-DSIOT_IMPLEMENTATION"), /belongs in a C file/);
  });
});

Deno.test(
  "no input makes it read or write outside what it was given",
  { ignore: !hasFuzzer },
  async () => {
    await withFolder(async (folder) => {
      const program = `${folder}/fuzz`;
      const checks = "-fsanitize=fuzzer,address,undefined";
      const flags = ["-std=c99", "-g", "-O1", checks, "-fno-sanitize-recover", `-I${KIT}`];
      await run("clang", [...flags, `${DRIVERS}fuzz.c`, "-o", program]);
      await Deno.mkdir(`${folder}/corpus`);
      const limits = [`-max_total_time=${FUZZ_SECONDS}`, "-max_len=600", "-print_final_stats=1"];
      await run(program, [...limits, `-artifact_prefix=${folder}/`, `${folder}/corpus`]);
    });
  },
);

async function run(program: string, args: readonly string[]): Promise<string> {
  const output = await new Deno.Command(program, { args: [...args] }).output();
  const [out, errors] = [output.stdout, output.stderr].map((one) => new TextDecoder().decode(one));
  assert.ok(output.success, `${program} ${args.join(" ")}\n${errors}`);
  return out ?? "";
}

async function hasHeaders(): Promise<boolean> {
  return await compiles(
    "gcc",
    [],
    "bearssl.h",
    "mbedtls/md.h",
    "openssl/evp.h",
    "wolfssl/options.h",
  );
}

async function hasFuzzerRuntime(): Promise<boolean> {
  return await compiles("clang", ["-fsanitize=fuzzer-no-link"]);
}

/** Whether a program that includes these headers can be compiled. */
async function compiles(compiler: string, flags: string[], ...headers: string[]): Promise<boolean> {
  return await withFolder(async (folder) => {
    const source = `${folder}/probe.c`;
    await Deno.writeTextFile(source, headers.map((name) => `#include <${name}>\n`).join(""));
    const args = [...flags, "-c", source, "-o", `${folder}/probe.o`];
    const { success } = await new Deno.Command(compiler, { args, stderr: "null" }).output();
    return success;
  });
}
