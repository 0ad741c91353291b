/** How much is measured: as much as the targets name, or just enough to see that it still works. */

/** The amounts. */
export interface Scale {
  /** Interleaved repetitions where two things are compared. */
  readonly rounds: number;
  /** Devices that publish at once, and the messages of a burst. */
  readonly devices: number;
  readonly messages: number;
  /** How many gateways share a store. */
  readonly clusterNodes: readonly number[];
  /** Devices that the larger registry has. */
  readonly registered: number;
  /** Ids that the larger memory has, and the one at which a start is timed. */
  readonly rememberedIds: number;
  readonly rememberedAtStart: number;
  readonly starts: number;
  /** Entries of the backlog that is drained. */
  readonly backlog: number;
  /** Devices whose readings wait for a far backend, and how many readings: few and many. */
  readonly farDevices: readonly [few: number, many: number];
  readonly farReadings: readonly [few: number, many: number];
  /** The same in batches. */
  readonly farBatched: number;
  /** A steady flow: devices, messages a second, for how long. */
  readonly steadyDevices: number;
  readonly steadyPerSecond: number;
  readonly steadySeconds: number;
  /** Devices that send once a minute: three numbers of them, rising, and for how long. */
  readonly slowDevices: readonly [few: number, many: number, more: number];
  readonly slowMinutes: number;
  readonly overloadMinutes: number;
  /** Commands beside the steady flow: devices that take them, and how many a second. */
  readonly commandDevices: number;
  readonly commandsPerSecond: number;
  /** Commands that wait, each for a device of its own, and for how long. */
  readonly commandsWaiting: number;
  readonly waitingSeconds: number;
}

/** What the targets name. */
export const FULL: Scale = {
  rounds: 3,
  devices: 50,
  messages: 50_000,
  clusterNodes: [1, 2, 3],
  registered: 10_000,
  rememberedIds: 5_000_000,
  rememberedAtStart: 1_000_000,
  starts: 8,
  backlog: 100_000,
  farDevices: [50, 1_000],
  farReadings: [5_000, 20_000],
  farBatched: 40_000,
  steadyDevices: 20,
  steadyPerSecond: 200,
  steadySeconds: 30,
  slowDevices: [1_000, 11_000, 21_000],
  slowMinutes: 3,
  overloadMinutes: 10,
  commandDevices: 200,
  commandsPerSecond: 200,
  commandsWaiting: 10_000,
  waitingSeconds: 180,
};

/** A few seconds; its figures say nothing. */
export const SHORT: Scale = {
  rounds: 1,
  devices: 2,
  messages: 100,
  clusterNodes: [2],
  registered: 100,
  rememberedIds: 5_000,
  rememberedAtStart: 1_000,
  starts: 1,
  backlog: 100,
  farDevices: [2, 4],
  farReadings: [8, 8],
  farBatched: 1_000,
  steadyDevices: 2,
  steadyPerSecond: 50,
  steadySeconds: 0.4,
  slowDevices: [10, 20, 30],
  slowMinutes: 0.005,
  overloadMinutes: 0.005,
  commandDevices: 2,
  commandsPerSecond: 20,
  commandsWaiting: 50,
  waitingSeconds: 1,
};
