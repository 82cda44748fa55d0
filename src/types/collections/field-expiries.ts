import { valueText } from '../row.js';
import { ElementKind, type ElementStore, textUint64, uint64Text } from './elements.js';

/** When the fields of a hash end, of those that do. Times are Unix milliseconds. */
export interface FieldExpiries {
  /** Number of fields that have an expiry. */
  readonly count: number;
  /** How many of them stand in the hash's row. */
  readonly inlineCount: number;
  /** Lower bound of the first expiry; 0 = there is none. */
  readonly nextMs: number;
  /** 0 = never. */
  of(field: string): number;
  hasEnded(field: string, nowMs: number): boolean;
  /** @param atMs 0 = never */
  set(field: string, atMs: number): void;
  countEnded(nowMs: number): number;
  /** Fields that have ended, at most `limit`. */
  ended(nowMs: number, limit: number): string[];
  each(visit: (field: string, atMs: number) => void): void;
  /** The same for a copy of the hash. @param store its rows, if it is large: they are copied already */
  copy(store: ElementStore | undefined): FieldExpiries;
}

/** Those of a small hash. */
export class InlineDeadlines implements FieldExpiries {
  nextMs: number;

  constructor(private readonly deadlines: Map<string, number>) {
    this.nextMs = earliest(deadlines);
  }

  get count(): number {
    return this.deadlines.size;
  }

  get inlineCount(): number {
    return this.deadlines.size;
  }

  of(field: string): number {
    return this.deadlines.get(field) ?? 0;
  }

  hasEnded(field: string, nowMs: number): boolean {
    const atMs = this.of(field);
    return atMs !== 0 && atMs <= nowMs;
  }

  set(field: string, atMs: number): void {
    if (atMs === 0) this.deadlines.delete(field);
    else this.deadlines.set(field, atMs);
    this.nextMs = earliest(this.deadlines);
  }

  countEnded(nowMs: number): number {
    let ended = 0;
    for (const atMs of this.deadlines.values()) if (atMs <= nowMs) ended++;
    return ended;
  }

  ended(nowMs: number, limit: number): string[] {
    const ended: string[] = [];
    for (const [field, atMs] of this.deadlines) if (atMs <= nowMs && ended.length < limit) ended.push(field);
    return ended;
  }

  each(visit: (field: string, atMs: number) => void): void {
    for (const [field, atMs] of this.deadlines) visit(field, atMs);
  }

  copy(): InlineDeadlines {
    return new InlineDeadlines(new Map(this.deadlines));
  }
}

/**
 * Those of a large hash: a row by field, and one in order of time. They stand beside the fields' own rows, so that a
 * hash whose fields do not expire pays nothing for it.
 */
export class FieldDeadlines implements FieldExpiries {
  readonly inlineCount = 0;

  constructor(
    private readonly store: ElementStore,
    public count: number,
    public nextMs: number,
  ) {}

  of(field: string): number {
    const stored = this.store.get(ElementKind.FieldExpiry, field);
    return stored === undefined ? 0 : textUint64(valueText(stored));
  }

  hasEnded(field: string, nowMs: number): boolean {
    if (this.nextMs > nowMs) return false;
    const atMs = this.of(field);
    return atMs !== 0 && atMs <= nowMs;
  }

  set(field: string, atMs: number): void {
    const old = this.of(field);
    if (old === atMs) return;
    if (old !== 0) {
      this.store.delete(ElementKind.FieldDeadline, uint64Text(old) + field);
      this.count--;
    }
    if (atMs === 0) this.store.delete(ElementKind.FieldExpiry, field);
    else {
      const time = uint64Text(atMs);
      this.store.set(ElementKind.FieldExpiry, field, time);
      this.store.set(ElementKind.FieldDeadline, time + field, '');
      this.count++;
      if (this.nextMs === 0 || atMs < this.nextMs) this.nextMs = atMs;
    }
  }

  countEnded(nowMs: number): number {
    if (this.nextMs > nowMs) return 0;
    let ended = 0;
    this.eachDeadline((_field, atMs) => atMs <= nowMs && ++ended > 0);
    return ended;
  }

  /** Afterwards {@link nextMs} is exact, once the fields are removed. */
  ended(nowMs: number, limit: number): string[] {
    const ended: string[] = [];
    let nextMs = 0;
    this.eachDeadline((field, atMs) => {
      if (atMs <= nowMs && ended.length < limit) return ended.push(field) > 0;
      nextMs = atMs;
      return false;
    });
    this.nextMs = nextMs;
    return ended;
  }

  each(visit: (field: string, atMs: number) => void): void {
    this.eachDeadline((field, atMs) => {
      visit(field, atMs);
      return true;
    });
  }

  private eachDeadline(visit: (field: string, atMs: number) => boolean): void {
    this.store.iterate(ElementKind.FieldDeadline, '', false, (name) =>
      visit(name.slice(8), textUint64(name)),
    );
  }

  copy(store: ElementStore | undefined): FieldDeadlines {
    return new FieldDeadlines(store ?? this.store, this.count, this.nextMs);
  }
}

function earliest(deadlines: ReadonlyMap<string, number>): number {
  let first = 0;
  for (const atMs of deadlines.values()) if (first === 0 || atMs < first) first = atMs;
  return first;
}
