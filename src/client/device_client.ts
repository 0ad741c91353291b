/** A device: an MQTT client with a certificate and a secret, as firmware would be. */

import { readText } from "../config/operator_file.ts";
import { Buffer } from "node:buffer";
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import { DEVICE_FILES } from "../core/device.ts";
import { compactJson } from "../core/json_scanner.ts";
import { importSecret, type SecretKey, sign } from "../core/signature.ts";
import type { AcknowledgedState } from "../core/command_life.ts";
import { type SignedKind, signingInput } from "../core/signing_input.ts";
import { ackTopic, commandTopic, dataTopic, receiptTopic, responseTopic } from "../core/topic.ts";
import { secondsOf } from "../core/time.ts";
import {
  type DeviceCommand,
  type DeviceReceipt,
  readDeviceCommand,
  readDeviceReceipt,
} from "./device_command.ts";
import { poll } from "../time/poll.ts";

const CONNECT_TIMEOUT_MS = 5_000;

/** How a device connects. */
export interface ConnectOptions {
  readonly port: number;
  readonly host?: string;
  /** PEM texts to show instead of the folder's; `null` shows none. */
  readonly clientCertificate?: { readonly certificate: string; readonly key: string } | null;
  readonly protocolVersion?: 4 | 5;
  /** Keep a session in the broker for so long; without it, every connection starts without one. */
  readonly sessionExpirySeconds?: number;
  /** Whether it listens to its own answers and commands, or to what instead; it does by default. */
  readonly subscribe?: boolean | readonly string[];
  /** What it calls itself; its id if it is not given. */
  readonly clientId?: string;
}

/** What a signed message says instead of the truth. */
interface SignOverrides {
  /** Unix seconds. */
  readonly timestamp?: number;
  readonly messageId?: string;
  readonly deviceId?: string;
  readonly secret?: string;
  readonly kind?: SignedKind;
}

/** What a device says of a command. */
interface AcknowledgementPayload {
  readonly state: AcknowledgedState;
  /** Any JSON. */
  readonly result?: unknown;
  readonly reason?: string;
}

/** A message that is signed and not sent yet. */
export interface SignedMessage {
  readonly message: string;
  readonly messageId: string;
  /** Unix seconds. */
  readonly timestamp: number;
}

/** How a device publishes. */
interface PublishOptions {
  readonly qos?: 0 | 1;
  readonly topic?: string;
  readonly retain?: boolean;
  readonly properties?: NonNullable<IClientPublishOptions["properties"]>;
}

/** The backend's answer as it reached the device; without MQTT 5 only `text` and `bytes`. */
interface DeviceResponse {
  /** The Correlation Data, which is the id of the message that is answered. */
  readonly messageId: string;
  /** The backend's status. */
  readonly status: string;
  readonly userProperties: Readonly<Record<string, unknown>>;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** One connected device. */
export class DeviceClient {
  readonly deviceId: string;
  /** Every answer so far. */
  readonly responses: DeviceResponse[] = [];
  /** Receipts not yet taken with `receipt`, as they came. */
  readonly receipts: Uint8Array[] = [];
  readonly #secret: string;
  readonly #key: SecretKey;
  readonly #client: MqttClient;
  readonly #commands: Uint8Array[] = [];
  /** Publishes whose acknowledgement has not come yet. */
  readonly #waiting = new Set<(error: Error) => void>();
  #pubackReason = 0;

  private constructor(identity: DeviceIdentity, key: SecretKey, client: MqttClient) {
    this.deviceId = identity.deviceId;
    this.#secret = identity.secret;
    this.#key = key;
    this.#client = client;
    client.on("message", (topic, payload, packet) => this.#hear(topic, payload, packet.properties));
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback") this.#pubackReason = packet.reasonCode ?? 0;
    });
    let cause = "";
    client.on("disconnect", (packet) => cause = `, reason ${packet.reasonCode}`);
    client.on("close", () => {
      const error = new Error(`The broker closed the connection${cause}`);
      for (const reject of this.#waiting) reject(error);
    });
  }

  /** Connects as a device, or as the one whose folder this is; rejects with the reason otherwise. */
  static async connect(
    device: string | DeviceIdentity,
    options: ConnectOptions,
  ): Promise<DeviceClient> {
    const identity = typeof device === "string" ? await readIdentity(device) : device;
    const key = await importSecret(identity.secret);
    if (key === undefined) throw new Error(`The secret of ${identity.deviceId} is empty`);
    const client = mqtt.connect(clientOptions(identity, options));
    // Before it is connected: what waited for it comes at once.
    const connecting = new DeviceClient(identity, key, client);
    try {
      await connected(client);
      await connecting.#subscribe(options.subscribe ?? true);
      return connecting;
    } catch (error) {
      await client.endAsync(true);
      const reason = (error as Error).message || (error as { code?: string }).code;
      throw new Error(`Cannot connect to the broker as ${identity.deviceId}: ${reason}`);
    }
  }

  /** True until the connection ends. */
  get connected(): boolean {
    return this.#client.connected;
  }

  /** Commands not yet taken with `command`. */
  get commandsWaiting(): number {
    return this.#commands.length;
  }

