/** Replaces a pair again and again with one of two others, until it is killed. */

import { placePair } from "../../src/site/pki/pair_files.ts";

const [certificate = "", key = "", other = ""] = Deno.args;
const paths = { certificate, key };
const pairOf = (name: string) => ({
  certificatePem: Deno.readTextFileSync(`${other}/${name}.crt`),
  keyPem: Deno.readTextFileSync(`${other}/${name}.key`),
});
const pairs = [pairOf("one"), pairOf("two")];
for (let turn = 0;; turn++) {
  const placed = await placePair(paths, pairs[turn % 2]!);
  if (turn === 0) console.log("begun");
  await (turn % 3 === 0 ? placed.takeBack() : placed.keep());
}
