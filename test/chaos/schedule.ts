import { Random } from '../support/random.js';

/** The keyspaces of a run. Stores without the tag are those that may be replaced while they are dead. */
export const KEYSPACES = [
  { name: 'single', shards: 3, replicas: 1, tags: ['solid'], copies: [1, 2] },
  { name: 'double', shards: 4, replicas: 2, tags: [], copies: [2, 3] },
  { name: 'triple', shards: 3, replicas: 3, tags: [], copies: [2, 3] },
] as const;

export const SHARDS_MAX = 6;

/** What is done to the cluster. Stores and keyspaces are named by their numbers, times are milliseconds. */
export type Action =
  | { readonly kind: 'kill'; readonly stores: readonly number[]; readonly forMs: number }
  | { readonly kind: 'freeze'; readonly store: number; readonly forMs: number }
  /** `all`: nodes cannot reach it, nor it the master; `doors`: nodes and cluster clients; `feeds`: copies; `master`. */
  | {
      readonly kind: 'cut';
      readonly what: 'all' | 'doors' | 'feeds' | 'master';
      readonly store: number;
      /** Connections do not break, but nothing comes through. */
      readonly isSilent: boolean;
      readonly forMs: number;
    }
  | { readonly kind: 'master'; readonly how: 'kill' | 'freeze'; readonly forMs: number }
  | { readonly kind: 'gateway'; readonly forMs: number }
  | { readonly kind: 'resize'; readonly keyspace: number; readonly shards: number }
  | { readonly kind: 'replicas'; readonly keyspace: number; readonly replicas: number }
  /** The shard, and from where to where, are chosen by these numbers among those that there are. */
  | {
      readonly kind: 'move';
      readonly keyspace: number;
      readonly shard: number;
      readonly from: number;
      readonly to: number;
    }
  | { readonly kind: 'replace'; readonly store: number }
  /** Killed, replaced, and started again. */
  | { readonly kind: 'replace dead'; readonly store: number }
  | { readonly kind: 'drain'; readonly store: number }
  | { readonly kind: 'rebalance' }
  | { readonly kind: 'abort'; readonly keyspace: number };

export interface Step {
  /** From the beginning of the round, milliseconds. */
  readonly atMs: number;
  readonly action: Action;
}

export interface Round {
  readonly theme: Theme;
  readonly steps: readonly Step[];
}

const THEMES = ['one fault', 'changes', 'fault in a change', 'dead for good', 'storm'] as const;
export type Theme = (typeof THEMES)[number];

/** One round after the other, as the seed has it: the same for the same seed and number of stores. */
export class Schedule {
  private readonly random: Random;
  private round = 0;
  /** What the keyspaces are to be, if nothing of it was refused. */
  private readonly planned = KEYSPACES.map(({ shards, replicas }) => ({
    shards: shards as number,
    replicas: replicas as number,
  }));
  /** Stores that something is done to in this round already. */
  private broken = new Set<number>();

  constructor(
    seed: number,
    private readonly stores: number,
    /** Stores from this number on may be replaced while they are dead. */
    private readonly solid: number,
  ) {
    this.random = new Random(seed);
  }

  next(): Round {
    const theme = THEMES[this.round++ % THEMES.length]!;
    const { random } = this;
    const actions: Action[] = [];
    this.broken = new Set();
    if (theme === 'one fault') actions.push(this.fault());
    if (theme === 'changes') for (let left = random.int(2, 4); left > 0; left--) actions.push(this.change());
    if (theme === 'fault in a change') actions.push(this.change(), this.fault(), this.change());
    if (theme === 'dead for good')
      actions.push({ kind: 'replace dead', store: random.int(this.solid, this.stores - 1) });
    if (theme === 'storm') {
      actions.push(this.change(), this.several(), this.fault(), this.fault(), this.change());
      if (random.chance(0.5)) actions.push(this.master());
    }
    let atMs = 0;
    const steps = actions.map((action) => {
      atMs += random.int(300, theme === 'storm' ? 2500 : 4000);
      return { atMs, action };
    });
    return { theme, steps };
  }

