import type { RawClient } from '../support/client.js';
import type { Random } from '../support/random.js';

/** A change of one key: the command, and what it makes of what is there. */
export interface Operation<State> {
  readonly command: readonly string[];
  apply(state: State): State;
}

/** A type of collections, with a model of it. States are never changed in place. */
export interface Kind<State> {
  readonly name: string;
  /** What is there where there is no key. */
  readonly absent: State;
  /** @param likely what is there if all that was sent has happened */
  operation(r: Random, key: string, likely: State): Operation<State>;
  /** What is there, by several commands that must be of one mind; throws where they are not. */
  read(client: RawClient, key: string): Promise<State>;
  /** Equal for equal states only. */
  textOf(state: State): string;
}

/** A key that one connection writes, seen without its type. */
export interface OwnedKey {
  readonly key: string;
  /** A further command, which counts as sent. */
  next(r: Random): readonly string[];
  /** The first command that was not acknowledged before has been. */
  acknowledge(): void;
  /** Compares what is there with what may be, and takes it as the truth. @returns what is wrong */
  verify(client: RawClient): Promise<{ readonly wrong: string[]; readonly isThere: boolean }>;
}

/** What a key may hold: what is left by all operations that were acknowledged, and any number of those behind them. */
export class Owned<State> implements OwnedKey {
  private base: State;
  private likely: State;
  /** Operations since the base. */
  private operations: Operation<State>[] = [];
  private acknowledged = 0;

  constructor(
    readonly key: string,
    private readonly kind: Kind<State>,
  ) {
    this.base = kind.absent;
    this.likely = kind.absent;
  }

  next(r: Random): readonly string[] {
    const operation = this.kind.operation(r, this.key, this.likely);
    this.operations.push(operation);
    this.likely = operation.apply(this.likely);
    return operation.command;
  }

  acknowledge(): void {
    this.acknowledged++;
  }

  private allows(found: string): boolean {
    const { textOf } = this.kind;
    let state = this.base;
    for (const [index, operation] of [...this.operations, undefined].entries()) {
      if (index >= this.acknowledged && textOf(state) === found) return true;
      if (operation !== undefined) state = operation.apply(state);
    }
    return false;
  }

  async verify(client: RawClient): Promise<{ wrong: string[]; isThere: boolean }> {
    const { kind, key } = this;
    const what = `${key}, a ${kind.name},`;
    let found: State;
    try {
      found = await kind.read(client, key);
    } catch (error) {
      return { wrong: [`${what} ${String(error)}`], isThere: true };
    }
    const text = kind.textOf(found);
    const wrong = this.allows(text) ? [] : [`${what} has what it may not have: ${text.slice(0, 300)}`];
    this.base = found;
    this.likely = found;
    this.operations = [];
    this.acknowledged = 0;
    return { wrong, isThere: text !== kind.textOf(kind.absent) };
  }
}
