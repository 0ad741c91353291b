/** `verify`: explains, check by check, why the gateway accepts a message or rejects it. */

import { faultText } from "../core/fault_text.ts";
import { DEVICE_ID_RULE, isDeviceId } from "../core/device.ts";
import type { Envelope } from "../core/envelope.ts";
import { REJECTION_CODES, type RejectionCode, rejectionSentence } from "../core/rejection.ts";
import { importSecret, sign } from "../core/signature.ts";
import { signingInput } from "../core/signing_input.ts";
import { secondsOf } from "../core/time.ts";
import { durationMs } from "../config/setting_types.ts";
import { readBounded, readOperatorFile } from "../config/operator_file.ts";
import { SETTINGS } from "../config/settings.ts";
import { readSecret } from "./secret_file.ts";
import { type MessageTrial, tryAlone, tryInSite } from "../diagnosis/message_trial.ts";
import {
  describeEarlier,
  type EarlierMessage,
  earlierMessage,
  earlierSentence,
} from "./earlier_message.ts";
import { configOf, layoutOf, withSecrets } from "./open_site.ts";
import { likelyMistakes } from "../diagnosis/explanation.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { CommandError, EXIT, type Exit, note, print, printable } from "./terminal.ts";

/** What `verify` may be told besides the device and the file. */
interface VerifyOptions extends JsonOption {
  /** Its secret is used; then a site is read only if `dir` names one. */
  readonly secretFile?: string;
  /** Unix seconds, ten digits; now if not given. */
  readonly at?: string;
  /** The message was published with the retain flag, which the file does not show. */
  readonly retained?: true;
}

/** Largest file that is taken for a message, in bytes; one over the limit is still explained. */
const FILE_MAX_BYTES = 1_048_576;

const STDIN = "-";

/**
 * Prints how the gateway judges the message in `file` (`-`: stdin) from the device's data topic:
 * the report on stdout, likely mistakes on stderr. Returns the exit code: failed if it is rejected.
 */
export async function verify(
  deviceId: string,
  file: string,
  options: VerifyOptions,
): Promise<Exit> {
  refuseWrongArguments(deviceId, options);
  const examination = await examine(deviceId, readFile(file), options);
  const { earlier } = examination;
  const hints = earlier ? [] : await likelyMistakes(examination);
  if (options.json) {
    printJson({ ...describe(examination), hints });
  } else {
    await sayReport(examination);
    for (const hint of hints) note(`hint: ${printable(hint)}`);
    if (earlier?.kind === "delivered") note(`note: ${ONLY_ID}`);
    else if (isAccepted(examination) && !earlier) note(`note: ${ONLY_BYTES}`);
  }
  return isAccepted(examination) ? EXIT.ok : EXIT.failed;
}

/** A judged message, and what became of it if the gateway has had it before. */
interface Examination extends MessageTrial {
  readonly earlier: EarlierMessage | undefined;
}

function isAccepted({ verdict, earlier }: Examination): boolean {
  return verdict.kind !== "rejected" || earlier !== undefined;
}

/** What is not known of a message that was delivered. */
const ONLY_ID = "what is delivered is known by its message_id only: a command to the device, or " +
  "another message in those minutes with the same message_id, would look the same";

/** What the file cannot show. */
const ONLY_BYTES = "the gateway also refuses what is published with the retain flag (--retained)";

function refuseWrongArguments(deviceId: string, { at }: VerifyOptions): void {
  const faults: string[] = [];
  if (!isDeviceId(deviceId)) {
    faults.push(`There is no device "${deviceId}": an id has ${DEVICE_ID_RULE}`);
  }
  if (at !== undefined && !/^[0-9]{10}$/.test(at)) {
    faults.push(`Cannot judge at "${at}": it must be ten digits of Unix seconds`);
  }
  if (faults.length > 0) throw new CommandError(faults, { exit: EXIT.usage });
}

async function examine(
  identity: string,
  bytes: Uint8Array,
  options: VerifyOptions,
): Promise<Examination> {
  const { at, secretFile } = options;
  const nowSeconds = at === undefined ? secondsOf(Date.now()) : Number(at);
  const retained = options.retained === true;
  const subject = { bytes, identity, nowSeconds, now: at === undefined, retained };
  const secret = secretFile === undefined ? undefined : readSecret(secretFile);
  if (secret !== undefined && options.dir === undefined) {
    const trial = await tryAlone({ ...subject, toleranceSeconds: standardTolerance() }, secret);
    return { ...trial, earlier: undefined };
  }
  const config = configOf(layoutOf(options));
  const { toleranceSeconds } = config.checks;
  return await withSecrets(
    config,
    async (store) => {
      const trial = await tryInSite({ ...subject, toleranceSeconds }, { store, secret });
      return { ...trial, earlier: await earlierMessage(trial, store) };
    },
  );
}

