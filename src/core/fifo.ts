/** First in, first out; adding and removing take constant time. */
export class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Makes `item` the next one. */
  putBack(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  /** The next item; undefined if there is none. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** The next items, at most `count` of them. */
  first(count: number): T[] {
    return this.#items.slice(this.#head, this.#head + count);
  }

  /** Removes and returns the next item; undefined if there is none. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
