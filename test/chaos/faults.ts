import type { ChangeRequest } from '../../src/cluster/manager.js';
import { ManagerError } from '../../src/cluster/manager.js';
import type { ClusterNode } from '../support/cluster.js';
import { pause, waitUntil } from '../support/environment.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { type ChaosCluster, type ChaosStore, unavailable } from './cluster.js';
import { type Action, describeAction, KEYSPACES, type Round } from './schedule.js';
import type { FaultKind, Windows } from './windows.js';

/** How long others may take to take the place of a store that is dead, milliseconds. */
const REPLACED_MS = 240_000;
const FAILED_OVER_MS = 60_000;
/** How long a change waits for the one before it. */
const CHANGE_MS = 20_000;
const RETRY_MS = 300;

/** Doors of a store that a fault closes. */
type CutAction = Extract<Action, { kind: 'cut' }>;

const CUT_KINDS: Readonly<Record<CutAction['what'], FaultKind>> = {
  all: 'cut',
  doors: 'cut',
  feeds: 'unfed',
  master: 'unheard',
};

/** Carries out what the schedule says, and notes from when to when it may show. */
export class Faults {
  /** Those that something is done to: one thing at a time. */
  private readonly busy = new Set<ClusterNode>();
  private readonly running = new Map<Action, string>();
  /** Actions that were carried out, by kind. */
  readonly counts = new Map<string, number>();

  constructor(
    private readonly cluster: ChaosCluster,
    private readonly windows: Windows,
    private readonly note: (text: string) => void,
  ) {}

  /** What is being done, for people. */
  get current(): string {
    return [...this.running.values()].join(' + ');
  }