function standardTolerance(): number {
  return durationMs(SETTINGS.checks.tolerance.defaultValue!) / 1000;
}

function readFile(path: string): Uint8Array {
  try {
    return path === STDIN
      ? readBounded((buffer) => Deno.stdin.readSync(buffer) ?? 0, FILE_MAX_BYTES)
      : readOperatorFile(path, FILE_MAX_BYTES);
  } catch (error) {
    throw new CommandError(`Cannot read the message from "${path}": ${faultText(error)}`, {
      exit: EXIT.usage,
    });
  }
}

async function sayReport(examination: Examination): Promise<void> {
  const { identity, bytes, nowSeconds, read } = examination;
  const date = new Date(nowSeconds * 1000).toISOString().replace(".000Z", "Z");
  print(`A message of ${bytes.length} bytes from ${identity}, judged at ${nowSeconds} (${date})\n`);
  for (const code of REJECTION_CODES) print(checkLine(code, examination));
  if (read.kind === "envelope") await saySignatures(read, examination);
  print(`\n${printable(sentenceOf(examination))}`);
}

function sentenceOf({ verdict, identity, earlier }: Examination): string {
  if (earlier) return earlierSentence(earlier, identity);
  return verdict.kind === "rejected"
    ? rejectionSentence(verdict, identity)
    : `Accepted message from ${identity}`;
}

function describe(examination: Examination) {
  const { identity: deviceId, bytes, nowSeconds, verdict, earlier } = examination;
  const checks = REJECTION_CODES.map((code) => ({ code, outcome: outcomeOf(code, examination) }));
  return {
    deviceId,
    messageBytes: bytes.length,
    judgedAt: new Date(nowSeconds * 1000).toISOString(),
    accepted: isAccepted(examination),
    earlier: earlier ? describeEarlier(earlier) : null,
    rejection: verdict.kind === "rejected" && !earlier
      ? { code: verdict.code, sentence: rejectionSentence(verdict, deviceId) }
      : null,
    checks,
  };
}

const CODE_WIDTH = Math.max(...REJECTION_CODES.map((code) => code.length));

function checkLine(code: RejectionCode, examination: Examination): string {
  return `${code.padEnd(CODE_WIDTH)}  ${outcomeOf(code, examination)}`;
}

/** pass, FAIL, accepted before, not reached, or skipped and why. */
function outcomeOf(code: RejectionCode, { verdict, devices, earlier }: Examination): string {
  if (verdict.kind === "rejected") {
    if (verdict.code === code) return earlier ? "accepted before" : "FAIL";
    const failed = REJECTION_CODES.indexOf(verdict.code);
    if (REJECTION_CODES.indexOf(code) > failed) return "not reached";
  }
  switch (RESTS_ON[code]) {
    case "message":
      return "pass";
    case "site":
      return devices ? "pass" : "skipped: no site";
    case "traffic":
      return "skipped: it depends on what else the device sends";
    default:
      return RESTS_ON[code] satisfies never;
  }
}

/** What each check looks at besides the secret: `verify` has no traffic, and not always a site. */
const RESTS_ON: Readonly<Record<RejectionCode, "message" | "site" | "traffic">> = {
  malformed: "message",
  identity_mismatch: "message",
  unknown_device: "site",
  device_revoked: "site",
  invalid_signature: "message",
  timestamp_out_of_range: "message",
  replayed: "site",
  rate_limited: "traffic",
};

/** Each text that may be signed, and the signature that it must have. */
async function saySignatures(envelope: Envelope, { secretOf }: MessageTrial): Promise<void> {
  const { payload, compactPayload, signature, deviceId } = envelope;
  const key = await importSecret(secretOf(deviceId) ?? "");
  const spaced = payload !== compactPayload;
  const candidates = spaced
    ? [["compact payload", compactPayload], ["payload as sent", payload]] as const
    : [["compact payload", compactPayload]] as const;
  for (const [name, text] of candidates) {
    const input = signingInput(envelope, text);
    const shown = printable(textOf(input));
    const escaped = shown === textOf(input) ? "" : ", escaped for the terminal";
    print(`\nSigned text, ${name}, ${input.length} bytes${escaped}:\n  ${shown}`);
    const rightSignature = key && await sign(key, input);
    print(`Its signature:\n  ${rightSignature ?? "unknown: there is no secret for this device"}`);
  }
  print(`\nThe message's signature:\n  ${signature.toHex()}`);
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
