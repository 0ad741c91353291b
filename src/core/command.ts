/** The signed message that carries a command to a device. */

/** Largest command body, in bytes. */
export const COMMAND_MAX_BYTES = 65_536;

/** Deepest nesting inside a command; the same as in a device's payload. */
export const COMMAND_DEPTH_MAX = 64;

/** A command, signed and ready to be published. */
interface SignedCommand {
  /** Ten digits of Unix seconds. */
  readonly timestamp: string;
  readonly messageId: string;
  /** Compact JSON text. */
  readonly payload: Uint8Array;
  /** 64 lower-case hex digits. */
  readonly signature: string;
}

/** The message for the command topic; it holds the payload byte for byte as it was signed. */
export function writeCommand(command: SignedCommand): Uint8Array<ArrayBuffer> {
  const { timestamp, messageId, payload, signature } = command;
  const head = utf8(`{"timestamp":${timestamp},"message_id":"${messageId}","payload":`);
  const tail = utf8(`,"signature":"${signature}"}`);
  const message = new Uint8Array(head.length + payload.length + tail.length);
  message.set(head);
  message.set(payload, head.length);
  message.set(tail, head.length + payload.length);
  return message;
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
