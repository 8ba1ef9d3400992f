/** The last so many of something. */
export class Ring<Item> {
  readonly #items: (Item | undefined)[];
  #count = 0;

  /** @param size above 0 */
  constructor(size: number) {
    this.#items = Array.from({ length: size }, () => undefined);
  }

  push(item: Item): void {
    this.#items[this.#count % this.#items.length] = item;
    this.#count++;
  }

  /** Puts `item` in the place of the one that was pushed last. */
  replaceLast(item: Item): void {
    if (this.#count > 0) this.#items[(this.#count - 1) % this.#items.length] = item;
  }

  /** The last `most`, oldest first. */
  last(most = this.#items.length): Item[] {
    const held = Math.min(this.#count, this.#items.length);
    const items: Item[] = [];
    for (let at = this.#count - Math.min(most, held); at < this.#count; at++) {
      const item = this.#items[at % this.#items.length];
      if (item !== undefined) items.push(item);
    }
    return items;
  }
}
