/**
 * SecureIoTGateway: the device's side of the protocol, version 1. One module for Node, Deno and
 * browsers.
 *
 * SPDX-License-Identifier: MIT
 *
 * What it does: signs readings and keeps them until the gateway has them, opens commands, receipts
 * and responses, acknowledges commands, takes the clock from a receipt. What it leaves to you: MQTT,
 * TLS and storage. It knows no time but the `uptime` you give it: seconds since the start, from a
 * clock that never steps, as `Math.floor(performance.now() / 1000)`.
 */

const TOLERANCE = 300;
/** The first time that has ten digits: a number in JSON does not begin with 0. */
const EARLIEST = 1_000_000_000;
const FIRST_WAIT = 30;
const LONGEST_WAIT = 900;
const STUCK_WAIT = 3600;
const CLOCK_PAUSE = 60;
const SEVEN_DAYS = 604_800;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NIL_ID = "00000000-0000-0000-0000-000000000000";
/** The form in which the gateway writes a command and a receipt, to the byte. */
const MESSAGE =
  /^\{"timestamp":(\d{10}),"message_id":"(.{36})","payload":(.+),"signature":"([0-9a-f]{64})"\}$/is;
/** What a device says of a command, in the only order in which it may. */
const STATES = ["received", "running", "done", "refused", "failed"];

const UTF_8 = new TextEncoder();

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const bytesOf = (digits) => Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));

const join = async (parts) => new Uint8Array(await new Blob(parts).arrayBuffer());

/** The text of a message in UTF-8, or `null` for bytes that are none. */
function textOf(message) {
  if (typeof message === "string") return message;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(message);
  } catch {
    return null;
  }
}

/** Whether `text` is JSON that may stand in a message as it is. */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * What is kept over a restart. This one keeps it in memory: for a first try, and as an example.
 * Each method may be asynchronous; one that throws leaves the device as it was.
 */
export class MemoryStore {
  #readings = [];
  #commands = new Map();

  /** Adds a reading to the queue: `{ id, payload }`. */
  append(reading) {
    this.#readings.push(reading);
  }

  /** The oldest reading, or `undefined`. */
  front() {
    return this.#readings[0];
  }

  /** Forgets the oldest reading. */
  drop() {
    this.#readings.shift();
  }

  /** The commands that are remembered: `{ id, timestamp, state, acknowledgement }`, any order. */
  commands() {
    return [...this.#commands.values()];
  }

  /** Keeps what is known of one command, before it is acted on. */
  keep(command) {
    this.#commands.set(command.id, command);
  }

  /** Forgets a command that cannot come again. */
  forget(command) {
    this.#commands.delete(command.id);
  }
}

/**
 * A device: its id, its secret and what it keeps. All times are whole seconds. Call one method at
 * a time: wait for its promise before the next.
 */
export class Device {
  #id;
  #key;
  #store;
  #knownMost;
  #knownSeconds;
  #known = null;
  /** Unix time when `uptime` was 0. */
  #clockAtStart = null;
  /** Newest time that the gateway signed: the clock is never set back behind it. */
  #newest = 0;
  #clockSetAt = -Infinity;
  /** The message in flight: `{ id, signedAt, due, tries }`. */
  #inFlight = null;

  /**
   * @param {string} id
   * @param {string} secret the text in the file `secret`
   * @param {MemoryStore} store
   * @param {{ knownMost?: number, knownSeconds?: number }} limits no more commands than `knownMost`
   *   within `knownSeconds`, which is the longest TTL that your backend gives
   */
  constructor(id, secret, store, { knownMost = 1000, knownSeconds = SEVEN_DAYS } = {}) {
    this.#id = id;
    this.#store = store;
    this.#knownMost = knownMost;
    this.#knownSeconds = knownSeconds;
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    this.#key = crypto.subtle.importKey("raw", UTF_8.encode(secret), algorithm, false, ["sign"]);
  }

  /** Sets the clock from a source you trust: Unix seconds now. */
  setClock(uptime, now) {
    this.#clockAtStart = now - uptime;
  }

