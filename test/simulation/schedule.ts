import { Random } from '../support/random.js';
import type { Operation } from './client.js';

/** Number of the master's machine among those of the stores. */
export const MASTER = -1;

/** What somebody wants of the master. Stores and shards are numbers of which the rest counts. */
export type Wish =
  | { readonly kind: 'resize'; readonly shards: number }
  | { readonly kind: 'replicas'; readonly replicas: number }
  | { readonly kind: 'move'; readonly shard: number; readonly copy: number; readonly to: number }
  | { readonly kind: 'replace'; readonly store: number; readonly by: number | undefined }
  | { readonly kind: 'drain'; readonly store: number }
  | { readonly kind: 'rebalance' }
  | { readonly kind: 'abort' };

/** Something that happens. What happens depends on nothing but the numbers here and on what is there then. */
export type Happening = { readonly atMs: number } & (
  | {
      readonly kind: 'command';
      readonly operation: Operation;
      readonly key: number;
      readonly via: number;
      readonly offsetMs?: number;
    }
  | { readonly kind: 'wish'; readonly wish: Wish }
  /** What one sends does not reach the other, nor the other way round if it is `both`. */
  | {
      readonly kind: 'cut';
      readonly from: number;
      readonly to: number;
      readonly isBoth: boolean;
      readonly forMs: number;
    }
  /** A machine is cut off from all others. */
  | { readonly kind: 'isolate'; readonly store: number; readonly forMs: number }
  | { readonly kind: 'reset'; readonly from: number; readonly to: number }
  | { readonly kind: 'kill'; readonly store: number; readonly forMs: number }
  | { readonly kind: 'power'; readonly store: number; readonly forMs: number }
  | { readonly kind: 'restart'; readonly store: number; readonly forMs: number }
  | { readonly kind: 'destroy'; readonly store: number }
  | { readonly kind: 'master'; readonly forMs: number }
  | { readonly kind: 'worker'; readonly store: number; readonly worker: number }
  | { readonly kind: 'overrun'; readonly store: number; readonly shard: number }
);

/** A world, and what happens in it. */
export interface Schedule {
  /** Of all that is random besides: how long messages and tasks take. */
  readonly seed: number;
  readonly stores: number;
  readonly shards: number;
  readonly replicas: number;
  /** By how much clocks are ahead, that of the master first, milliseconds. */
  readonly skewsMs: readonly number[];
  readonly durationMs: number;
  readonly happenings: readonly Happening[];
}

/** What may go wrong. */
const TROUBLES = {
  calm: [],
  network: ['cut', 'cut', 'isolate', 'reset'],
  machines: ['power', 'power', 'cut', 'isolate', 'overrun'],
  processes: ['kill', 'kill', 'restart', 'master', 'worker'],
  failovers: ['kill', 'isolate', 'cut', 'master', 'reset'],
  everything: [
    'cut',
    'isolate',
    'reset',
    'kill',
    'power',
    'restart',
    'master',
    'worker',
    'overrun',
    'destroy',
  ],
} as const satisfies Record<string, readonly Happening['kind'][]>;

export const KEYS = 24;
/** Keys besides, which get values and deletions only, some with times of their own. */
export const TIMED_KEYS = 4;
/** In so many of the schedules events bring their own times. */
const EVENTS_CHANCE = 0.5;
/** Events are so old at most when they are written, or so far ahead, milliseconds. */
const EVENT_AGE_MAX_MS = 4000;
const EVENT_AHEAD_MAX_MS = 300;
/** In so many of the schedules shards are flushed. */
const FLUSHES_CHANCE = 0.4;
/** Clocks are ahead, or behind, by so much, milliseconds. */
export const SKEW_MAX_MS = 400;

/** A schedule for a seed, always the same. */
export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed);
  const stores = random.int(3, 5);
  const durationMs = random.int(6000, 20_000);
  const troubles = TROUBLES[random.pick(Object.keys(TROUBLES) as (keyof typeof TROUBLES)[])];
  const happenings: Happening[] = [];
  const at = () => random.int(0, durationMs);
  for (let left = random.int(40, 120); left > 0; left--)
    happenings.push({
      kind: 'command',
      atMs: at(),
      operation: random.pick(['set', 'set', 'set', 'setex', 'incr', 'del', 'get']),
      key: random.int(0, KEYS - 1),
      via: random.int(0, stores - 1),
    });
  for (let left = random.int(1, 4); left > 0; left--)
    happenings.push({ kind: 'wish', atMs: at(), wish: wishOf(random, stores) });
  if (random.chance(0.3)) happenings.push(...resizesOf(random, at()));
  if (random.chance(FLUSHES_CHANCE))
    for (let left = random.int(1, 5); left > 0; left--)
      happenings.push({
        kind: 'command',
        atMs: at(),
        operation: 'flush',
        key: random.int(0, KEYS - 1),
        via: random.int(0, stores - 1),
      });
  if (random.chance(EVENTS_CHANCE))
    for (let left = random.int(10, 60); left > 0; left--) happenings.push(eventOf(random, at(), stores));
  if (troubles.length > 0)
    for (let left = random.int(1, 8); left > 0; left--)
      happenings.push(troubleOf(random.pick(troubles), random, at(), stores));
  happenings.sort((one, other) => one.atMs - other.atMs);
  return {
    seed,
    stores,
    shards: random.int(1, 4),
    replicas: random.pick([1, 2, 2, 3, 3]),
    skewsMs: Array.from({ length: stores + 1 }, () => random.int(-SKEW_MAX_MS, SKEW_MAX_MS)),
    durationMs,
    happenings,
  };
}

