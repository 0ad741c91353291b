/** Seals, unseals or rotates in a process of its own, which kills itself at a point: -9, for real. */

import { rotateSealingKey, sealSecrets, unsealSecrets } from "../../src/store/sqlite/sealing.ts";
import { Database } from "../../src/store/sqlite/database.ts";

const [path = "", file = "", verb = "", point = "", count = "1"] = Deno.args;
const work = { seal: sealSecrets, unseal: unsealSecrets, rotate: rotateSealingKey }[verb]!;
let left = Number(count);
const store = new Database(path);
await work({
  store,
  places: { file, credential: undefined },
  at: (reached) => {
    if (reached === point && --left === 0) Deno.kill(Deno.pid, "SIGKILL");
  },
});
store.close();