  /** Unix seconds now. While no clock is known, and before 2001: `EARLIEST`. */
  now(uptime) {
    return Math.max((this.#clockAtStart ?? 0) + uptime, EARLIEST);
  }

  /** Puts a reading into the queue: JSON text, as it is to reach the backend. Returns its id. */
  async enqueue(payload) {
    if (!isJson(payload)) throw new TypeError("the payload is not JSON text");
    const random = crypto.getRandomValues(new Uint8Array(10));
    random[6] = 0x40 | (random[6] & 0x0f); // version 4 (RFC 9562)
    random[8] = 0x80 | (random[8] & 0x3f); // variant 1
    const digits = hex(random) + await this.#idCode(random);
    const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    await this.#store.append({ id, payload });
    return id;
  }

  /** Call it after each connect, once the topics are subscribed: what is in flight goes again. */
  connected(uptime) {
    if (this.#inFlight && this.#inFlight.due - uptime < STUCK_WAIT / 2) this.#inFlight.due = uptime;
  }

  /**
   * The next message to publish on `device/{id}/data` with QoS 1, or `null`. Call it each second
   * while connected: the reading goes again until a receipt or a response ends it.
   */
  async next(uptime) {
    if (this.#inFlight && uptime < this.#inFlight.due) return null;
    const reading = await this.#store.front();
    if (!reading) return null;
    const now = this.now(uptime);
    if (this.#inFlight?.id !== reading.id) {
      this.#inFlight = { id: reading.id, signedAt: now, due: uptime, tries: 0 };
    } else if (Math.abs(now - this.#inFlight.signedAt) > TOLERANCE - FIRST_WAIT) {
      this.#inFlight.signedAt = now; // the same bytes again while they are in range; then signed again
    }
    this.#wait(uptime);
    return this.#signed("", this.#inFlight.signedAt, reading.id, reading.payload);
  }

  /**
   * Takes what came on `device/{id}/receipt`. `fate` says what became of the message in flight:
   * `"ended"`, `"again"` (by itself: the clock was put right, or it goes too fast) or `"stuck"`
   * (goes again in an hour: secret, id or payload is wrong; say so), if it is `"ok"`; otherwise
   * `result` is `"other"`, `"forged"` or `"malformed"`.
   */
  async receipt(uptime, message) {
    const receipt = await this.#open("receipt:", message);
    if (receipt.result !== "ok") return receipt;
    const nil = receipt.messageId === NIL_ID && this.#inFlight !== null;
    if (!nil && !this.#isInFlight(receipt.messageId)) return { ...receipt, result: "other" };
    const fate = this.#follow(uptime, receipt);
    this.#newest = Math.max(this.#newest, receipt.timestamp);
    if (fate === "ended") await this.#settle();
    return { ...receipt, fate };
  }

  /**
   * Takes what came on `device/{id}/response` by MQTT 5, with its User Properties. `result` is
   * `"ok"` when the reading is delivered and left the queue. By MQTT 3.1.1 nothing pairs a response
   * with its reading: do not call this, and let the gateway's operator set receipts.send = "all".
   */
  async response({ message_id, status, timestamp, signature }, body) {
    const fields = [message_id, status, timestamp, signature].map(String);
    const forms = [ID, /^\d{3}$/, /^\d{10}$/, /^[0-9a-f]{64}$/i];
    if (!forms.every((form, place) => form.test(fields[place]))) return { result: "malformed" };
    const bytes = typeof body === "string" ? UTF_8.encode(body) : body;
    const head = `response:${this.#id}${timestamp}${message_id}${status}`;
    if (!await this.#verifies([UTF_8.encode(head), bytes], signature)) return { result: "forged" };
    this.#newest = Math.max(this.#newest, Number(timestamp));
    if (!this.#isInFlight(message_id)) return { result: "other" };
    await this.#settle();
    return { result: "ok" };
  }

  /**
   * Opens what came on `device/{id}/command`. With `result: "ok"` its id is kept: act on `payload`,
   * JSON text, now and once. With `"repeated"` do nothing, and publish `acknowledgement` again, if
   * there is one. Drop all others: `"forged"`, `"malformed"`, `"stale"`, `"no_clock"`, `"full"`.
   */
  async command(uptime, message) {
    const command = await this.#open("", message);
    if (command.result !== "ok") return command;
    const { timestamp, payload } = command;
    const id = command.messageId.toLowerCase();
    const digits = id.replaceAll("-", "");
    const isOwn = await this.#idCode(bytesOf(digits.slice(0, 20))) === digits.slice(20);
    if (isOwn) return { result: "forged" }; // our own reading, sent back
    const known = await this.#commands();
    const before = known.get(id);
    if (before) {
      const newest = Math.max(before.timestamp, timestamp);
      await this.#keep({ ...before, timestamp: newest });
      return {
        ...command,
        result: "repeated",
        state: before.state,
        acknowledgement: await this.#acknowledgementOf(uptime, before),
      };
    }
    if (this.#clockAtStart === null) return { result: "no_clock" };
    const now = this.now(uptime);
    if (Math.abs(now - timestamp) > TOLERANCE) return { result: "stale" };
    if (!await this.#makeRoom(now)) return { result: "full" };
    await this.#keep({ id, timestamp, state: "", acknowledgement: "" });
    return { ...command, payload };
  }

  /**
   * An acknowledgement for `device/{id}/ack`, QoS 1. `state` is `"received"`, `"running"`,
   * `"done"`, `"failed"` or `"refused"`; `result` is JSON text.
   */
  async acknowledge(uptime, messageId, state, { result, reason } = {}) {
    if (!STATES.includes(state) || !ID.test(messageId)) throw new TypeError("no such state or id");
    if (result !== undefined && !isJson(result)) throw new TypeError("the result is not JSON text");
    const parts = [`"state":"${state}"`];
    if (result !== undefined) parts.push(`"result":${result}`);
    if (reason !== undefined) parts.push(`"reason":${JSON.stringify(reason)}`);
    const acknowledgement = `{${parts.join()}}`;
    const known = (await this.#commands()).get(messageId.toLowerCase());
    if (known && STATES.indexOf(known.state) < STATES.indexOf(state)) {
      await this.#keep({ ...known, state, acknowledgement });
    }
    return this.#signed("ack:", this.now(uptime), messageId, acknowledgement);
  }

  async #acknowledgementOf(uptime, { id, acknowledgement }) {
    if (acknowledgement === "") return undefined;
    return await this.#signed("ack:", this.now(uptime), id, acknowledgement);
  }

  #wait(uptime) {
    const { tries } = this.#inFlight;
    this.#inFlight.due = uptime + Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT);
    this.#inFlight.tries = Math.min(tries + 1, 5);
  }

  #isInFlight(id) {
    return this.#inFlight?.id === id.toLowerCase();
  }

  async #settle() {
    await this.#store.drop();
    this.#inFlight = null;
  }

  /** What a receipt means for the message in flight. */
  #follow(uptime, { payload, timestamp }) {
    const { result, code } = JSON.parse(payload);
    if (result === "delivered" || result === "dead" || code === "replayed") return "ended";
    if (code === "timestamp_out_of_range") {
      this.#takeClock(uptime, timestamp);
      return "again";
    }
    if (code === "rate_limited") {
      this.#wait(uptime);
      return "again";
    }
    this.#inFlight.due = uptime + STUCK_WAIT;
    return "stuck";
  }

  /** The clock from a receipt about the message in flight: its id was new, so the answer is, too. */
  #takeClock(uptime, timestamp) {
    if (timestamp < this.#newest) return;
    if (uptime - this.#clockSetAt < CLOCK_PAUSE) {
      this.#inFlight.due = this.#clockSetAt + CLOCK_PAUSE;
    } else {
      this.#clockSetAt = uptime;
      this.setClock(uptime, timestamp);
      this.#inFlight.due = uptime;
    }
    this.#inFlight.signedAt = -Infinity; // signed again
  }

  async #commands() {
    this.#known ??= new Map((await this.#store.commands()).map((one) => [one.id, one]));
    return this.#known;
  }

  async #keep(command) {
    await this.#store.keep(command);
    (await this.#commands()).set(command.id, command);
  }

  /** Room for another command: the oldest goes if it cannot come again. */
  async #makeRoom(now) {
    const known = await this.#commands();
    if (known.size < this.#knownMost) return true;
    const oldest = [...known.values()].reduce((a, b) => b.timestamp < a.timestamp ? b : a);
    if (now - oldest.timestamp <= this.#knownSeconds + TOLERANCE) return false;
    await this.#store.forget(oldest);
    return known.delete(oldest.id);
  }

  /** Takes a command or a receipt apart and verifies it. */
  async #open(kind, message) {
    const text = textOf(message);
    const [, timestamp, messageId, payload, signature] = MESSAGE.exec(text ?? "") ?? [];
    if (signature === undefined || !ID.test(messageId)) return { result: "malformed" };
    const head = kind + this.#id + timestamp + messageId + payload;
    if (!await this.#verifies([UTF_8.encode(head)], signature)) return { result: "forged" };
    return { result: "ok", messageId, timestamp: Number(timestamp), payload };
  }

  async #signed(kind, seconds, messageId, payload) {
    const timestamp = String(seconds);
    const head = kind + this.#id + timestamp + messageId + payload;
    const signature = hex(await this.#hmac([UTF_8.encode(head)]));
    return `{"device_id":"${this.#id}","timestamp":${timestamp},"message_id":"${messageId}",` +
      `"payload":${payload},"signature":"${signature}"}`;
  }

  async #hmac(parts) {
    return new Uint8Array(await crypto.subtle.sign("HMAC", await this.#key, await join(parts)));
  }

  /** Compared in constant time. */
  async #verifies(parts, signature) {
    const expected = await this.#hmac(parts);
    return bytesOf(signature).reduce((differ, byte, at) => differ | (byte ^ expected[at]), 0) === 0;
  }

  /**
   * An id of ours ends in a code over its random part, so that it is known again without a memory:
   * a reading that somebody sends back on the topic of commands is signed like one.
   */
  async #idCode(random) {
    return hex((await this.#hmac([UTF_8.encode("id:"), random])).slice(0, 6));
  }
}
