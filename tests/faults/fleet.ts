/** Devices that send all the time, and somebody who sends what they have sent once more. */

import type { LiveSite } from "../support/live_site.ts";
import type { Named, SentMessage } from "./checker.ts";
import { DeviceLink } from "./device_link.ts";
import { Dice } from "./dice.ts";
import { type DeviceHabits, FleetDevice } from "./fleet_device.ts";

/** What a fleet is like. */
export interface FleetOptions extends Partial<Omit<DeviceHabits, "port" | "dice">> {
  readonly seed: number;
  readonly devices: number;
  /** False: nothing is sent to deceive. */
  readonly attacked?: boolean;
}

/** Where devices are registered, and where their broker listens. */
interface FleetSite extends Pick<LiveSite, "register"> {
  readonly config: { readonly devices: { readonly port: number } };
}

/** What a device keeps it sends again on every connection: more would fill the broker's queues. */
const HABITS = { everyMs: 50, unansweredMax: 250, replayEvery: 8, resends: true };

/** Milliseconds between two messages of the attacker. */
const ATTACK_EVERY_MS = 40;

/** A fleet and its attacker. */
export class Fleet {
  readonly devices: FleetDevice[];
  readonly #attacker: Attacker | undefined;
  readonly #dice: Dice;

  private constructor(devices: FleetDevice[], attacker: Attacker | undefined, dice: Dice) {
    this.devices = devices;
    this.#attacker = attacker;
    this.#dice = dice;
  }

  /** Registers devices at a site whose broker runs, and sets them going. */
  static async start(site: FleetSite, options: FleetOptions): Promise<Fleet> {
    const { seed, devices: count, attacked = true, ...habits } = options;
    const { port } = site.config.devices;
    const devices: FleetDevice[] = [];
    for (let i = 0; i < count; i++) {
      const folder = await site.register(`device_${i}`);
      const dice = new Dice(seed + i);
      const behaviour = { ...HABITS, ...habits, port, dice, ...(!attacked && { replayEvery: 0 }) };
      devices.push(await FleetDevice.start(folder, behaviour));
    }
    const dice = new Dice(seed + count);
    if (!attacked) return new Fleet(devices, undefined, dice);
    const attacker = await Attacker.start(await site.register("mallory"), devices, { port, dice });
    return new Fleet(devices, attacker, new Dice(seed + count + 1));
  }

  /** One more device, with habits of its own. */
  async join(site: LiveSite, deviceId: string, habits: DeviceHabits): Promise<FleetDevice> {
    const device = await FleetDevice.start(await site.register(deviceId), habits);
    this.devices.push(device);
    return device;
  }

  /** Everything that the devices have sent, as they know it. */
  get sent(): SentMessage[] {
    return this.devices.flatMap(({ sent }) => sent);
  }

  /** Every copy that was sent to deceive. */
  get replays(): Named[] {
    const attacks = this.#attacker?.replays ?? [];
    return [...attacks, ...this.devices.flatMap(({ replays }) => replays)];
  }

  /** Copies that good firmware sent again. */
  get resent(): number {
    return this.devices.reduce((sum, { resent }) => sum + resent, 0);
  }

  get unanswered(): number {
    return this.devices.reduce((sum, { unanswered }) => sum + unanswered, 0);
  }

  get wrongAnswers(): number {
    return this.devices.reduce((sum, { wrongAnswers }) => sum + wrongAnswers, 0);
  }

  /** Breaks off the connection of one device. */
  dropOne(): void {
    this.#dice.pick(this.devices).link.drop();
  }

  /** The broker has died. */
  doubt(): void {
    for (const device of this.devices) device.doubt();
  }

  /** All stay away from the broker until `release`. */
  hold(): void {
    for (const { link } of this.devices) link.hold();
  }

  release(): void {
    for (const { link } of this.devices) link.release();
  }

  /** No more new messages, and no more attacks. */
  async quiet(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.quiet()));
    await this.#attacker?.close();
  }

  async close(): Promise<void> {
    await this.quiet();
    await Promise.all(this.devices.map((device) => device.close()));
  }
}

/** A registered device that turned bad: it sends what others have sent, as its own and as theirs. */
class Attacker {
  readonly replays: Named[] = [];
  readonly #link: DeviceLink;
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(link: DeviceLink, victims: readonly FleetDevice[], dice: Dice) {
    this.#link = link;
    this.#timer = setInterval(() => {
      const { captured } = dice.pick(victims);
      if (captured.length === 0 || link.connection === undefined) return;
      const { deviceId, messageId, text } = dice.pick(captured);
      const stolen = dice.below(2) === 0;
      this.replays.push({ deviceId, messageId });
      link.publish(stolen ? text : text.replaceAll(deviceId, link.deviceId));
    }, ATTACK_EVERY_MS);
  }

  static async start(
    folder: string,
    victims: readonly FleetDevice[],
    options: { port: number; dice: Dice },
  ): Promise<Attacker> {
    const link = await DeviceLink.open(folder, () => {}, options);
    return new Attacker(link, victims, options.dice);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#link.close();
  }
}
