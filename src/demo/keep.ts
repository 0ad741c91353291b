/** What can be tried in a sandbox that goes on after the story. */

import { programCommand } from "./sandbox/gateway_process.ts";
import type { Narrator } from "./narrator.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";

const LOOK_EVERY_MS = 200;

/** Says where everything is, with commands that can be pasted into another terminal. */
export function inviteToTry(sandbox: Sandbox, narrator: Narrator): void {
  const { layout, ports, client, backend } = sandbox;
  narrator.scene("Left running until Ctrl-C");
  narrator.command(`site      ${layout.directory}`);
  narrator.tell(`broker    mqtts://localhost:${ports.mqtt} for devices`);
  narrator.tell(`API       ${client.url}`);
  narrator.tell(`backend   ${backend.url}, what it receives is shown here`);
  narrator.tell("");
  narrator.tell("Paste into another terminal, this first:");
  narrator.tell("");
  narrator.command(`cd ${quoted(layout.directory)}`);
  narrator.command(`gateway() { ${commandLine()} "$@"; }`);
  narrator.tell("");
  narrator.tell("A reading of sensor_001 (send the same file again, or change it, to be refused):");
  narrator.tell("");
  narrator.command("gateway sign sensor_001 '{\"temperature\":23.0}' > reading.json");
  narrator.command(...mosquittoClient("pub", sandbox, "sensor_001"));
  narrator.command("  -q 1 -t device/sensor_001/data -f reading.json");
  narrator.tell("");
  narrator.tell("A command to sensor_002, which listens; with TTL it would also wait for it:");
  narrator.tell("");
  narrator.command(...mosquittoClient("sub", sandbox, "sensor_002"));
  narrator.command("  -q 1 -t device/sensor_002/command -C 1 & sleep 1");
  narrator.command("curl --cacert certs/gateway-ca.crt \\");
  narrator.command('  -H "Authorization: Bearer $(cat api.key)" -H "TTL: 3600" \\');
  narrator.command("  -H 'Content-Type: application/json' -d '{\"action\":\"reboot\"}' \\");
  narrator.command(`  ${client.url}/command/sensor_002`);
  narrator.tell("");
  narrator.tell("What became of it (sent: the client above does not acknowledge):");
  narrator.tell("");
  narrator.command("gateway commands list");
  narrator.tell("");
}

/** Shows what the gateway logs and the backend receives, until `stop`. */
export async function watch(
  sandbox: Sandbox,
  narrator: Narrator,
  { stop }: { stop: Promise<void> },
): Promise<void> {
  let lines = sandbox.gateway.lines().length;
  let received = sandbox.backend.received.length;
  for (let going = true; going; going = await stillGoing(stop)) {
    for (const line of sandbox.gateway.lines().slice(lines)) narrator.quote(JSON.stringify(line));
    for (const reading of sandbox.backend.received.slice(received)) {
      narrator.quote(`backend: ${reading.method} ${reading.path} ${reading.text}`);
    }
    lines = sandbox.gateway.lines().length;
    received = sandbox.backend.received.length;
  }
}

/** Waits until the next look, or until `stop`: then false. */
async function stillGoing(stop: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const pause = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), LOOK_EVERY_MS);
  });
  try {
    return await Promise.race([pause, stop.then(() => false)]);
  } finally {
    clearTimeout(timer);
  }
}

/** All but the last line of a command. */
function mosquittoClient(verb: "pub" | "sub", sandbox: Sandbox, deviceId: string): string[] {
  const folder = `devices/${deviceId}`;
  return [
    `mosquitto_${verb} -V mqttv5 -h localhost -p ${sandbox.ports.mqtt} -i ${deviceId} \\`,
    `  --cafile ${folder}/ca.crt --cert ${folder}/client.crt \\`,
    `  --key ${folder}/client.key \\`,
  ];
}

function commandLine(): string {
  const { path, args } = programCommand();
  return [path, ...args].map(quoted).join(" ");
}

/** A word for the shell. */
function quoted(word: string): string {
  return /^[\w./=:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
