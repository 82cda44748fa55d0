/** Places at the front of the list that are left empty before it is moved up. */
const HEAD_SLACK_MIN = 64;

/** What waits for its turn, in order. To take the first, and to put it back, costs the same however many wait. */
export class HeldQueue<Item> {
  /** The places before `head` are empty. */
  private items: (Item | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  push(item: Item): void {
    this.items.push(item);
  }

  /** Puts an item before all others. */
  putBack(item: Item): void {
    if (this.head > 0) this.items[--this.head] = item;
    else this.items.unshift(item);
  }

  /** Takes the first item. */
  shift(): Item | undefined {
    const item = this.items[this.head];
    if (item === undefined) return undefined;
    this.items[this.head++] = undefined;
    if (this.head === this.items.length) this.clear();
    else if (this.head >= HEAD_SLACK_MIN && this.head * 2 > this.items.length) {
      // One place stays, for what is put back.
      this.items = this.items.slice(this.head - 1);
      this.head = 1;
    }
    return item;
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }
}