  /** Makes a signed message around `payloadText`, which is put in unchanged. */
  async sign(payloadText: string, overrides: SignOverrides = {}): Promise<SignedMessage> {
    const deviceId = overrides.deviceId ?? this.deviceId;
    const timestamp = overrides.timestamp ?? nowSeconds();
    const messageId = overrides.messageId ?? crypto.randomUUID();
    const key = await importSecret(overrides.secret ?? this.#secret);
    if (key === undefined) throw new Error("Cannot sign with an empty secret");
    const payload = compactJson(new TextEncoder().encode(payloadText));
    const fields = { deviceId, timestamp: String(timestamp), messageId };
    const signature = await sign(key, signingInput(fields, payload, overrides.kind));
    const message =
      `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
      `"payload":${payloadText},"signature":"${signature}"}`;
    return { message, messageId, timestamp };
  }

  /** Publishes to its data topic, unless told otherwise; resolves with the PUBACK's reason code. */
  publish(
    message: string | Uint8Array,
    options: PublishOptions = {},
  ): Promise<{ reasonCode: number }> {
    if (!this.connected) return Promise.reject(new Error("The device is not connected"));
    const { qos = 1, topic = dataTopic(this.deviceId), ...rest } = options;
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      this.#client.publish(topic, Buffer.from(message), { ...rest, qos }, (error) => {
        this.#waiting.delete(reject);
        const code = error ? (error as { code?: unknown }).code : qos && this.#pubackReason;
        if (typeof code === "number") resolve({ reasonCode: code });
        else reject(error as Error);
      });
    });
  }

  /** Signs and publishes a payload. */
  async send(payloadText: string): Promise<SignedMessage & { reasonCode: number }> {
    const signed = await this.sign(payloadText);
    return { ...signed, ...await this.publish(signed.message) };
  }

  /** Acknowledges the command of that id: signs what it says of it, and publishes that to its ack topic. */
  async acknowledge(
    messageId: string,
    payload: AcknowledgementPayload,
    overrides: SignOverrides = {},
  ): Promise<SignedMessage & { reasonCode: number }> {
    const kind = "acknowledgement";
    const signed = await this.sign(JSON.stringify(payload), { kind, messageId, ...overrides });
    return { ...signed, ...await this.publish(signed.message, { topic: ackTopic(this.deviceId) }) };
  }

  /** Waits for the answer to a message of ours, paired by its Correlation Data. */
  response(messageId: string, options: { timeoutMs?: number } = {}): Promise<DeviceResponse> {
    const answered = () => this.responses.find((response) => response.messageId === messageId);
    return poll(`the answer to ${messageId}`, answered, options);
  }

  /** Waits for the next command and checks it. */
  async command(options: { timeoutMs?: number } = {}): Promise<DeviceCommand> {
    const message = await poll("a command", () => this.#commands.shift(), options);
    const { deviceId } = this;
    return await readDeviceCommand(message, { deviceId, key: this.#key, nowSeconds: nowSeconds() });
  }

  /** Waits for the next receipt and checks it. */
  async receipt(options: { timeoutMs?: number } = {}): Promise<DeviceReceipt> {
    const message = await poll("a receipt", () => this.receipts.shift(), options);
    return await readDeviceReceipt(message, { deviceId: this.deviceId, key: this.#key });
  }

  /** Disconnects. */
  async close(): Promise<void> {
    await this.#client.endAsync(!this.connected);
  }

  async #subscribe(topics: boolean | readonly string[]): Promise<void> {
    if (topics === false) return;
    const own = [responseTopic, commandTopic, receiptTopic].map((of) => of(this.deviceId));
    await this.#client.subscribeAsync(topics === true ? own : [...topics], { qos: 1 });
  }

  #hear(topic: string, bytes: Uint8Array, properties: ResponseProperties = {}): void {
    if (topic === commandTopic(this.deviceId)) return void this.#commands.push(bytes);
    if (topic === receiptTopic(this.deviceId)) return void this.receipts.push(bytes);
    const { correlationData, userProperties = {} } = properties;
    this.responses.push({
      messageId: text(correlationData ?? new Uint8Array()),
      status: String(userProperties["status"] ?? ""),
      userProperties,
      bytes,
      text: text(bytes),
    });
  }
}

/** The contents of a device's folder; certificates and key as PEM texts. */
export interface DeviceIdentity {
  readonly deviceId: string;
  readonly secret: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

interface ResponseProperties {
  readonly correlationData?: Uint8Array;
  readonly userProperties?: Readonly<Record<string, unknown>>;
}

async function readIdentity(folder: string): Promise<DeviceIdentity> {
  const read = (name: keyof typeof DEVICE_FILES) => readText(`${folder}/${DEVICE_FILES[name]}`);
  return {
    deviceId: JSON.parse(await read("description")).device_id,
    secret: await read("secret"),
    ca: await read("ca"),
    certificate: await read("certificate"),
    key: await read("key"),
  };
}

function clientOptions(identity: DeviceIdentity, options: ConnectOptions): IClientOptions {
  const { host = "localhost", port, protocolVersion = 5, clientCertificate = identity } = options;
  const { sessionExpirySeconds } = options;
  return {
    protocol: "mqtts",
    host,
    port,
    ca: identity.ca,
    ...(clientCertificate &&
      { cert: clientCertificate.certificate, key: clientCertificate.key }),
    protocolVersion,
    clientId: options.clientId ?? identity.deviceId,
    clean: sessionExpirySeconds === undefined,
    ...(sessionExpirySeconds !== undefined &&
      { properties: { sessionExpiryInterval: sessionExpirySeconds } }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    timerVariant: "native",
  };
}

/** Resolves when the broker has taken the client in; rejects with the first thing that goes wrong. */
function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.on("connect", () => {
      // Without it a round trip waits 40 ms for Nagle and the delayed ACK to meet.
      (client.stream as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true);
      resolve();
    });
    client.on("error", reject);
    client.on("close", () => reject(new Error("the broker closed the connection")));
  });
}

function nowSeconds(): number {
  return secondsOf(Date.now());
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
