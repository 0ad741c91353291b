import assert from "node:assert/strict";
import { readOperatorFile, readOperatorText } from "../../../src/config/operator_file.ts";
import { systemFault } from "../../../src/config/system_fault.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("what is no regular file is refused by its kind, and nobody waits for it", async () => {
  await withFolder(async (folder) => {
    const pipe = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const refused: readonly [path: string, reason: RegExp][] = [
      ["/dev/zero", /it is a device, not a regular file/],
      [pipe, /it is a named pipe, not a regular file/],
      [folder, /it is a folder, not a regular file/],
    ];
    for (const [path, reason] of refused) assert.throws(() => readOperatorFile(path), reason);
    assert.throws(() => readOperatorFile(`${folder}/none`), Deno.errors.NotFound);
  });
});

Deno.test("a file is read up to its limit, and must be UTF-8 as text", async () => {
  await withFolder((folder) => {
    const path = `${folder}/file`;
    Deno.writeTextFileSync(path, "x".repeat(100_000));
    assert.equal(readOperatorText(path, 100_000).length, 100_000);
    assert.throws(() => readOperatorText(path, 99_999), /it has over 99999 bytes/);
    Deno.writeFileSync(path, Uint8Array.of(0xff));
    assert.throws(() => readOperatorText(path), /it is not UTF-8/);
    for (const bytes of [[0xef, 0xbb, 0xbf, 0x61], [0xff, 0xfe, 0x61, 0], [0xfe, 0xff, 0, 0x61]]) {
      Deno.writeFileSync(path, Uint8Array.from(bytes));
      assert.equal(readOperatorText(path), "a");
    }
    Deno.writeFileSync(path, Uint8Array.of(0xff, 0xfe, 0x61));
    assert.throws(() => readOperatorText(path), /it is not UTF-16/);
  });
});

Deno.test("what the system refuses is said as what it is", () => {
  const errorOf = (message: string, properties: object) =>
    Object.assign(new Error(message), properties);
  const said: readonly [error: unknown, reason: RegExp][] = [
    [errorOf("Permission denied (os error 13): open '/a'", { code: "EACCES" }), /denied: "\/a"/],
    [errorOf("No space left on device", { code: "ENOSPC" }), /The disk is full/],
    [errorOf("database is locked", { code: "ERR_SQLITE_ERROR", errcode: 261 }), /locked/],
    [errorOf("database is locked", { code: "ERR_SQLITE_ERROR" }), /locked/],
    [errorOf("x", { code: "ERR_SQLITE_ERROR", errcode: 13 }), /The disk is full/],
    [new Error("outer", { cause: errorOf("x", { code: "EROFS" }) }), /cannot be written/],
  ];
  for (const [error, reason] of said) {
    assert.match(systemFault(error)?.reason ?? "", reason);
    assert.notEqual(systemFault(error)?.hint, "");
  }
  assert.equal(systemFault(new TypeError("x is not a function")), undefined);
});
