/**
 * An access probe: connects to the broker with certificates made for the purpose, and finds out what it
 * allows. What it publishes is refused, or is no message: the gateway takes none of it.
 */

import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { commandTopic, dataTopic, receiptTopic } from "../../core/topic.ts";
import type { IssuedCertificate } from "../pki/authority.ts";

/** A listener of the broker, and the authority of its certificate, as PEM text. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
}

/** What a client shows to a listener, as PEM texts. */
export type Credential = Pick<IssuedCertificate, "certificatePem" | "keyPem">;

/** What a client that got in may do. */
export interface Access {
  /** True if it may publish to its own data topic. */
  readonly canPublish: boolean;
  /** True if it may publish to another device's. */
  readonly canPublishAsOthers: boolean;
  /** True if it receives anything that is sent to it. */
  readonly canReceive: boolean;
  /** True if it receives its receipts; false with the access lists of an older site. */
  readonly canReceiveReceipts: boolean;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** MQTT 5 §3.4.2.1: Not authorized. */
const NOT_AUTHORIZED = 0x87;
/** An id that no device can have: device ids do not begin with an underscore. */
const NOBODY = "_nobody";

/** Why the broker does not let a certificate in, or a client without one; undefined if it does. */
export async function connectError(
  listener: Listener,
  credential: Credential | undefined,
  clientId: string,
): Promise<string | undefined> {
  try {
    await (await connect(listener, credential, clientId)).endAsync();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Connects as `clientId`, which ends any other connection of that name (MQTT 5 §3.1.4), and tries
 * what it may do; `speaker` is the gateway's listener and credential, with which it is spoken to.
 */
export async function probeAccess(
  listener: Listener,
  clientId: string,
  options: {
    readonly credential: Credential;
    readonly speaker: { readonly listener: Listener; readonly credential: Credential };
    /** False: its own data topic is left alone, since the gateway would log what comes. */
    readonly speak: boolean;
  },
): Promise<Access> {
  const { credential, speaker, speak } = options;
  const client = await connect(listener, credential, clientId);
  const gateway = await connect(speaker.listener, speaker.credential, randomClientId())
    .catch(async (error) => {
      await client.endAsync(true);
      throw error;
    });
  try {
    const received: string[] = [];
    client.on("message", (topic) => received.push(topic));
    const topics = [commandTopic(clientId), receiptTopic(clientId)];
    await client.subscribeAsync(topics, { qos: 1 });
    for (const topic of topics) await reasonOf(gateway, topic);
    // The answers to these come behind whatever the broker has sent us before.
    const canPublishAsOthers = await reasonOf(client, dataTopic(NOBODY)) !== NOT_AUTHORIZED;
    const canPublish = speak && await reasonOf(client, dataTopic(clientId)) !== NOT_AUTHORIZED;
    const canReceive = received.length > 0;
    const canReceiveReceipts = received.includes(receiptTopic(clientId));
    return { canPublish, canPublishAsOthers, canReceive, canReceiveReceipts };
  } finally {
    await Promise.all([client.endAsync(!client.connected), gateway.endAsync(!gateway.connected)]);
  }
}

/** Publishes texts by their topics, with QoS 1; what the broker refuses is left out in silence. */
export async function publishAs(
  credential: Credential,
  listener: Listener,
  texts: Readonly<Record<string, string>>,
): Promise<void> {
  const client = await connect(listener, credential, randomClientId());
  try {
    for (const [topic, text] of Object.entries(texts)) await reasonOf(client, topic, text);
  } finally {
    await client.endAsync(!client.connected);
  }
}

/** False if nothing listens there; true also if that cannot be found out. */
export async function isListening({ host: hostname, port }: Listener): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    // Any other failure leaves open whether somebody is connected.
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

async function connect(
  listener: Listener,
  credential: Credential | undefined,
  clientId: string,
): Promise<MqttClient> {
  const client = mqtt.connect(clientOptions(listener, credential, clientId));
  try {
    await new Promise<void>((resolve, reject) => {
      client.on("connect", () => resolve());
      client.on("error", reject);
      client.on("close", () => reject(new Error("the broker closed the connection")));
    });
    return client;
  } catch (error) {
    await client.endAsync(true);
    const reason = (error as Error).message || (error as { code?: string }).code;
    throw new Error(reason ?? "the connection failed");
  }
}

/** Publishes a text with QoS 1; resolves with the PUBACK's reason code. */
function reasonOf(client: MqttClient, topic: string, text = "probe"): Promise<number> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new Error("the broker closed the connection"));
    client.once("close", lost);
    client.publish(topic, text, {
      qos: 1,
      properties: { messageExpiryInterval: 1 },
    }, (error) => {
      client.off("close", lost);
      const code = error ? (error as { code?: unknown }).code : 0;
      if (typeof code === "number") resolve(code);
      else reject(error as Error);
    });
  });
}

function randomClientId(): string {
  return `probe-${crypto.randomUUID()}`;
}

function clientOptions(
  listener: Listener,
  credential: Credential | undefined,
  clientId: string,
): IClientOptions {
  return {
    protocol: "mqtts",
    host: listener.host,
    port: listener.port,
    ca: listener.ca,
    ...(credential && { cert: credential.certificatePem, key: credential.keyPem }),
    protocolVersion: 5,
    clientId,
    clean: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    timerVariant: "native",
  };
}
