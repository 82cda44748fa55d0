import type { Argument } from '../support/client.js';
import type { Random } from '../support/random.js';

/** What is known of a key from outside. */
export interface KeyState {
  readonly value: string | undefined;
  readonly expires: boolean;
}

const ABSENT: KeyState = { value: undefined, expires: false };
const FAR_S = 1_000_000;

/** A change of one key, or of two at once in a transaction. */
export interface Operation {
  readonly keys: readonly string[];
  readonly commands: readonly (readonly Argument[])[];
  apply(state: KeyState): KeyState;
}

/**
 * The acknowledged state of each key, and the operations on the way, in order. A key belongs to one connection,
 * so after a crash it must be in the state after all acknowledged operations and any number of the next ones.
 */
export class Ledger {
  readonly #states = new Map<string, KeyState>();
  readonly #inFlight = new Map<string, Operation[]>();

  sent(operation: Operation): void {
    for (const key of operation.keys) {
      const list = this.#inFlight.get(key);
      if (list === undefined) this.#inFlight.set(key, [operation]);
      else list.push(operation);
    }
  }

  /** Operations of a connection are acknowledged in the order they were sent. */
  acknowledged(operation: Operation): void {
    for (const key of operation.keys) {
      this.#inFlight.get(key)?.shift();
      this.#states.set(key, operation.apply(this.#states.get(key) ?? ABSENT));
    }
  }

  /** Every state the key may be in. */
  possible(key: string): KeyState[] {
    const states = [this.#states.get(key) ?? ABSENT];
    for (const operation of this.#inFlight.get(key) ?? [])
      states.push(operation.apply(states[states.length - 1]!));
    return states;
  }

  /** The truth found after a crash, from which the next round goes on. */
  settle(key: string, state: KeyState): void {
    this.#states.set(key, state);
    this.#inFlight.delete(key);
  }

  get keys(): string[] {
    return [...new Set([...this.#states.keys(), ...this.#inFlight.keys()])];
  }
}

export function sameState(a: KeyState, b: KeyState): boolean {
  return a.value === b.value && a.expires === b.expires;
}

function single(key: string, command: readonly Argument[], apply: Operation['apply']): Operation {
  return { keys: [key], commands: [command], apply };
}

/** The two keys a transaction always sets to the same value. */
export function twins(owner: string, index: number): [string, string] {
  return [`${owner}:multi:${index}:a`, `${owner}:multi:${index}:b`];
}

export const TWINS = 5;
const APPENDED_LENGTH_MAX = 500;

/** A random operation on a key of `owner`; `sequence` makes values unlike each other. */
export function randomOperation(r: Random, owner: string, sequence: number, ledger: Ledger): Operation {
  const roll = r.float();
  const key = `${owner}:string:${r.int(0, 40)}`;
  const value = `v${sequence}:${'x'.repeat(r.chance(0.05) ? r.int(1000, 20_000) : r.int(0, 40))}`;
  if (roll < 0.3) return single(key, ['SET', key, value], () => ({ value, expires: false }));
  if (roll < 0.4) return single(key, ['DEL', key], () => ABSENT);
  if (roll < 0.5) {
    return single(key, ['EXPIRE', key, FAR_S], (state) =>
      state.value === undefined ? ABSENT : { value: state.value, expires: true },
    );
  }
  if (roll < 0.65) {
    const counter = `${owner}:counter:${r.int(0, 5)}`;
    return single(counter, ['INCR', counter], (state) => ({
      ...state,
      value: String(Number(state.value ?? 0) + 1),
    }));
  }
  if (roll < 0.8) {
    const list = `${owner}:appended:${r.int(0, 5)}`;
    const length = ledger.possible(list).at(-1)?.value?.length ?? 0;
    if (length > APPENDED_LENGTH_MAX) return single(list, ['DEL', list], () => ABSENT);
    const piece = `${sequence},`;
    return single(list, ['APPEND', list, piece], (state) => ({
      ...state,
      value: (state.value ?? '') + piece,
    }));
  }
  if (roll < 0.88) {
    const ranged = `${owner}:ranged:${r.int(0, 5)}`;
    const offset = r.int(0, 100);
    const piece = `<${sequence}>`;
    return single(ranged, ['SETRANGE', ranged, offset, piece], (state) => ({
      ...state,
      value: overwritten(state.value ?? '', offset, piece),
    }));
  }
  const pair = twins(owner, r.int(0, TWINS - 1));
  return {
    keys: pair,
    commands: [['MULTI'], ['SET', pair[0], value], ['SET', pair[1], value], ['EXEC']],
    apply: () => ({ value, expires: false }),
  };
}

function overwritten(text: string, offset: number, piece: string): string {
  return text.slice(0, offset).padEnd(offset, '\0') + piece + text.slice(offset + piece.length);
}
