import assert from "node:assert/strict";
import { readSecret } from "../../../src/cli/secret_file.ts";
import { withFolder } from "../../support/with_folder.ts";

Deno.test("readSecret() takes what an editor or a shell makes of a secret, or says what is wrong", async () => {
  await withFolder((folder) => {
    const path = `${folder}/secret`;
    const utf16 = new Uint8Array(
      Uint16Array.from("\ufeffs3cret\r\n", (c) => c.charCodeAt(0)).buffer,
    );
    const taken = ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\r", "s3cret\n\n", "\ufeffs3cret"];
    for (const bytes of [...taken.map((text) => new TextEncoder().encode(text)), utf16]) {
      Deno.writeFileSync(path, bytes);
      assert.equal(readSecret(path), "s3cret");
    }
    const refused: [text: string, fault: RegExp][] = [
      ["s3cret \n", /begins or ends with a blank/],
      ["\ts3cret", /must be one line/],
      ["two\nlines", /must be one line/],
      ["\n", /must be one line/],
      ["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", /must be one line/],
    ];
    for (const [text, fault] of refused) {
      Deno.writeTextFileSync(path, text);
      assert.throws(() => readSecret(path), fault, text);
    }
  });
});
