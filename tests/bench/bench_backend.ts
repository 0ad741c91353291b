/** What the gateway delivers to in the bench. */

/** A reading that the backend has answered. */
export interface ReceivedReading {
  /** Unix milliseconds. */
  readonly atMs: number;
  /** "-" where the backend was not told. */
  readonly messageId: string;
}

/** A backend that runs, in a process of its own. */
export interface BenchBackend {
  readonly port: number;
  readonly pid: number;
  /** What readings are POSTed to. */
  readonly url: string;
  /** Readings so far. */
  readings(): Promise<number>;
  /** Every reading so far, in the order in which they were answered. */
  received(): Promise<ReceivedReading[]>;
  stop(): Promise<void>;
}
