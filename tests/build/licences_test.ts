import assert from "node:assert/strict";
import { reachablePackages } from "../../src/build/bill_of_materials.ts";
import { licenceTextIn, renderLicences } from "../../src/build/licences.ts";
import { DENO_LICENCE_TEXT } from "../../src/build/runtime.ts";
import { BuildFailure } from "../../src/build/tool.ts";
import { withFolder } from "../support/with_folder.ts";

Deno.test("the licences name every package, each with a notice and its terms", async () => {
  const packages = await reachablePackages();
  const text = renderLicences(packages);
  for (const { name, version, licence, licenceText } of packages) {
    assert.ok(text.includes(`\n${name} ${version} (${licence})\n`), name);
    assert.match(licenceText, /copyright/i, name);
    assert.match(licenceText, /WITHOUT WARRANT|AS IS/i, name);
    assert.ok(text.includes(licenceText.replaceAll("\r", "")), name);
  }
});

Deno.test("Deno's licence has its makers' notice in place of this program's", () => {
  assert.match(
    DENO_LICENCE_TEXT,
    /^MIT License\n\nCopyright 2018-2026 the Deno authors\n\nPermission/,
  );
  assert.equal(DENO_LICENCE_TEXT.match(/^Copyright/gm)?.length, 1);
});

Deno.test("all that a package says of its licence is taken, and one that says nothing is refused", async () => {
  await withFolder((folder) => {
    assert.throws(() => licenceTextIn(folder), BuildFailure);
    const terms = "Copyright (c) 2014 Somebody\n\nPermission is hereby granted to anybody";
    Deno.writeTextFileSync(`${folder}/README.md`, "# It\n\n## License\n\nMIT\n");
    assert.throws(() => licenceTextIn(folder), BuildFailure, "a name is no text");
    Deno.writeTextFileSync(`${folder}/README.md`, `# It\n\n## license\n\n${terms}\n\n## More\n`);
    assert.equal(licenceTextIn(folder), terms);
    Deno.writeTextFileSync(`${folder}/LICENCE.md`, "Terms\n");
    Deno.writeTextFileSync(`${folder}/NOTICE`, "\nNotice");
    Deno.writeTextFileSync(`${folder}/index.js`, "code");
    assert.equal(licenceTextIn(folder), "Terms\n\nNotice");
  });
});
