/** A gateway's worker that dies of a fault of its own as soon as a client connects to the API. */

import type { WorkerPort, WorkerRequest } from "../../../src/process/protocol.ts";
import { serveWorker } from "../../../src/process/worker.ts";

const port = self as unknown as WorkerPort;

serveWorker(port);
const receive = port.onmessage!;
port.onmessage = (event: MessageEvent<WorkerRequest>) => {
  if (event.data.kind === "connected") throw new Error("The worker was mortal");
  receive(event);
};
