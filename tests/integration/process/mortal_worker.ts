/** A gateway's worker that dies of a fault of its own as soon as somebody calls at the API. */

import { serveWorker, type WorkerRequest } from "../../../src/process/worker.ts";

const line = self as unknown as Parameters<typeof serveWorker>[0];

serveWorker(line);
const obey = line.onmessage!;
line.onmessage = (event: MessageEvent<WorkerRequest>) => {
  if (event.data.kind === "came") throw new Error("The worker was mortal");
  obey(event);
};
