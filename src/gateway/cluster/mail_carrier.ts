/** Publishes at this gateway's broker what the others ask for, and says what became of it. */

import { copyOutcomeOf } from "../../core/copy_outcome.ts";
import type { Emit } from "../../core/event.ts";
import type { Broker, NodeStore, TakenMail } from "../../core/ports.ts";

/** How often it looks without being told: what was told may have been missed. */
const LOOK_EVERY_MS = 5_000;

/** What it works with. */
interface CarrierParts {
  readonly nodes: Pick<NodeStore, "takeMail" | "concludeMail">;
  readonly broker: Pick<Broker, "isConnected" | "publish">;
  readonly emit: Emit;
}

/** The carrier. */
export class MailCarrier {
  readonly #parts: CarrierParts;
  readonly #timer: ReturnType<typeof setInterval>;
  #work: Promise<void> | undefined;
  #isDue = false;
  #isClosed = false;

  constructor(parts: CarrierParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.wake(), LOOK_EVERY_MS);
  }

  /** There may be mail. */
  wake(): void {
    this.#isDue = true;
    if (this.#isClosed) return;
    this.#work ??= this.#carry().finally(() => {
      this.#work = undefined;
      if (this.#isDue) this.wake();
    });
  }

  /** Takes no more; resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#work;
  }

  async #carry(): Promise<void> {
    const { nodes, broker } = this.#parts;
    this.#isDue = false;
    while (broker.isConnected && !this.#isClosed) {
      const mail = await nodes.takeMail().catch(() => []); // the store's fault, which is reported
      if (mail.length === 0) return;
      await Promise.all(mail.map((one) => this.#publish(one)));
    }
  }

  async #publish({ number, mail }: TakenMail): Promise<void> {
    const { nodes, broker, emit } = this.#parts;
    if (mail === undefined) emit({ kind: "mail_refused", number });
    const outcome = mail === undefined
      ? "unsent"
      : copyOutcomeOf(await broker.publish(mail.topic, mail.body, mail.properties));
    await nodes.concludeMail(number, outcome).catch(() => {}); // who waits hears nothing in time
  }
}
