import type { StringValue } from '../row.js';
import { ElementKind, type ElementStore, hashText, memberHash } from './elements.js';

/** Members read at once for random picks. */
const POOL_MEMBERS = 256;
const TWO_32 = 0x1_0000_0000;

/** The members of a large hash, set or sorted set: one element row each, in order of their hash. */
export class MemberRows {
  /** Members to be picked, in random order. */
  private pool: string[] = [];
  /** Members that have gone since the pool was filled. */
  private readonly gone = new Set<string>();

  constructor(
    readonly store: ElementStore,
    public size: number,
  ) {}

  get(name: string): StringValue | undefined {
    return this.store.get(ElementKind.Member, name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  getMany(names: readonly string[]): (StringValue | undefined)[] {
    return this.store.getMany(ElementKind.Member, names);
  }

  /** Has the rows of members in memory before they are asked for one by one: one read for all costs a fraction. */
  prefetch(names: readonly string[]): void {
    if (names.length > 1) this.store.getMany(ElementKind.Member, names);
  }

  /** Stages a member that is known not to be there. */
  add(name: string, value: StringValue): void {
    this.store.set(ElementKind.Member, name, value);
    this.size++;
  }

  /** Stages a member unless it is there. @returns whether it was not */
  insert(name: string, value: StringValue): boolean {
    const isNew = this.store.insert(ElementKind.Member, name, value);
    if (isNew) this.size++;
    return isNew;
  }

  /** Stages a member, whether it is there or not. @returns whether it was not */
  set(name: string, value: StringValue): boolean {
    const isNew = this.store.exchange(ElementKind.Member, name, value) === undefined;
    if (isNew) this.size++;
    return isNew;
  }

  /** Stages another value of a member that is there. */
  replace(name: string, value: StringValue): void {
    this.store.set(ElementKind.Member, name, value);
  }

  /** @returns whether it was there */
  delete(name: string): boolean {
    if (!this.has(name)) return false;
    this.remove(name);
    return true;
  }

  /** Removes a member that is there. */
  remove(name: string): void {
    this.store.delete(ElementKind.Member, name);
    this.size--;
    if (this.pool.length > 0) this.gone.add(name);
  }

  /** Visits all until `visit` returns false. They must not change meanwhile. */
  each(withValues: boolean, visit: (name: string, value: StringValue) => boolean): void {
    this.store.iterate(ElementKind.Member, '', withValues, visit);
  }

  /**
   * Visits members from a cursor on: at least `count`, and all of one hash.
   * @param cursor the hash to begin with
   * @returns the cursor to go on with; 0 at the end
   */
  scan(
    cursor: number,
    count: number,
    withValues: boolean,
    visit: (name: string, value: StringValue) => void,
  ): number {
    let visited = 0;
    let last = -1;
    let next = 0;
    this.store.iterate(ElementKind.Member, hashText(cursor), withValues, (name, value) => {
      if (visited >= count) {
        const hash = memberHash(name);
        if (hash !== last) {
          next = hash;
          return false;
        }
      }
      visit(name, value);
      if (++visited >= count) last = memberHash(name);
      return true;
    });
    return next;
  }

  /**
   * A random member. Members lie in no order that means anything, so a run of them from a random place on will do for
   * many picks, and a pick costs no iterator in the mean.
   * @param random in [0, 1)
   */
  pick(random: () => number): string {
    for (;;) {
      const name = this.pool.pop();
      if (name === undefined) this.fillPool(random);
      else if (!this.gone.has(name)) return name;
    }
  }

  /** Removes a random member, and gives it. @param random in [0, 1) */
  take(random: () => number): string {
    const name = this.pick(random);
    // It is out of the pool already.
    this.store.delete(ElementKind.Member, name);
    this.size--;
    return name;
  }

  private fillPool(random: () => number): void {
    const found: string[] = [];
    const take = (name: string) => found.push(name) < POOL_MEMBERS;
    const start = Math.floor(random() * TWO_32);
    this.store.iterate(ElementKind.Member, hashText(start), false, take);
    if (found.length < POOL_MEMBERS) {
      // Round the end, up to where it began.
      this.store.iterate(ElementKind.Member, '', false, (name) => memberHash(name) < start && take(name));
    }
    for (let left = found.length - 1; left > 0; left--) {
      const other = Math.floor(random() * (left + 1));
      [found[left], found[other]] = [found[other]!, found[left]!];
    }
    this.pool = found;
    this.gone.clear();
    if (found.length === 0)
      throw new Error(`collection ${this.store.version} has ${this.size} members, but no rows`);
  }
}
