import { Random } from '../support/random.js';
import { GEO } from './geo-grammar.js';
import { BITS, DATABASES, HASHES, KEYSPACE, LISTS, LOGLOG, MISUSES, SETS, STRINGS } from './grammar.js';
import { SORTING } from './sort-grammar.js';
import { LEVEL_SETS, SORTED_SETS } from './sorted-set-grammar.js';
import { CONSUMER_GROUPS, STREAMS } from './stream-grammar.js';
import { SHORT_WAITS, WAITS } from './wait-grammar.js';
import { WAITERS } from './waiters.js';
import { Words } from './words.js';

export type Connection = 0 | 1;

/**
 * What is done to both servers. `scan` is a whole iteration, of keys or of the elements of a key, `size` a DBSIZE, `dump` a DUMP restored crosswise,
 * `restart` happens to the subject alone. `wait` has a client at that place send a command that may wait for keys, unless it waits already; `leave`
 * closes its connection, `unblock` is a CLIENT UNBLOCK of it.
 */
export type Step =
  | { readonly kind: 'command' | 'scan'; readonly on: Connection; readonly args: readonly string[] }
  | { readonly kind: 'size'; readonly on: Connection }
  | { readonly kind: 'dump'; readonly on: Connection; readonly key: string }
  | {
      readonly kind: 'wait';
      readonly place: number;
      readonly database: string;
      readonly args: readonly string[];
    }
  | { readonly kind: 'leave'; readonly place: number }
  | { readonly kind: 'unblock'; readonly place: number; readonly how: 'TIMEOUT' | 'ERROR' }
  | { readonly kind: 'restart' };

export interface SessionPlan {
  readonly seed: number;
  readonly steps: number;
  /** How many restarts of the subject are spread over the session. */
  readonly restarts: number;
  /** Whether there are clients that wait for keys. */
  readonly waits: boolean;
}

type Family = Readonly<Record<string, (w: Words) => string[]>>;

const FAMILIES: readonly (readonly [number, Family])[] = [
  [0.1, STRINGS],
  [0.06, BITS],
  [0.03, LOGLOG],
  [0.08, HASHES],
  [0.08, SETS],
  [0.09, SORTED_SETS],
  [0.02, LEVEL_SETS],
  [0.04, GEO],
  [0.07, LISTS],
  [0.03, SHORT_WAITS],
  [0.04, SORTING],
  [0.05, STREAMS],
  [0.08, CONSUMER_GROUPS],
  [0.13, KEYSPACE],
  [0.015, DATABASES],
];
const MISUSE_SHARE = 0.02;
const TRANSACTION_SHARE = 0.06;
const MUTATION_SHARE = 0.04;
/**
 * SPOP without its count takes a member at random, which would part the two servers; ZRANK and ZREVRANK have an option more
 * than in redis-server 7.0; SORT of a set by nothing has an order of its own; with an id of `*`, XADD takes the time; SELECT
 * takes names of keyspaces; and what waits for keys might do so for ever.
 */
const NEVER_MUTATED = new Set([
  ...['select', 'spop', 'zrank', 'zrevrank', 'sort', 'sort_ro', 'xadd', 'XADD'],
]);

/** Generates a session: a pure function of the plan. */
export class Generator {
  readonly #r: Random;
  readonly #w: Words;
  readonly #inMulti: [boolean, boolean] = [false, false];
  #on: Connection = 0;

  constructor(readonly plan: SessionPlan) {
    this.#r = new Random(plan.seed);
    this.#w = new Words(this.#r, plan.waits);
  }

