/**
 * The devices of examples/device, all beside each other, against a real gateway, broker and backend.
 *
 * The gateway's clock is an hour ahead of theirs: none gets anywhere without its receipts.
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import mqtt from "mqtt";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { writeCommand } from "../../src/core/command.ts";
import { importSecret, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { commandTopic } from "../../src/core/topic.ts";
import { reaches } from "../support/command_states.ts";
import { DEVICE_EXAMPLES, type DeviceExample } from "../support/device_examples.ts";
import { freePorts } from "../support/free_ports.ts";
import { withFolder } from "../support/with_folder.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const AHEAD_SECONDS = 3_600;
/** Several compilers and interpreters start at once, on few processors. */
const PATIENCE = { timeoutMs: 60_000 };
/** A run that is fast hears of several refusals within a second. */
const SETTINGS = {
  RECEIPTS_SEND: "all",
  RECEIPTS_PER_DEVICE_PER_SECOND: "10",
  CHECKS_REMEMBER: "1h",
};
const FAULT_LONGEST = 1_000;
const DONE = { state: "done" };
const READING = '{"temperature":22.5,"humidity":60}';
const ANSWER = 'answer: {"status":"received"}';
const RECEIPTS = {
  clock: 'receipt: {"result":"rejected","code":"timestamp_out_of_range"}',
  replayed: 'receipt: {"result":"rejected","code":"replayed","held":"pending"}',
  secret: "receipt, not signed with our secret: ",
};

const present = DEVICE_EXAMPLES.filter(({ missing }) => missing === undefined);
const absent = DEVICE_EXAMPLES.filter(({ missing }) => missing !== undefined)
  .map(({ name, missing }) => `${name}: no ${missing}`);

Deno.test(
  `the devices in ${present.map(({ name }) => name).join(", ")} keep a reading until it is ` +
    "answered, name why it was refused, and do each command once, acknowledged, over restarts" +
    (absent.length > 0 ? ` (skipped: ${absent.join("; ")})` : ""),
  async () => {
    await withLiveSite(async (site) => {
      site.clockOffsetMs = 1000 * AHEAD_SECONDS;
      const held = new Map(present.map((_, i) => [idOf(i), Promise.withResolvers<void>()]));
      const answer = site.backend.answer;
      site.backend.answer = async (reading) => {
        await held.get(reading.deviceId)?.promise;
        return await answer(reading);
      };
      const wire = await listen(site);
      try {
        const plays = present.map((example, i) => {
          const answerIt = () => held.get(idOf(i))!.resolve();
          return new Play(site, wire, { example, deviceId: idOf(i), answerIt }).run();
        });
        const faults = (await Promise.allSettled(plays)).flatMap((one, i) =>
          one.status === "rejected" ? [`${present[i]!.name}: ${one.reason.stack}`] : []
        );
        assert.equal(faults.map((fault) => fault.slice(0, FAULT_LONGEST)).join("\n"), "");
      } finally {
        for (const { resolve } of held.values()) resolve();
        await wire.close();
      }
    }, { settings: SETTINGS });
  },
);

function idOf(place: number): string {
  return `device_${place}`;
}

/** What a device is asked to go through. */
interface Part {
  readonly example: DeviceExample;
  readonly deviceId: string;
  /** Lets the backend answer its readings. */
  answerIt(): void;
}

/** One device on the site. */
class Play {
  readonly #site: LiveSite;
  readonly #wire: Wire;
  readonly #part: Part;
  #start!: () => ChildProcess;
  #life!: ChildProcess;
  #secret = "";

  constructor(site: LiveSite, wire: Wire, part: Part) {
    this.#site = site;
    this.#wire = wire;
    this.#part = part;
  }

  async run(): Promise<void> {
    await withFolder(async (build) => {
      const { example, deviceId } = this.#part;
      const folder = await this.#site.register(deviceId);
      this.#secret = await Deno.readTextFile(`${folder}/secret`);
      const command = await example.build(build);
      this.#start = () => new ChildProcess(command(folder, this.#site.config.devices.port));
      this.#life = this.#start();
      try {
        await this.#keepsItsReading();
        await this.#obeysOnce();
        if (example.keepsBy === "rename") await this.#actsOnNothingItCannotKeep(folder);
        await this.#saysThatItsSecretIsWrong(folder);
        await this.#saysThatNobodyListens(folder);
      } finally {
        await this.#end("SIGTERM");
      }
    });
  }