/** A command that brings its own time, or one of the same keys that does not. */
function eventOf(random: Random, atMs: number, stores: number): Happening {
  const operation = random.pick(['set', 'set', 'del', 'get'] as const);
  const offsetMs = random.int(-EVENT_AGE_MAX_MS, EVENT_AHEAD_MAX_MS);
  const key = KEYS + random.int(0, TIMED_KEYS - 1);
  const command = { kind: 'command', atMs, operation, key, via: random.int(0, stores - 1) } as const;
  // Without a time, only what leaves something behind: deletions do not where nobody follows.
  return operation === 'get' || (operation === 'set' && random.chance(0.3))
    ? command
    : { ...command, offsetMs };
}

/** Several in a row, now and then aborted: one that comes while another is under way is refused. */
function resizesOf(random: Random, fromMs: number): Happening[] {
  const happenings: Happening[] = [];
  let atMs = fromMs;
  for (let left = random.int(2, 5); left > 0; left--) {
    if (random.chance(0.3)) happenings.push({ kind: 'wish', atMs, wish: { kind: 'abort' } });
    atMs += random.int(20, 1500);
    happenings.push({ kind: 'wish', atMs, wish: { kind: 'resize', shards: random.int(1, 5) } });
  }
  return happenings;
}

function wishOf(random: Random, stores: number): Wish {
  const store = random.int(0, stores - 1);
  switch (random.int(0, 9)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'resize', shards: random.int(1, 5) };
    case 3:
    case 4:
      return { kind: 'replicas', replicas: random.int(1, 3) };
    case 5:
      return { kind: 'move', shard: random.int(0, 4), copy: random.int(0, 2), to: store };
    case 6:
      return { kind: 'replace', store, by: random.chance(0.5) ? undefined : random.int(0, stores - 1) };
    case 7:
      return { kind: 'drain', store };
    case 8:
      return { kind: 'rebalance' };
    default:
      return { kind: 'abort' };
  }
}

function troubleOf(kind: Happening['kind'], random: Random, atMs: number, stores: number): Happening {
  const store = random.int(0, stores - 1);
  const forMs = random.chance(0.6) ? random.int(20, 3000) : random.int(3000, 9000);
  switch (kind) {
    case 'cut': {
      const [from, to] = [random.int(MASTER, stores - 1), random.int(MASTER, stores - 1)];
      return { kind, atMs, from, to, isBoth: random.chance(0.6), forMs };
    }
    case 'reset':
      return { kind, atMs, from: random.int(MASTER, stores - 1), to: store };
    case 'worker':
      return { kind, atMs, store, worker: random.int(0, 1) };
    case 'overrun':
      return { kind, atMs, store, shard: random.int(0, 7) };
    case 'destroy':
      return { kind, atMs, store };
    case 'master':
      return { kind, atMs, forMs };
    case 'isolate':
    case 'kill':
    case 'power':
    case 'restart':
      return { kind, atMs, store, forMs };
    default:
      throw new Error(`${kind} is no trouble`);
  }
}

/** A schedule as people read it. */
export function textOf({ happenings, ...world }: Schedule): string {
  const { seed, stores, shards, replicas, skewsMs, durationMs } = world;
  const lines = happenings.map((each) => {
    const { atMs, kind, ...rest } = each;
    const { wish, ...facts } = rest as { wish?: Wish };
    const words = Object.entries({ ...facts, ...wish }).map(([name, value]) => `${name} ${value}`);
    return `${String(atMs).padStart(6)} ${kind} ${words.join(', ')}`;
  });
  return [
    `seed ${seed}: ${stores} stores, ${shards} shards, ${replicas} copies of each, clocks ahead by ${skewsMs.join(', ')} ms, ${durationMs} ms`,
    ...lines,
  ].join('\n');
}
