/** Reads Server-Sent Events (WHATWG HTML §9.2.6): one line a field, an empty line behind each. */

/** One event. */
export interface StreamEvent {
  readonly id: string | undefined;
  readonly kind: string;
  readonly data: string;
}

/** Longest event, characters; a stream with a longer one is no stream of this gateway. */
const EVENT_MAX_CHARS = 1_048_576;

/** The events of a stream, until it ends. */
export async function* readEvents(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<StreamEvent, undefined> {
  let begun = "";
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    begun += text;
    const blocks = begun.split("\n\n");
    begun = blocks.pop() ?? "";
    if (begun.length > EVENT_MAX_CHARS) throw new Error("the stream has an event without end");
    for (const block of blocks) {
      const event = eventOf(block);
      if (event !== undefined) yield event;
    }
  }
  return undefined;
}

/** A comment, or a block without data, is none. */
function eventOf(block: string): StreamEvent | undefined {
  const fields = new Map(
    block.split("\n").map((line): [string, string] => {
      const at = line.indexOf(":");
      return at === -1 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    }),
  );
  const data = fields.get("data");
  if (data === undefined) return undefined;
  return { id: fields.get("id"), kind: fields.get("event") ?? "message", data };
}
