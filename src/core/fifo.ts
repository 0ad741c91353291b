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

  /** Puts an item before the last ones that are `later`, but not before `least`; returns its place. */
  insert(item: T, later: (one: T) => boolean, least = 0): number {
    let place = this.length;
    while (place > least && later(this.#items[this.#head + place - 1]!)) place--;
    this.#items.splice(this.#head + place, 0, item);
    return place;
  }

  /** The item at a place, 0 being the next; undefined if there is none. */
  at(place: number): T | undefined {
    return this.#items[this.#head + place];
  }

  /** Removes and returns the last item; undefined if there is none. */
  pop(): T | undefined {
    return this.length === 0 ? undefined : this.#items.pop();
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
