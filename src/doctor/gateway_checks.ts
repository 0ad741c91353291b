/** Whether the gateway runs and is ready. */

import { faultText } from "../core/fault_text.ts";
import { localOrigin, reachableHost } from "../config/listen_address.ts";
import { type Check, type CheckOutcome, fail, pass, type Site, skip, warn } from "./check.ts";
import { readCertificateFile } from "../config/credentials.ts";
import { readBoundedText } from "../http/bounded_body.ts";

/** Whether there is a gateway that can be attacked. */
export const GATEWAY_CHECK: Check<Site> = { name: "gateway", look: gateway };

const TIMEOUT_MS = 10_000;
/** Of what is ready and what is wrong; other servers may answer without end. */
const ANSWER_MAX_BYTES = 65_536;

async function gateway({ layout, config }: Site): Promise<CheckOutcome> {
  const { host, port } = config.api;
  const hostname = reachableHost(host);
  const url = `${localOrigin(host, port)}/readyz`;
  try {
    (await Deno.connect({ hostname, port })).close();
  } catch (error) {
    const fault = `the gateway does not answer at ${hostname}:${port}: ${faultText(error)}`;
    return skip(`${fault}; to start it: secure-iot-gateway run --dir ${layout.directory}`);
  }
  using client = Deno.createHttpClient({
    caCerts: [...readCertificateFile(layout.gatewayCa.certificate)],
  });
  const response = await fetch(url, { client, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const answer = await readBoundedText(response, ANSWER_MAX_BYTES);
  if (!response.ok) {
    return fail(
      `${url} answers ${response.status}: ${answer}`,
      "See the gateway's log: journalctl -u secure-iot-gateway",
    );
  }
  const degraded = degradedOf(answer);
  return degraded.length === 0 ? pass(`${url} reports ready`) : warn(
    `${url} reports ready, but: ${degraded.join("; ")}`,
    "See the logs of the gateway and of the backend",
  );
}

/** What the gateway says is wrong although it is ready. */
function degradedOf(answer: string): string[] {
  const { degraded } = JSON.parse(answer) as { degraded?: unknown };
  return Array.isArray(degraded) ? degraded.map(String) : [];
}
