/** A gateway's worker that dies of a fault of its own, some time after its first message. */

import { serveConfined } from "../../src/confined.ts";

const LIFETIME_MS = 1_500;

serveConfined(self as unknown as Parameters<typeof serveConfined>[0]);
setTimeout(() => {
  throw new Error("The worker was mortal");
}, LIFETIME_MS);
