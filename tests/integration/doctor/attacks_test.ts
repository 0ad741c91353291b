import assert from "node:assert/strict";
import { freePorts } from "../../support/free_ports.ts";
import { withLiveSite } from "../../support/live_site.ts";
import { examine, named } from "../../support/broken_site.ts";

type Lines = readonly (readonly [RegExp, string])[];

/** What keeps the whole broker and the devices' listener shut, and what it becomes. */
const OPENED: Lines = [
  [/^use_username_as_clientid .*$/gm, ""],
  [/^crlfile .*$/gm, ""],
  [/^retain_available .*$/gm, ""],
  [/^max_packet_size .*$/gm, ""],
  [/^tls_version .*$/gm, "tls_version tlsv1.1"],
  [/^ciphers .*$/gm, "ciphers ALL:@SECLEVEL=0"],
];

/** The same for the gateway's listener. */
const GATEWAY_OPENED: Lines = [
  [/^require_certificate .*$/m, "require_certificate false"],
  [/^allow_anonymous .*$/m, "allow_anonymous true"],
  [/^use_identity_as_username .*$/m, ""],
];

const EVERYTHING = "pattern readwrite #\npattern readwrite $SYS/#\n";

Deno.test("doctor's attacks succeed where the broker is open, each in its row", async () => {
  await withLiveSite(async (site) => {
    const { layout } = site;
    const text = await Deno.readTextFile(layout.brokerConfiguration);
    const [devices, gateway] = change(text, OPENED).split(/^(?=listener .* 127\.0\.0\.1$)/m);
    const open = devices + change(gateway!, GATEWAY_OPENED);
    await Deno.writeTextFile(layout.brokerConfiguration, open);
    await Deno.writeTextFile(layout.aclDevices, EVERYTHING);
    await site.stopBroker();
    await site.startBroker();
    await site.startGateway();
    const findings = await examine(site);
    const attacks = findings.slice(findings.findIndex(({ name }) => name === "no certificate"));
    assert.deepEqual(named(attacks, "fail"), [
      "no certificate",
      "TLS 1.1",
      "revoked certificate",
      "device at the gateway's listener",
      "another device's topic",
      "acknowledgement, receipt",
      "subscription to #",
      "subscription to $SYS/#",
      "retained message",
      "another's client id",
      "70 kB message",
      "shared subscription",
    ], JSON.stringify(attacks, null, 2));
  }, { start: false });
});

Deno.test("doctor sees a port that the broker has open and its configuration has not", async () => {
  await withLiveSite(async (site) => {
    const { brokerConfiguration } = site.layout;
    const text = await Deno.readTextFile(brokerConfiguration);
    const [port] = freePorts(1);
    const extra = `listener ${port} 127.0.0.1\nallow_anonymous true\n`;
    await Deno.writeTextFile(brokerConfiguration, text + extra);
    await site.stopBroker();
    await site.startBroker();
    await Deno.writeTextFile(brokerConfiguration, text);
    const findings = await examine(site);
    assert.deepEqual(named(findings, "fail"), ["open ports"]);
    assert.match(
      findings.find(({ name }) => name === "open ports")!.observed,
      new RegExp(`${port}`),
    );
  }, { start: false });
});

function change(text: string, lines: Lines): string {
  return lines.reduce((changed, [line, instead]) => changed.replace(line, instead), text);
}
