import assert from "node:assert/strict";
import { nextUpdateOf } from "../../../src/core/revocation_list.ts";
import { ExpiryWatch } from "../../../src/gateway/telemetry/expiry_watch.ts";
import { createAuthority, createRevocationList } from "../../../src/site/pki/authority.ts";
import { withFolder } from "../../support/with_folder.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2030, 0, 15, 12);
/** When the authority and its list end. */
const END_MS = Date.UTC(2050, 0, 15, 12);

/** What is said at `wallMs` of an authority, its list and one device that end together. */
async function saidAt(wallMs: number): Promise<string[]> {
  return await withFolder(async (folder) => {
    const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
    const list = await createRevocationList(authority, { revoked: [], number: 1, nowMs: NOW_MS });
    const [ca, crl] = [`${folder}/ca.crt`, `${folder}/ca.crl`];
    await Deno.writeTextFile(ca, authority.certificatePem);
    await Deno.writeTextFile(crl, list);
    const said: string[] = [];
    const watch = new ExpiryWatch({
      clock: { wallMs: () => wallMs, monotonicMs: () => 0 },
      emit: (event) => {
        if (event.kind === "file_expiry") assert.equal(event.endSeconds, END_MS / 1000, event.path);
        else if (event.kind === "devices_expiring") said.push(`${event.count} devices`);
        else if (event.kind === "expires_soon") {
          said.push(`${event.expired ? "error" : "warning"} ${event.what}`);
        }
      },
      files: [ca, crl, `${folder}/none`],
      devices: {
        certificateEnds: () =>
          Promise.resolve([{ deviceId: "sensor_001", notAfter: END_MS / 1000 }]),
      },
    });
    await watch.look();
    watch.close();
    return said.map((line) => line.replaceAll(folder, ""));
  });
}

Deno.test("certificates, lists and devices are warned of 30 days ahead, once a day", async () => {
  const lines = await saidAt(END_MS - 30 * DAY_MS);
  assert.deepEqual(lines.filter((line) => !line.includes("none")), [
    'warning "/ca.crt" expires in 30 days',
    'warning "/ca.crl" expires in 30 days',
    "1 devices",
    "warning The certificates of sensor_001 expire within 30 days, or have expired: " +
    "see device list",
    "1 devices",
  ]);
  assert.match(lines.find((line) => line.includes("none"))!, /^warning .*Cannot see when "\/none"/);
  const expired = await saidAt(END_MS + DAY_MS);
  assert.ok(expired.includes('error "/ca.crl" has expired'));
});

Deno.test("31 days ahead nothing is said", async () => {
  const lines = await saidAt(END_MS - 31 * DAY_MS);
  assert.deepEqual(lines.filter((line) => !line.includes("none")), ["0 devices", "0 devices"]);
});

Deno.test("nextUpdateOf() answers to whatever it is given", () => {
  for (const bytes of [[], [0x30], [0x30, 0x84, 0xff], [0x30, 3, 0x30, 1, 2], Array(50).fill(48)]) {
    assert.equal(nextUpdateOf(Uint8Array.from(bytes)), undefined);
  }
});
