/**
 * The examples for boards, as far as they can be compiled without the boards' own tools: each is
 * read by a compiler, beside hand-made declarations of what it uses of them (boards/).
 */

import assert from "node:assert/strict";
import { basename, dirname } from "node:path";
import { withFolder } from "../support/with_folder.ts";
import { canRun } from "./kit.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const WARNINGS = ["-Wall", "-Wextra", "-Werror"];
const CPP = ["-x", "c++", "-std=c++17", "-Wno-missing-field-initializers"];
/** A board's own toolchain reads C as GNU C. */
const C = ["-x", "c", "-std=gnu11"];
/** Headers that are really there. */
const IS_OURS = /^(secure_iot_device|string|stdio|stdlib|inttypes|errno)\.h$/;

const BOARDS = [
  { name: "esp_idf", source: "esp_idf/main/main.c", compiler: "gcc", flags: C },
  { name: "zephyr", source: "zephyr/src/main.c", compiler: "gcc", flags: C },
  { name: "arduino", source: "arduino/device/device.ino", compiler: "g++", flags: CPP },
];

for (const { name, source, compiler, flags } of BOARDS) {
  const isThere = await canRun([compiler]);
  const claim = `a compiler reads examples/device/${source}, beside declarations by hand`;
  Deno.test({
    name: isThere ? claim : `${claim} (skipped: no ${compiler})`,
    ignore: !isThere,
    fn: () =>
      withFolder(async (headers) => {
        const path = `${ROOT}examples/device/${source}`;
        const text = await Deno.readTextFile(path);
        await writeEmptyHeaders(headers, text);
        const includes = [`-I${ROOT}kits/c`, `-I${headers}`, "-include", boardHeader(name)];
        await compile(compiler, [
          ...flags,
          ...WARNINGS,
          ...includes,
          "-c",
          path,
          "-o",
          "/dev/null",
        ]);
      }),
  });
}

Deno.test({
  name: "the Arduino sketch's kit.c compiles for a Cortex-M3",
  ignore: !await canRun(["arm-none-eabi-gcc"]),
  fn: () =>
    compile("arm-none-eabi-gcc", [
      "--specs=/usr/lib/picolibc/arm-none-eabi/picolibc.specs",
      ...["-std=c99", "-Os", "-mcpu=cortex-m3", "-mthumb", ...WARNINGS, `-I${ROOT}kits/c`],
      ...["-c", `${ROOT}examples/device/arduino/device/kit.c`, "-o", "/dev/null"],
    ]),
});

Deno.test({
  name: "the kit's structures take the memory that the page says",
  ignore: !await canRun(["arm-none-eabi-gcc"]),
  fn: () =>
    withFolder(async (folder) => {
      const page = await Deno.readTextFile(`${ROOT}docs/device/firmware.md`);
      const said =
        /(\d+) bytes of memory for a device\s+on a 32-bit processor, (\d+) for each command/
          .exec(page);
      assert.ok(said);
      const source = `${folder}/sizes.c`;
      const checks = ["siot_device", "siot_known"].map((type, i) =>
        `typedef char ${type}_size[sizeof(${type}) == ${said[i + 1]} ? 1 : -1];\n`
      );
      await Deno.writeTextFile(source, `#include "secure_iot_device.h"\n${checks.join("")}`);
      await compile("arm-none-eabi-gcc", [
        ...["-ffreestanding", "-std=c99", "-mcpu=cortex-m3", "-mthumb", `-I${ROOT}kits/c`],
        ...["-c", source, "-o", "/dev/null"],
      ]);
    }),
});

/** An empty file for each header of the board: what is in it, the board's one header declares. */
async function writeEmptyHeaders(folder: string, text: string): Promise<void> {
  for (const [, header = ""] of text.matchAll(/^#include [<"](.+)[>"]$/gm)) {
    if (IS_OURS.test(basename(header))) continue;
    await Deno.mkdir(`${folder}/${dirname(header)}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/${header}`, "");
  }
}

function boardHeader(name: string): string {
  return `${ROOT}tests/kits/boards/${name}.h`;
}

async function compile(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
