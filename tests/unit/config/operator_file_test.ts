import assert from "node:assert/strict";
import {
  readBounded,
  readOperatorFile,
  readOperatorText,
} from "../../../src/config/operator_file.ts";
import { systemFault } from "../../../src/config/system_fault.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("what is no regular file is refused by its kind, and nobody waits for it", async () => {
  await withFolder(async (folder) => {
    const pipe = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const refused: readonly [path: string, reason: RegExp][] = [
      ["/dev/zero", /it is a device, not a regular file/],
      [pipe, /it is a named pipe, not a regular file/],
      ["/dev/stdin", /it is part of the system, not a regular file/],
      ["/dev/fd/0", /it is part of the system, not a regular file/],
      ["/proc/self/environ", /it is part of the system, not a regular file/],
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

Deno.test("a buffer is as large as the file, and one byte", () => {
  for (const [expected, length] of [[0, 0], [1, 1], [700, 700], [100_000, 100_000]] as const) {
    const bytes = readBounded(pieces(length, length), 1_000_000, expected);
    assert.equal(bytes.length, length);
    assert.equal(bytes.buffer.byteLength, expected + 1);
  }
  assert.equal(readBounded(pieces(1, 1), 100, 1e15).buffer.byteLength, 101, "the limit goes first");
});

Deno.test("what is longer than its file said is read whole, in pieces of any size", () => {
  for (const expected of [undefined, 0, 1, 700, 200_000]) {
    for (const piece of [1, 999, 65_536, 1_000_000]) {
      const bytes = readBounded(pieces(150_000, piece), 150_000, expected);
      assert.ok(bytes.length === 150_000 && bytes.every((byte, place) => byte === place % 251));
      const longer = pieces(150_001, piece);
      assert.throws(() => readBounded(longer, 150_000, expected), /it has over 150000 bytes/);
    }
  }
});

/** A `read` of so many bytes, at most `pieceBytes` at once; none of them is read twice. */
function pieces(length: number, pieceBytes: number): (buffer: Uint8Array) => number {
  let place = 0;
  return (buffer) => {
    assert.ok(buffer.length > 0, "no room to see the end by");
    const count = Math.min(buffer.length, pieceBytes, length - place);
    for (let i = 0; i < count; i++) buffer[i] = place++ % 251;
    return count;
  };
}

Deno.test("what the system refuses is said as what it is", () => {
  const errorOf = (message: string, properties: object) =>
    Object.assign(new Error(message), properties);
  const said: readonly [error: unknown, reason: RegExp][] = [
    [errorOf("Permission denied (os error 13): open '/a'", { code: "EACCES" }), /denied: "\/a"/],
    [errorOf("No space left on device", { code: "ENOSPC" }), /The disk is full/],
    [errorOf("database is locked", { code: "ERR_SQLITE_ERROR", errcode: 261 }), /locked/],
    [errorOf("database is locked", { code: "ERR_SQLITE_ERROR" }), /locked/],
    [errorOf("x", { code: "ERR_SQLITE_ERROR", errcode: 13 }), /The disk is full/],
    [thrownBy(() => Deno.statSync("/proc/1/environ")), /part of the system.*"\/proc\/1\/environ"$/],
    [new Error("outer", { cause: errorOf("x", { code: "EROFS" }) }), /cannot be written/],
  ];
  for (const [error, reason] of said) {
    assert.match(systemFault(error)?.reason ?? "", reason);
    assert.notEqual(systemFault(error)?.hint, "");
  }
  assert.equal(systemFault(new TypeError("x is not a function")), undefined);
});

function thrownBy(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
