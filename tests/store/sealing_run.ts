/** Seals, unseals or rotates in a process of its own, which kills itself at a point: -9, for real. */

import { rotateSealingKey, sealSecrets, unsealSecrets } from "../../src/store/sealing.ts";
import { Store } from "../../src/store/store.ts";

const [path = "", file = "", verb = "", point = "", count = "1"] = Deno.args;
const work = { seal: sealSecrets, unseal: unsealSecrets, rotate: rotateSealingKey }[verb]!;
let left = Number(count);
const store = new Store(path);
await work({
  store,
  places: { file, credential: undefined },
  at: (reached) => {
    if (reached === point && --left === 0) Deno.kill(Deno.pid, "SIGKILL");
  },
});
store.close();
