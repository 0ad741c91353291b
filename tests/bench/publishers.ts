/** Compiled publishers, one process a device: `mosquitto_pub -l` with messages signed beforehand. */

import type { BenchSite } from "./bench_site.ts";
import { signMessages } from "./signed_messages.ts";

/** Where Debian puts it. */
export const PUBLISHER = "/usr/bin/mosquitto_pub";

/** Messages in files, a file a device, ready to be published. */
export interface MessageFiles {
  readonly count: number;
  readonly messageIds: readonly string[];
  /** A file of lines for each device of the site, in the same order. */
  readonly paths: readonly string[];
}

/** What the publishers did. */
export interface PublishedFiles {
  /** From the start of the first to the end of the last; then the broker has everything. */
  readonly seconds: number;
  /** CPU time of them all. */
  readonly cpuMs: number;
}

/** Signs `count` messages, shared out evenly among the devices of a site. */
export async function writeMessages(site: BenchSite, count: number): Promise<MessageFiles> {
  const each = Math.ceil(count / site.devices.length);
  const messageIds: string[] = [];
  const paths: string[] = [];
  for (const device of site.devices) {
    const messages = await signMessages(device, each);
    const path = `${site.folder}/${device.deviceId}.lines`;
    await Deno.writeTextFile(path, messages.map(({ text }) => `${text}\n`).join(""));
    for (const { messageId } of messages) messageIds.push(messageId);
    paths.push(path);
  }
  return { count: messageIds.length, messageIds, paths };
}

/** One connection: port, device folder, device id. */
const CONNECT = "-q 1 -V 5 -h localhost -p $1 --cafile $2/ca.crt --cert $2/client.crt " +
  "--key $2/client.key -i $3";

/** One publisher: those, a file of lines, and what else. */
const PUBLISH = `${PUBLISHER} -l --nodelay -M 100 ${CONNECT} -t device/$3/data $5 < $4`;

const SUBSCRIBE = `/usr/bin/mosquitto_sub -E -c ${CONNECT} -t device/$3/response`;

/** Devices that are subscribed to their answers from now on. */
export async function subscribeAll(site: BenchSite): Promise<BenchSite> {
  const script = [
    `subscribe() { ${SUBSCRIBE}; }`,
    ...site.devices.map(({ folder, deviceId }) =>
      `subscribe ${site.ports.mqtt} '${folder}' ${deviceId} &`
    ),
    "wait",
  ].join("\n");
  await runScript(script);
  return { ...site, isSubscribed: true };
}

/** Publishes every file as its device, all at once, at QoS 1. */
export async function publishAll(site: BenchSite, files: MessageFiles): Promise<PublishedFiles> {
  const session = site.isSubscribed === true ? "-c" : "";
  const script = [
    `publish() { ${PUBLISH}; }`,
    ...site.devices.map(({ folder, deviceId }, i) =>
      `publish ${site.ports.mqtt} '${folder}' ${deviceId} '${files.paths[i]}' ${session} &`
    ),
    "wait",
    "times",
  ].join("\n");
  const startMs = performance.now();
  const times = await runScript(script);
  const seconds = (performance.now() - startMs) / 1000;
  return { seconds, cpuMs: childrenCpuMs(times) };
}

async function runScript(script: string): Promise<string> {
  const shell = new Deno.Command("/bin/sh", { args: ["-c", script] });
  const { success, stdout, stderr } = await shell.output();
  const errors = new TextDecoder().decode(stderr);
  if (!success || errors !== "") throw new Error(`mosquitto-clients: ${errors}`);
  return new TextDecoder().decode(stdout);
}

/** The second line of the shell's `times`: user and system time of its children. */
function childrenCpuMs(times: string): number {
  const [, children = ""] = times.trim().split("\n");
  const parts = [...children.matchAll(/(\d+)m([\d.]+)s/g)];
  return parts.reduce((ms, [, m, s]) => ms + Number(m) * 60_000 + Number(s) * 1000, 0);
}
