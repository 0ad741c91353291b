/** Two gateways with a broker each, on a pair of PostgreSQL servers, in a temporary folder. */

import { join } from "node:path";
import { ApiClient } from "../../client/api_client.ts";
import { DeviceClient } from "../../client/device_client.ts";
import { withSetting } from "../../config/toml_edit.ts";
import { poll } from "../../time/poll.ts";
import { ignoreMissing } from "../../site/exists.ts";
import { deviceFolder, type SiteLayout, siteLayout } from "../../site/layout.ts";
import { BrokerProcess } from "./broker_process.ts";
import { ChildProcess } from "./child_process.ts";
import { PortBlock } from "./free_ports.ts";
import { GatewayProcess, programCommand } from "./gateway_process.ts";
import { PostgresPair } from "./postgres_pair.ts";
import { type Reading, SampleBackend } from "./sample_backend.ts";

/** One gateway's ports. */
interface NodePorts {
  readonly mqtt: number;
  readonly gateway: number;
  readonly api: number;
}

/** Short, so that the story need not wait long. */
const LEASE = "3s";

const LAST_LINES = 5;

/** One gateway with its broker. */
class SandboxNode {
  readonly name: string;
  readonly layout: SiteLayout;
  readonly ports: NodePorts;
  /** The site that has the API key and the devices' folders. */
  readonly #site: SiteLayout;
  #broker: BrokerProcess | undefined;
  #gateway: GatewayProcess | undefined;
  #follower: ChildProcess | undefined;
  #client: ApiClient | undefined;

  constructor(name: string, parts: { layout: SiteLayout; ports: NodePorts; site: SiteLayout }) {
    this.name = name;
    this.layout = parts.layout;
    this.ports = parts.ports;
    this.#site = parts.site;
  }

  /** Starts what does not run. */
  async start(): Promise<void> {
    this.#broker ??= await BrokerProcess.start(this.layout.brokerConfiguration);
    // Beside the broker of a site's own, the commands give it its lists themselves.
    if (this.layout !== this.#site) {
      const { directory } = this.layout;
      this.#follower ??= new ChildProcess(programCommand("lists", "follow", "--dir", directory));
    }
    this.#gateway = await GatewayProcess.start(this.layout.directory);
    const { apiKey, gatewayCa: { certificate: authority } } = this.#site;
    this.#client ??= await ApiClient.open({ port: this.ports.api, apiKey, authority });
  }

  /** Ends the gateway as kill -9 does; resolves to the signal that ended it. */
  async kill(): Promise<string | null> {
    this.#gateway!.kill("SIGKILL");
    return (await this.#gateway!.exited).signal;
  }

  get client(): ApiClient {
    return this.#client!;
  }

  /** A metric's value. */
  async metric(name: string): Promise<number> {
    return await this.client.metric(`secure_iot_gateway_${name}`);
  }

  /** Connects a device to this gateway's broker. */
  async connect(deviceId: string): Promise<DeviceClient> {
    const { directory } = deviceFolder(this.#site, deviceId);
    return await DeviceClient.connect(directory, { port: this.ports.mqtt });
  }

  /** What the gateway has written last. */
  get lastWords(): string {
    return (this.#gateway?.log() ?? "").trimEnd().split("\n").slice(-LAST_LINES).join("\n");
  }

  async close(): Promise<void> {
    this.#client?.close();
    await this.#follower?.stop();
    await this.#gateway?.stop();
    await this.#broker?.stop();
  }
}

/** All of it; each part is there after its step. */
export class NodesSandbox {
  readonly a: SandboxNode;
  readonly b: SandboxNode;
  readonly devices: DeviceClient[] = [];
  readonly backend: SampleBackend;
  readonly #folder: string;
  readonly #portBlock: PortBlock;
  #postgres: PostgresPair | undefined;

  private constructor(folder: string, portBlock: PortBlock) {
    this.#folder = folder;
    this.#portBlock = portBlock;
    this.backend = SampleBackend.start();
    const site = siteLayout(join(folder, "site"));
    const portsOf = (): NodePorts => {
      const [mqtt, gateway, api] = portBlock.take(3) as [number, number, number];
      return { mqtt, gateway, api };
    };
    const layout = siteLayout(join(site.directory, "nodes", "b"));
    this.a = new SandboxNode("a", { layout: site, ports: portsOf(), site });
    this.b = new SandboxNode("b", { layout, ports: portsOf(), site });
  }

  /** An empty sandbox. */
  static async open(): Promise<NodesSandbox> {
    const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-demo-" });
    await Deno.chmod(folder, 0o755); // the users of broker and database must get through
    return new NodesSandbox(folder, PortBlock.reserve());
  }

  /** Makes the servers: a primary, and a standby that has everything before it is committed. */
  async startPostgres(): Promise<void> {
    const ports = this.#portBlock.take(2) as [number, number];
    const settings = ["log_min_messages = panic", "wal_receiver_status_interval = 1s"];
    this.#postgres = await PostgresPair.create({ folder: this.#folder, ports, settings });
  }

  get postgres(): PostgresPair {
    return this.#postgres!;
  }

  /** Runs the program to its end; returns its stdout. */
  async run(...args: string[]): Promise<string> {
    return await ChildProcess.run(programCommand(...args, "--dir", this.a.layout.directory));
  }

  /** The arguments that make the site, without the folder. */
  get initArguments(): string[] {
    const { mqtt, gateway, api } = this.a.ports;
    return [
      ...["init", "--backend", this.backend.url, "--mqtt-port", `${mqtt}`],
      ...["--gateway-port", `${gateway}`, "--api-port", `${api}`],
    ];
  }

  /** Those that make the second gateway's folder. */
  get nodeArguments(): string[] {
    const { mqtt, gateway, api } = this.b.ports;
    return [
      ...["node", "add", "b", "--mqtt-port", `${mqtt}`, "--gateway-port", `${gateway}`],
      ...["--api-port", `${api}`],
    ];
  }

  /** Puts the site's store into PostgreSQL; returns the lines that this takes. */
  async configure(): Promise<string[]> {
    const { configuration } = this.a.layout;
    const changes = [
      { section: "store", key: "engine", value: "postgres" },
      { section: "store", key: "url", value: this.postgres.url },
      { section: "node", key: "name", value: "a" },
      { section: "node", key: "lease", value: LEASE },
    ];
    const toml = changes.reduce(withSetting, await Deno.readTextFile(configuration));
    await Deno.writeTextFile(configuration, toml);
    return changes.map(({ section, key, value }) => `${section}.${key} = "${value}"`);
  }

  /** Waits until the backend has a message. */
  async readingAt(messageId: string): Promise<Reading> {
    const arrived = () => this.backend.received.find((one) => one.messageId === messageId);
    return await poll(`message ${messageId} at the backend`, arrived, { timeoutMs: 20_000 });
  }

  /** The last lines of both gateways, for diagnosing a failure. */
  get lastWords(): Readonly<Record<string, string>> {
    return { "gateway a": this.a.lastWords, "gateway b": this.b.lastWords };
  }

  /** Ends everything and removes the folder; may be called at any time. */
  async close(): Promise<void> {
    for (const device of this.devices) await device.close();
    await this.backend.stop();
    await Promise.all([this.a.close(), this.b.close()]);
    await this.#postgres?.end();
    await ChildProcess.killAll();
    this.#portBlock.close();
    await Deno.remove(this.#folder, { recursive: true }).catch(ignoreMissing);
  }
}