  /** It is killed before the answer, and sends the same reading until it hears of it. */
  async #keepsItsReading(): Promise<void> {
    await this.#prints(RECEIPTS.clock);
    await poll("the reading to reach the backend", () => this.#received().length === 1, PATIENCE);
    await this.#restart();
    await this.#prints(RECEIPTS.replayed);
    assert.deepEqual(this.#received().map(({ text }) => text), [READING]);
    const ids = this.#wire.readings(this.#part.deviceId);
    assert.ok(ids.length >= 4, `${ids}`);
    assert.deepEqual([...new Set(ids)], [this.#received()[0]!.messageId]);
    this.#part.answerIt();
    await this.#prints(ANSWER);
  }

  /** Genuine, fresh commands only, and each once, also after a restart. */
  async #obeysOnce(): Promise<void> {
    const messageId = await this.#send('{"set": 22.0, "text": "é\\u00e9"}');
    await this.#prints('command: {"set":22.0,"text":"é\\u00e9"}');
    await reaches(this.#site, messageId, "done");
    await this.#publish(...await this.#badCommands());
    await this.#says(messageId, 1);
    await this.#publish(await this.#copyOf(messageId));
    await this.#says(messageId, 2);
    await this.#restart(() => this.#copyOf(messageId));
    await this.#says(messageId, 3);
    await this.#prints(ANSWER);
    assert.equal(this.#received().length, 2, "a second reading, as the first was done with");
    const last = await this.#send('{"last":1}');
    await this.#prints('command: {"last":1}');
    await reaches(this.#site, last, "done");
    assert.doesNotMatch(this.#life.stdout, /command: .*(forged|stale|copy)/);
  }

  /** A command whose id cannot be kept is not done. */
  async #actsOnNothingItCannotKeep(folder: string): Promise<void> {
    await Deno.mkdir(`${folder}/kept.json.new`);
    await this.#send('{"unkept":1}');
    await poll("the device to end", () => !this.#life.running, PATIENCE);
    await this.#life.exited;
    assert.doesNotMatch(this.#life.stdout, /unkept/);
    await Deno.remove(`${folder}/kept.json.new`);
  }

  /** With a secret that is not its own, the receipt is the gateway's word all the same. */
  async #saysThatItsSecretIsWrong(folder: string): Promise<void> {
    await this.#end("SIGTERM");
    await Deno.writeTextFile(`${folder}/secret`, "another");
    this.#life = this.#start();
    await this.#prints(RECEIPTS.secret, '"code":"invalid_signature"');
  }

  /** Without a broker it says so, and goes on trying. */
  async #saysThatNobodyListens(folder: string): Promise<void> {
    await this.#end("SIGTERM");
    const path = `${folder}/device.json`;
    const about = JSON.parse(await Deno.readTextFile(path));
    [about.broker.port] = freePorts(1);
    await Deno.writeTextFile(path, JSON.stringify(about));
    this.#life = this.#start();
    await poll("the device to say that nobody listens", () => this.#life.stderr !== "", PATIENCE);
    assert.ok(this.#life.running, this.#life.stderr);
  }

  /** Kills it, and starts it again; `meanwhile` is what is published to it. */
  async #restart(meanwhile?: () => Promise<string>): Promise<void> {
    await this.#end("SIGKILL");
    assert.doesNotMatch(this.#life.stdout, /command: .*(forged|stale|copy)/);
    if (meanwhile) await this.#publish(await meanwhile());
    this.#life = this.#start();
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { running, pid, exited } = this.#life;
    if (running && this.#part.example.hasChildren) Deno.kill(-pid, signal);
    else if (signal === "SIGTERM") await this.#life.stop();
    else this.#life.kill(signal);
    await exited;
  }

  #received() {
    return this.#site.backend.received.filter(({ deviceId }) => deviceId === this.#part.deviceId);
  }

  /** Waits for a line that begins so, and has this in it. */
  async #prints(begin: string, part = ""): Promise<void> {
    const { name } = this.#part.example;
    await poll(`${name} to print ${begin}`, async () => {
      const { stdout, running, exited, stderr } = this.#life;
      const lines = stdout.split("\n");
      if (lines.some((line) => line.startsWith(begin) && line.includes(part))) return true;
      if (running) return false;
      await exited;
      throw new Error(`It ended:\n${stdout}${stderr}`);
    }, PATIENCE).catch((error) => {
      throw new Error(`${error.message}\n${this.#life.stdout}${this.#life.stderr}`);
    });
  }

  async #says(messageId: string, times: number): Promise<void> {
    await poll(`${this.#part.example.name} to acknowledge, ${times}`, () => {
      const words = this.#wire.words(messageId);
      if (words.length < times) return false;
      assert.deepEqual(words, Array(times).fill(DONE));
      return true;
    }, PATIENCE).catch((error) => {
      throw new Error(`${error.message}\n${this.#life.stdout}${this.#life.stderr}`);
    });
  }

  async #send(json: string): Promise<string> {
    const path = `/command/${this.#part.deviceId}`;
    const response = await this.#site.api(path, { method: "POST", body: json });
    const { delivery, message_id: messageId } = await response.json();
    assert.equal(delivery, "queued");
    return messageId;
  }

  /** Publishes to it as somebody who got hold of the gateway's connection. */
  async #publish(...messages: readonly (string | Buffer)[]): Promise<void> {
    await this.#wire.publish(commandTopic(this.#part.deviceId), messages);
  }

  /** Commands that a device must not obey. */
  async #badCommands(): Promise<(string | Buffer)[]> {
    const forged = await this.#signed('"forged"', { secret: "another" });
    const stale = await this.#signed('"stale"', { lateSeconds: 400 });
    const early = await this.#signed('"stale"', { lateSeconds: -400 });
    const changed = (await this.#signed('"chosen"')).replace("chosen", "forged");
    const nonsense = ["", "{}", "\u0000", '"forged"', forged.slice(1), forged.slice(0, -1)];
    return [forged, stale, early, changed, ...nonsense, Buffer.from([0xff, 0xfe])];
  }

  /** A further copy of a command, signed again: what it asks for must not be done. */
  #copyOf(messageId: string): Promise<string> {
    return this.#signed('"copy"', { messageId });
  }

  async #signed(
    json: string,
    { secret = this.#secret, lateSeconds = 0, messageId = crypto.randomUUID() as string } = {},
  ): Promise<string> {
    const payload = new TextEncoder().encode(json);
    const nowSeconds = Math.floor(Date.now() / 1000) + AHEAD_SECONDS;
    const timestamp = `${nowSeconds - lateSeconds}`;
    const fields = { deviceId: this.#part.deviceId, timestamp, messageId };
    const signature = await sign((await importSecret(secret))!, signingInput(fields, payload));
    return new TextDecoder().decode(writeCommand({ ...fields, payload, signature }));
  }
}

type Wire = Awaited<ReturnType<typeof listen>>;

/** Hears what devices publish, beside the gateway, and publishes as if it were the gateway. */
async function listen(site: LiveSite) {
  const { host, port, ca, certificate, key } = site.config.broker;
  const client = await mqtt.connectAsync({
    ...{ protocol: "mqtts", host, port, clientId: "listener", timerVariant: "native" },
    ca: await Deno.readTextFile(ca),
    cert: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
  });
  const heard: { topic: string; message_id: string; payload: unknown }[] = [];
  client.on("message", (topic, message) => {
    heard.push({ topic, ...JSON.parse(message.toString()) });
  });
  await client.subscribeAsync(["device/+/ack", "device/+/data"], { qos: 1 });
  return {
    /** The ids of its readings, as it sent them. */
    readings: (deviceId: string) =>
      heard.filter(({ topic }) => topic === `device/${deviceId}/data`)
        .map(({ message_id: messageId }) => messageId),
    /** What a device has said of a command. */
    words: (messageId: string) =>
      heard.filter((one) => one.topic.endsWith("/ack") && one.message_id === messageId)
        .map(({ payload }) => payload),
    publish: async (topic: string, messages: readonly (string | Buffer)[]) => {
      for (const message of messages) await client.publishAsync(topic, message, { qos: 1 });
    },
    close: () => client.endAsync(),
  };
}
