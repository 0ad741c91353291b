/** Waiting for a condition that can only be polled. */

const POLL_EVERY_MS = 10;
const TIMEOUT_MS = 10_000;

/** What a condition may return while it is not met. */
type NotYet = undefined | false;

/** Polls until `condition` returns a value and returns that; rejects if it takes too long. */
export async function poll<T>(
  what: string,
  condition: () => T | NotYet | Promise<T | NotYet>,
  options: { timeoutMs?: number } = {},
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const deadlineMs = performance.now() + timeoutMs;
  while (true) {
    const result = await condition();
    if (result !== undefined && result !== false) return result;
    if (performance.now() >= deadlineMs) {
      throw new Error(`Timed out after ${timeoutMs} ms waiting for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}