  session(): Step[] {
    const steps: Step[] = [];
    const restartEvery = Math.ceil(this.plan.steps / (this.plan.restarts + 1));
    for (let i = 0; steps.length < this.plan.steps; i++) {
      if (i > 0 && i % restartEvery === 0) steps.push(...this.#restart());
      steps.push(this.#step());
    }
    return steps;
  }

  /** A restart loses what a connection holds, so transactions and watches end before. */
  #restart(): Step[] {
    const steps: Step[] = [];
    for (const on of [0, 1] as const) {
      if (this.#inMulti[on]) steps.push({ kind: 'command', on, args: ['discard'] });
      this.#inMulti[on] = false;
      steps.push({ kind: 'command', on, args: ['unwatch'] });
    }
    return [...steps, { kind: 'restart' }];
  }

  #step(): Step {
    if (this.#r.chance(0.15)) this.#on = this.#on === 0 ? 1 : 0;
    const on = this.#on;
    if (this.plan.waits && this.#r.chance(0.12)) return this.#waiting();
    if (!this.#inMulti[on]) {
      const roll = this.#r.float();
      if (roll < 0.01) return { kind: 'scan', on, args: ['SCAN', ...this.#scanOptions()] };
      if (roll < 0.015) return { kind: 'scan', on, args: this.#elementScan() };
      if (roll < 0.03) return { kind: 'size', on };
      if (roll < 0.045) return { kind: 'dump', on, key: this.#w.key() };
    }
    return { kind: 'command', on, args: this.#command(on) };
  }

  #waiting(): Step {
    const place = this.#r.int(0, WAITERS - 1);
    const roll = this.#r.float();
    if (roll < 0.05) return { kind: 'leave', place };
    if (roll < 0.1) return { kind: 'unblock', place, how: this.#r.pick(['TIMEOUT', 'ERROR']) };
    const name = this.#r.pick(Object.keys(WAITS));
    const database = this.#r.chance(0.9) ? '0' : '1';
    return { kind: 'wait', place, database, args: [this.#cased(name), ...WAITS[name]!(this.#w)] };
  }

  #command(on: Connection): string[] {
    let roll = this.#r.float();
    for (const [share, family] of FAMILIES) {
      if (roll < share) {
        const name = this.#r.pick(Object.keys(family));
        const args = [this.#cased(name), ...family[name]!(this.#w)];
        return family === SHORT_WAITS || NEVER_MUTATED.has(name) ? args : this.#mutated(args);
      }
      roll -= share;
    }
    if (roll < MISUSE_SHARE) return this.#r.pick(MISUSES)(this.#w);
    if (roll < MISUSE_SHARE + TRANSACTION_SHARE || this.#inMulti[on]) return this.#transaction(on);
    return ['get', this.#w.key()];
  }

  #transaction(on: Connection): string[] {
    const roll = this.#r.float();
    if (roll < 0.1) return ['watch', ...this.#w.keys()];
    if (roll < 0.13) return ['unwatch'];
    if (this.#inMulti[on] && roll < 0.9) {
      this.#inMulti[on] = false;
      return [roll < 0.8 ? 'exec' : 'discard'];
    }
    if (roll > 0.96) {
      this.#inMulti[on] = false;
      return [this.#r.pick(['exec', 'discard'])];
    }
    if (this.#r.chance(0.25)) return ['watch', ...this.#w.keys(2)];
    this.#inMulti[on] = true;
    return ['multi'];
  }

  /** Now and then an argument too many, one too few, or one that does not belong. */
  #mutated(args: string[]): string[] {
    if (!this.#r.chance(MUTATION_SHARE)) return args;
    const roll = this.#r.int(0, 2);
    if (roll === 0 && args.length > 1) return args.slice(0, -1);
    if (roll === 1) return [...args, this.#w.junk()];
    const at = this.#r.int(1, args.length);
    return args.map((arg, i) => (i === at ? this.#w.junk() : arg));
  }

  #cased(name: string): string {
    return this.#r.chance(0.2) ? name.toUpperCase() : name;
  }

  #elementScan(): string[] {
    const w = this.#w;
    const options = w.options(
      0.4,
      () => ['MATCH', w.pattern()],
      () => ['COUNT', this.#r.pick(['1', '3', '20', '1000'])],
    );
    const [command, key] = this.#r.pick([
      ['HSCAN', w.hash()],
      ['SSCAN', w.set()],
      ['ZSCAN', w.sortedSet()],
    ] as const);
    return [command, key, ...options];
  }

  #scanOptions(): string[] {
    const w = this.#w;
    return w.options(
      0.4,
      () => [w.word('MATCH'), w.pattern()],
      () => [w.word('COUNT'), this.#r.pick(['1', '2', '5', '10', '1000', '0', 'x'])],
      () => [
        w.word('TYPE'),
        this.#r.pick(['string', 'string', 'STRING', 'hash', 'set', 'zset', 'list', 'stream', 'nope']),
      ],
    );
  }
}