  private fault(): Action {
    const { random } = this;
    const store = this.whole();
    // Some shorter than it takes to fail over, some longer.
    const forMs = random.int(300, 12_000);
    switch (random.int(0, 9)) {
      case 0:
      case 1:
      case 2:
        return { kind: 'kill', stores: [store], forMs };
      case 3:
      case 4:
        return { kind: 'freeze', store, forMs };
      case 5:
        return this.master();
      case 6:
        return { kind: 'gateway', forMs: random.int(300, 2000) };
      default:
        return {
          kind: 'cut',
          what: random.pick(['all', 'doors', 'feeds', 'master']),
          store,
          isSilent: random.chance(0.5),
          forMs,
        };
    }
  }

  /** A store to which nothing was done in this round yet, if there is one. */
  private whole(): number {
    let store = this.random.int(0, this.stores - 1);
    for (let left = this.stores; left > 0 && this.broken.has(store); left--)
      store = (store + 1) % this.stores;
    this.broken.add(store);
    return store;
  }

  private several(): Action {
    const { random } = this;
    const from = random.int(0, this.stores - 1);
    const count = random.pick([2, 2, 3, this.stores]);
    const stores = Array.from({ length: count }, (_, n) => (from + n) % this.stores);
    for (const store of stores) this.broken.add(store);
    return { kind: 'kill', stores, forMs: random.int(300, 9000) };
  }

  private master(): Action {
    const { random } = this;
    return { kind: 'master', how: random.chance(0.7) ? 'kill' : 'freeze', forMs: random.int(300, 7000) };
  }

  private change(): Action {
    const { random } = this;
    const keyspace = random.int(0, KEYSPACES.length - 1);
    const store = random.int(0, this.stores - 1);
    switch (random.int(0, 10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return { kind: 'resize', keyspace, shards: this.otherShards(keyspace) };
      case 4:
      case 5:
        return { kind: 'replicas', keyspace, replicas: this.otherReplicas(keyspace) };
      case 6:
        return { kind: 'replace', store };
      case 7:
        return { kind: 'drain', store };
      case 8:
        return { kind: 'rebalance' };
      case 9:
        return { kind: 'abort', keyspace };
      default:
        return {
          kind: 'move',
          keyspace,
          shard: random.int(0, SHARDS_MAX - 1),
          from: random.int(0, 2),
          to: random.int(0, this.stores - 1),
        };
    }
  }

  private otherShards(keyspace: number): number {
    const planned = this.planned[keyspace]!;
    const shards = this.random.int(1, SHARDS_MAX - 1);
    planned.shards = shards >= planned.shards ? shards + 1 : shards;
    return planned.shards;
  }

  private otherReplicas(keyspace: number): number {
    const planned = this.planned[keyspace]!;
    const { copies } = KEYSPACES[keyspace]!;
    planned.replicas = copies.find((count) => count !== planned.replicas)!;
    return planned.replicas;
  }
}

/** An action as the timeline has it. */
export function describeAction(action: Action): string {
  switch (action.kind) {
    case 'kill':
      return `kill -9 of store ${action.stores.join(', ')} for ${action.forMs} ms`;
    case 'freeze':
      return `SIGSTOP of store ${action.store} for ${action.forMs} ms`;
    case 'cut':
      return `${action.what} of store ${action.store} ${action.isSilent ? 'silent' : 'cut'} for ${action.forMs} ms`;
    case 'master':
      return `${action.how === 'kill' ? 'kill -9' : 'SIGSTOP'} of the master for ${action.forMs} ms`;
    case 'gateway':
      return `kill -9 of the gateway for ${action.forMs} ms`;
    case 'resize':
      return `resize of ${nameOf(action.keyspace)} to ${action.shards}`;
    case 'replicas':
      return `replicas of ${nameOf(action.keyspace)}: ${action.replicas}`;
    case 'move':
      return `move of shard ${action.shard} of ${nameOf(action.keyspace)}`;
    case 'abort':
      return `abort of ${nameOf(action.keyspace)}`;
    case 'rebalance':
      return 'rebalance';
    default:
      return `${action.kind} of store ${action.store}`;
  }
}

function nameOf(keyspace: number): string {
  return KEYSPACES[keyspace]!.name;
}