  /** Resolves when all steps are done and everything that they broke is whole again. */
  async run({ steps }: Round): Promise<void> {
    const begunAt = Date.now();
    const all: Promise<void>[] = [];
    for (const { atMs, action } of steps) {
      await pause(begunAt + atMs - Date.now());
      all.push(this.perform(action));
    }
    const results = await Promise.allSettled(all);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  private async perform(action: Action): Promise<void> {
    const text = describeAction(action);
    this.note(text);
    this.running.set(action, text);
    this.counts.set(action.kind, (this.counts.get(action.kind) ?? 0) + 1);
    try {
      await this.carryOut(action);
    } finally {
      this.running.delete(action);
    }
  }

  private carryOut(action: Action): Promise<unknown> {
    switch (action.kind) {
      case 'kill':
        return Promise.all(action.stores.map((store) => this.kill(this.store(store), action.forMs)));
      case 'freeze':
        return this.freeze(this.store(action.store), action.forMs);
      case 'cut':
        return this.cut(action);
      case 'master':
        return this.breakMaster(action.how, action.forMs);
      case 'gateway':
        return this.killGateway(action.forMs);
      case 'replace dead':
        return this.replaceDead(this.store(action.store));
      default:
        return this.change(action);
    }
  }

  private store(number: number): ChaosStore {
    return this.cluster.stores[number]!;
  }

  /** One fault at a time for each process. */
  private async alone(node: ClusterNode, work: () => Promise<void>): Promise<void> {
    if (this.busy.has(node)) {
      this.note(`  nothing is done to ${this.cluster.nameOf(node)}: it is broken already`);
      return;
    }
    this.busy.add(node);
    try {
      await work();
    } finally {
      this.busy.delete(node);
    }
  }

  private async breakNode(node: ClusterNode, how: 'kill' | 'freeze', forMs: number): Promise<void> {
    await this.alone(node, async () => {
      if (how === 'kill') await this.cluster.kill(node);
      else node.freeze();
      await pause(forMs);
      if (how === 'kill') await this.cluster.restart(node);
      else node.resume();
      this.note(`  ${this.cluster.nameOf(node)} is back`);
    });
  }

  private async kill(store: ChaosStore, forMs: number): Promise<void> {
    await this.alone(store.node, async () => {
      const [window, door] = this.open('kill', store);
      await this.cluster.kill(store.node);
      await pause(forMs);
      await this.cluster.restart(store.node);
      this.note(`  store ${store.number} is back`);
      window.to = door.to = Date.now();
    });
  }

  private open(kind: FaultKind, store: ChaosStore) {
    return [this.windows.open(kind, store.id), this.windows.openDoor(store.node.address)] as const;
  }

  private async freeze(store: ChaosStore, forMs: number): Promise<void> {
    await this.alone(store.node, async () => {
      const [window, door] = this.open('freeze', store);
      store.node.freeze();
      await pause(forMs);
      store.node.resume();
      this.note(`  store ${store.number} goes on`);
      window.to = door.to = Date.now();
    });
  }

  private async cut({ what, store: number, isSilent, forMs }: CutAction): Promise<void> {
    const store = this.store(number);
    await this.alone(store.node, async () => {
      const window = this.windows.open(CUT_KINDS[what], store.id);
      const proxies = proxiesOf(store, what);
      for (const proxy of proxies) isSilent ? proxy.silence() : proxy.cut();
      await pause(forMs);
      for (const proxy of proxies) proxy.mend();
      this.note(`  the network of store ${number} is whole`);
      window.to = Date.now();
    });
  }

  private async breakMaster(how: 'kill' | 'freeze', forMs: number): Promise<void> {
    const window = this.windows.openMaster();
    await this.breakNode(this.cluster.nodes.master, how, forMs);
    window.to = Date.now();
  }

  private async killGateway(forMs: number): Promise<void> {
    const door = this.windows.openDoor(this.cluster.gateway.address);
    await this.breakNode(this.cluster.gateway, 'kill', forMs);
    door.to = Date.now();
  }

  private async replaceDead(store: ChaosStore): Promise<void> {
    await this.alone(store.node, async () => {
      if (await this.ownsNothing(store)) await this.fill(store);
      const [window, door] = this.open('kill', store);
      const replaced = this.windows.open('replaced', store.id);
      await this.cluster.kill(store.node);
      await waitUntil('others own its shards', () => answered(this.ownsNothing(store)), FAILED_OVER_MS);
      const isBegun = await this.request({ kind: 'replace', store: store.id, by: '' });
      if (isBegun)
        await waitUntil('others have taken its place', () => answered(this.holdsNothing(store)), REPLACED_MS);
      this.note(`  others have taken the place of store ${store.number}`);
      await this.cluster.restart(store.node);
      window.to = replaced.to = door.to = Date.now();
    });
  }

  /** So that there is something to lose. */
  private async fill(store: ChaosStore): Promise<void> {
    if (!(await this.request({ kind: 'rebalance' }))) return;
    await waitUntil('the rebalancing is over', () => answered(this.isAtRest()), REPLACED_MS);
    this.note(
      `  store ${store.number} ${(await this.ownsNothing(store)) ? 'still owns nothing' : 'owns something'}`,
    );
  }

  private async isAtRest(): Promise<boolean> {
    return (await this.cluster.nodes.control.changeStatuses()).length === 0;
  }

  private async ownsNothing({ id }: ChaosStore): Promise<boolean> {
    const { keyspaces } = await this.cluster.nodes.control.fetchTopology();
    return [...keyspaces.values()].every(
      ({ shards, change }) => change === undefined && shards.every(({ stores }) => stores[0] !== id),
    );
  }

  private async holdsNothing({ id }: ChaosStore): Promise<boolean> {
    const { control } = this.cluster.nodes;
    const [{ keyspaces }, statuses] = await Promise.all([control.fetchTopology(), control.changeStatuses()]);
    return (
      statuses.every(({ isResting }) => isResting) &&
      [...keyspaces.values()].every(({ shards }) => shards.every(({ stores }) => !stores.includes(id)))
    );
  }

  private async change(
    action: Exclude<Action, { kind: 'kill' | 'freeze' | 'cut' | 'master' | 'gateway' | 'replace dead' }>,
  ): Promise<void> {
    switch (action.kind) {
      case 'replace':
      case 'drain': {
        const store = this.store(action.store).id;
        await this.request(
          action.kind === 'drain' ? { kind: 'drain', store } : { kind: 'replace', store, by: '' },
        );
        return;
      }
      case 'rebalance':
        await this.request({ kind: 'rebalance' });
        return;
      case 'move':
        await this.move(action);
        return;
      default: {
        const keyspace = KEYSPACES[action.keyspace]!.name;
        await this.request({ ...action, keyspace });
      }
    }
  }

  private async move(action: Extract<Action, { kind: 'move' }>): Promise<void> {
    const keyspace = KEYSPACES[action.keyspace]!;
    const { shards } = await this.cluster.entry(keyspace.name).catch(() => ({ shards: [] }));
    if (shards.length === 0) return;
    const shard = action.shard % shards.length;
    const { stores } = shards[shard]!;
    const from = stores[action.from % stores.length]!;
    const others = this.cluster.stores.filter(({ id }) => !stores.includes(id));
    if (others.length === 0) return;
    const to = others[action.to % others.length]!.id;
    await this.request({ kind: 'move', keyspace: keyspace.name, shard, from, to });
  }

  /**
   * Waits for another change to end first, for a while.
   * @returns whether the master has begun it; that it does not is an answer, too
   */
  private async request(request: ChangeRequest, untilMs = Date.now() + CHANGE_MS): Promise<boolean> {
    try {
      const { id } = await this.cluster.nodes.control.beginChange(request);
      this.note(id === '' ? `  nothing to ${request.kind}` : `  ${request.kind} has begun`);
      return id !== '';
    } catch (error) {
      if (!(error instanceof ManagerError)) throw error;
      if (/ is under way/.test(error.message) && Date.now() < untilMs) {
        await pause(RETRY_MS);
        return this.request(request, untilMs);
      }
      this.note(`  ${request.kind} is refused: ${error.code} ${error.message}`);
      return false;
    }
  }
}

/** False as long as the master does not answer. */
function answered(question: Promise<boolean>): Promise<boolean> {
  return question.catch((error: Error) => unavailable(error) === '');
}

function proxiesOf({ networks }: ChaosStore, what: CutAction['what']): readonly TcpProxy[] {
  switch (what) {
    case 'all':
      return [networks.plain, networks.peer, networks.master, ...networks.doors];
    case 'doors':
      return [networks.plain, ...networks.doors];
    case 'feeds':
      return [networks.peer];
    case 'master':
      return [networks.master];
  }
}
