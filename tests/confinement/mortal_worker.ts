/** A gateway's worker that dies of a fault of its own as soon as somebody calls at the API. */

import { type Order, serveConfined } from "../../src/confined.ts";

const line = self as unknown as Parameters<typeof serveConfined>[0];

serveConfined(line);
const obey = line.onmessage!;
line.onmessage = (event: MessageEvent<Order>) => {
  if (event.data.kind === "came") throw new Error("The worker was mortal");
  obey(event);
};
