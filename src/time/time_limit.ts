/** An answer that is worth having only if it comes in time. */

/** What `asked` resolves to; undefined if it rejects, or takes longer than `limitMs`. */
export async function inTime<T>(asked: Promise<T>, limitMs: number): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), limitMs);
  try {
    return await Promise.race([asked, late.promise]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    asked.catch(() => {}); // it may still reject, and nobody listens any longer
  }
}
