/** Everything that plays in the demo: a temporary site, and the programs around it. */

import { join } from "node:path";
import { ignoreMissing } from "../../site/exists.ts";
import { deviceFolder, type SiteLayout, siteLayout } from "../../site/layout.ts";
import { ApiClient } from "../../client/api_client.ts";
import { BrokerProcess } from "./broker_process.ts";
import { ChildProcess } from "./child_process.ts";
import { PortBlock } from "./free_ports.ts";
import { GatewayProcess, programCommand } from "./gateway_process.ts";
import { type Reading, SampleBackend } from "./sample_backend.ts";
import { DeviceClient } from "../../client/device_client.ts";
import { poll } from "../../time/poll.ts";

/** The ports that the programs listen on. */
interface SandboxPorts {
  readonly mqtt: number;
  readonly gateway: number;
  readonly api: number;
  readonly backend: number;
}

const LAST_LINES = 5;

/** One sandbox; each part is there after its `start…`. */
export class Sandbox {
  readonly layout: SiteLayout;
  readonly ports: SandboxPorts;
  readonly #folder: string;
  readonly #portBlock = PortBlock.reserve();
  #broker: BrokerProcess | undefined;
  #gateway: GatewayProcess | undefined;
  #backend: SampleBackend | undefined;
  #client: ApiClient | undefined;
  readonly #devices = new Map<string, DeviceClient>();
  #closed = false;

  private constructor(folder: string) {
    const [mqtt, gateway, api, backend] = this.#portBlock.take(4) as [
      number,
      number,
      number,
      number,
    ];
    this.ports = { mqtt, gateway, api, backend };
    this.#folder = folder;
    this.layout = siteLayout(join(folder, "site"));
  }

  /** An empty sandbox in a temporary folder. */
  static async open(): Promise<Sandbox> {
    const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-demo-" });
    // The broker's own user must get through; what is secret in a site is closed by itself.
    await Deno.chmod(folder, 0o755);
    return new Sandbox(folder);
  }

  /** Ends everything and removes the folder; may be called at any time, and again. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.closeDevices();
    await this.#backend?.stop();
    await this.#gateway?.stop();
    await this.#broker?.stop();
    this.#client?.close();
    this.#client = undefined;
    await ChildProcess.killAll();
    this.#portBlock.close();
    await Deno.remove(this.#folder, { recursive: true }).catch(ignoreMissing);
  }

  /** The arguments of the `init` that makes this site, without the folder. */
  get initArguments(): string[] {
    const { mqtt, gateway, api, backend } = this.ports;
    return [
      ...["init", "--backend", `http://127.0.0.1:${backend}`],
      ...["--mqtt-port", `${mqtt}`, "--gateway-port", `${gateway}`, "--api-port", `${api}`],
    ];
  }

  /** The last lines that the gateway and the broker wrote, for diagnosing a failure. */
  get lastWords(): Readonly<Record<string, string>> {
    const lastLines = (log = "") => log.trimEnd().split("\n").slice(-LAST_LINES).join("\n");
    return { gateway: lastLines(this.#gateway?.log()), broker: lastLines(this.#broker?.log()) };
  }

  /** Runs the program to its end; returns its stdout. */
  async run(...args: string[]): Promise<string> {
    this.#open();
    return await ChildProcess.run(programCommand(...args));
  }

  /** Starts Mosquitto with the site's configuration. */
  async startBroker(): Promise<void> {
    this.#open();
    this.#broker = await BrokerProcess.start(this.layout.brokerConfiguration);
  }

  /** Starts the gateway, again if it ran before. */
  async startGateway(): Promise<void> {
    this.#open();
    this.#gateway = await GatewayProcess.start(this.layout.directory);
    const { apiKey, gatewayCa: { certificate: authority } } = this.layout;
    this.#client ??= await ApiClient.open({ port: this.ports.api, apiKey, authority });
  }

  /** Starts the backend, again if it ran before: with nothing received. */
  startBackend(): void {
    this.#open();
    this.#backend = SampleBackend.start({ port: this.ports.backend });
  }

  /** Connects a registered device. */
  async connect(deviceId: string): Promise<DeviceClient> {
    this.#open();
    const { directory } = deviceFolder(this.layout, deviceId);
    const device = await DeviceClient.connect(directory, { port: this.ports.mqtt });
    this.#devices.set(deviceId, device);
    return device;
  }

  /** Disconnects one device. */
  async disconnect(deviceId: string): Promise<void> {
    await this.device(deviceId).close();
    this.#devices.delete(deviceId);
  }

  /** Disconnects every device. */
  async closeDevices(): Promise<void> {
    for (const device of this.#devices.values()) await device.close();
    this.#devices.clear();
  }

  get broker(): BrokerProcess {
    return standing(this.#broker);
  }

  get gateway(): GatewayProcess {
    return standing(this.#gateway);
  }

  get backend(): SampleBackend {
    return standing(this.#backend);
  }

  get client(): ApiClient {
    return standing(this.#client);
  }

  /** Waits until the backend has a message. */
  readingAt(messageId: string): Promise<Reading> {
    const arrived = () => this.backend.received.find((one) => one.messageId === messageId);
    return poll(`message ${messageId} at the backend`, arrived);
  }

  /** A connected device. */
  device(deviceId: string): DeviceClient {
    return standing(this.#devices.get(deviceId));
  }

  #open(): void {
    if (this.#closed) throw new Error("The sandbox is closed");
  }
}

function standing<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error("It is not in the sandbox yet");
  return thing;
}
