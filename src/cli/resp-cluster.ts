import {
  type ChangeBegun,
  type ChangeRequest,
  type ChangeStatus,
  type KeyspaceRequest,
  ManagerError,
} from '../cluster/manager.js';
import type {
  ClusterClient,
  ClusterWatcher,
  KeyspaceDescription,
  KeyspaceView,
  ShardReport,
  StoreAddress,
  StoreView,
  TopologyView,
} from './cluster-client.js';
import { byAddress, describeKeyspace, findKeyspace, storeChanges, topologyChanges } from './cluster-views.js';
import { parseEndpoint } from './endpoint.js';
import { entriesOf, itemsOf, type Reply, textOf } from './reply.js';
import type { ConnectionChoice } from './resp-connection.js';
import { ConnectionError, RespConnection } from './resp-connection.js';

/** How often a server is asked whether anything has changed, where no master tells of it. */
const POLL_MS = 1000;

/**
 * A cluster through any of its servers: the VASTO commands, over a connection that is made when it is needed.
 * Reads what src/resp/front/vasto.ts writes.
 */
export class RespCluster implements ClusterClient {
  private connection: RespConnection | undefined;
  private connecting: Promise<RespConnection> | undefined;
  private isClosed = false;

  /** @param name how people call the server */
  constructor(
    private readonly choice: () => ConnectionChoice,
    private readonly name: string,
  ) {}

  async topology(): Promise<TopologyView> {
    const fields = entriesOf(await this.ask('TOPOLOGY'));
    return {
      clusterId: textOf(fields.get('cluster-id')) ?? '',
      epoch: numberOf(fields.get('epoch')) ?? 0,
      stores: itemsOf(fields.get('stores'))
        .map((item) => storeAddress(entriesOf(item)))
        .sort(byAddress),
      keyspaces: itemsOf(fields.get('keyspaces')).map((item) => {
        const keyspace = entriesOf(item);
        const placement = itemsOf(keyspace.get('placement')).map(texts);
        return { ...keyspaceView(keyspace), placement };
      }),
    };
  }

  async stores(): Promise<StoreView[]> {
    const stores = itemsOf(await this.ask('STORES')).map((item): StoreView => {
      const fields = entriesOf(item);
      return {
        ...storeAddress(fields),
        state: textOf(fields.get('state')) === 'up' ? 'up' : 'down',
        seenMsAgo: numberOf(fields.get('seen-ms-ago')),
        freeBytes: numberOf(fields.get('free-bytes')) ?? 0,
        totalBytes: numberOf(fields.get('total-bytes')) ?? 0,
        shards: numberOf(fields.get('shards')) ?? 0,
        feeds: numberOf(fields.get('feeds')) ?? 0,
        feedsLevel: numberOf(fields.get('feeds-level')) ?? 0,
        lagMs: numberOf(fields.get('lag-ms')) ?? 0,
      };
    });
    return stores.sort(byAddress);
  }

  async describe(name: string): Promise<KeyspaceDescription> {
    const topology = await this.topology();
    const keyspace = findKeyspace(topology, name);
    const fields = entriesOf(await this.ask('KEYSPACE', 'DESCRIBE', name));
    const reports = itemsOf(fields.get('placement')).map((item): ShardReport => {
      const shard = entriesOf(item);
      return {
        state: textOf(shard.get('state')) ?? null,
        keys: numberOf(shard.get('keys')),
        bytes: numberOf(shard.get('bytes')),
        copyStates: itemsOf(shard.get('copies')).map((text) => textOf(text) || null),
      };
    });
    return describeKeyspace(topology, keyspace, await this.stores(), reports);
  }

  async create({ name, shards, replicas, tags, db }: KeyspaceRequest): Promise<KeyspaceView> {
    const options = ['SHARDS', String(shards), 'REPLICAS', String(replicas)];
    if (db !== undefined) options.push('DB', String(db));
    if (tags.length > 0) options.push('TAGS', ...tags);
    await this.ask('KEYSPACE', 'CREATE', name, ...options);
    const { placement: _, ...view } = findKeyspace(await this.topology(), name);
    return view;
  }

  async remove(name: string): Promise<void> {
    await this.ask('KEYSPACE', 'DELETE', name);
  }

  async compact(name: string): Promise<void> {
    await this.ask('KEYSPACE', 'COMPACT', name);
  }

  async beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    const fields = entriesOf(await this.ask(...changeWords(request)));
    return { id: textOf(fields.get('id')) ?? '', explanation: texts(fields.get('explanation')) };
  }

  async changeStatuses(): Promise<ChangeStatus[]> {
    return itemsOf(await this.ask('TASKS')).map((item) => changeStatus(entriesOf(item)));
  }

  async openStore(store: string): Promise<RespConnection> {
    const choice = this.choice();
    const topology = entriesOf(await this.ask('TOPOLOGY'));
    const stores = itemsOf(topology.get('stores')).map(entriesOf);
    const fields = stores.find((each) => textOf(each.get('id')) === store);
    if (fields === undefined) throw new ManagerError('UNAVAILABLE', `${this.name} knows no store ${store}`);
    // A server may be known to others by an address that only they, or only it, can reach.
    if (textOf(topology.get('self')) === store) return openConnection(choice, this.name);
    const name = textOf(fields.get('address')) ?? '';
    const port = numberOf(fields.get(choice.tls === undefined ? 'port' : 'tls-port')) ?? 0;
    if (port === 0)
      throw new ManagerError(
        'IMPOSSIBLE',
        `the store at ${name} ${choice.tls === undefined ? 'takes TLS only: use --tls' : 'has no TLS: do without --tls'}`,
      );
    const endpoint = parseEndpoint(name, port, false) as { host: string; port: number };
    return openConnection({ ...choice, endpoint: { ...endpoint, port } }, name);
  }

  watch(watcher: ClusterWatcher): () => void {
    let topology: TopologyView | undefined;
    let stores: StoreView[] | undefined;
    let isConnected: boolean | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isStopped = false;
    const tell = (text: string) => watcher.event(text, Date.now());
    const look = async () => {
      const now = await this.topology();
      if (topology !== undefined) for (const text of topologyChanges(topology, now)) tell(text);
      if (topology?.epoch !== now.epoch) watcher.topology(now);
      topology = now;
      const seen = await this.stores();
      if (stores !== undefined) for (const text of storeChanges(stores, seen)) tell(text);
      stores = seen;
    };
    const round = async () => {
      let answered = true;
      await look().catch((error: unknown) => {
        answered = false;
        // What is no Vasto will not become one.
        if (error instanceof ManagerError && error.code === 'IMPOSSIBLE') isStopped = true;
      });
      if (isStopped) return;
      if (answered !== isConnected) watcher.connected(answered);
      isConnected = answered;
      timer = setTimeout(() => void round(), POLL_MS);
    };
    void round();
    return () => {
      isStopped = true;
      clearTimeout(timer);
    };
  }

  close(): void {
    this.isClosed = true;
    this.connection?.close();
  }

  private async ask(...words: string[]): Promise<Reply> {
    const connection = await this.connect();
    try {
      const reply = await connection.command(['VASTO', ...words]);
      if (reply === undefined) throw new ManagerError('FAILED', `${this.name} gave no reply`);
      if (reply.type === 'error') throw refusal(reply.text, this.name);
      return reply;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      throw new ManagerError(
        'UNAVAILABLE',
        `${error.message}. What was asked of it may or may not be done.`,
        { cause: error },
      );
    }
  }

  private connect(): Promise<RespConnection> {
    if (this.connection?.isOpen) return Promise.resolve(this.connection);
    // Those who ask at the same time share one.
    this.connecting ??= this.open().finally(() => {
      this.connecting = undefined;
    });
    return this.connecting;
  }

  private async open(): Promise<RespConnection> {
    const connection = await openConnection(this.choice(), this.name);
    if (this.isClosed) connection.close();
    this.connection = connection;
    return connection;
  }
}

/** One that has been let in. Rejects with ManagerError. */
async function openConnection(choice: ConnectionChoice, name: string): Promise<RespConnection> {
  try {
    const connection = await RespConnection.open(choice);
    if (connection.refusal === undefined) return connection;
    connection.close();
    throw refusal(connection.refusal, name);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    throw new ManagerError('UNAVAILABLE', error.message, { cause: error });
  }
}

function refusal(text: string, name: string): ManagerError {
  if (/unknown command/i.test(text))
    return new ManagerError(
      'IMPOSSIBLE',
      `the server at ${name} does not know VASTO commands: it is Redis, or another server that is not Vasto`,
    );
  if (text.startsWith('NOAUTH'))
    return new ManagerError('IMPOSSIBLE', `${name} wants a password: give --password, or set VASTO_PASSWORD`);
  return new ManagerError('FAILED', text.replace(/^ERR /, ''));
}

function numberOf(reply: Reply | undefined): number | null {
  return reply?.type === 'integer' ? Number(reply.value) : null;
}

function texts(reply: Reply | undefined): string[] {
  return itemsOf(reply).map((item) => textOf(item) ?? '');
}

function storeAddress(fields: ReadonlyMap<string, Reply>): StoreAddress {
  return {
    id: textOf(fields.get('id')) ?? '',
    address: textOf(fields.get('address')) ?? '',
    zone: textOf(fields.get('zone')) ?? '',
    tags: texts(fields.get('tags')),
    isDrained: numberOf(fields.get('drained')) === 1,
  };
}

/** A request as the words behind VASTO. */
function changeWords(request: ChangeRequest): string[] {
  switch (request.kind) {
    case 'resize':
      return ['KEYSPACE', 'RESIZE', request.keyspace, String(request.shards)];
    case 'replicas':
      return ['KEYSPACE', 'REPLICAS', request.keyspace, String(request.replicas)];
    case 'move': {
      const { keyspace, shard, from, to } = request;
      return ['KEYSPACE', 'MOVE', keyspace, String(shard), from, to];
    }
    case 'abort':
      return ['KEYSPACE', 'ABORT', request.keyspace];
    case 'replace':
      return ['STORE', 'REPLACE', request.store, ...(request.by === '' ? [] : [request.by])];
    case 'drain':
    case 'undrain':
      return ['STORE', request.kind.toUpperCase(), request.store];
    case 'rebalance':
      return ['REBALANCE'];
  }
}

function changeStatus(fields: ReadonlyMap<string, Reply>): ChangeStatus {
  const text = (name: string) => textOf(fields.get(name)) ?? '';
  const number = (name: string) => numberOf(fields.get(name)) ?? 0;
  return {
    id: text('id'),
    keyspace: text('keyspace'),
    kind: text('kind'),
    phase: text('phase'),
    startedAtMs: number('started-at-ms'),
    attempts: number('attempts'),
    rows: number('rows'),
    rowsTotal: number('rows-total'),
    bytes: number('bytes'),
    bytesTotal: number('bytes-total'),
    waitsFor: texts(fields.get('waits-for')),
    isResting: number('resting') === 1,
  };
}

function keyspaceView(fields: ReadonlyMap<string, Reply>): KeyspaceView {
  return {
    id: textOf(fields.get('id')) ?? '',
    name: textOf(fields.get('name')) ?? '',
    db: numberOf(fields.get('db')),
    shards: numberOf(fields.get('shards')) ?? 0,
    replicas: numberOf(fields.get('replicas')) ?? 0,
    tags: texts(fields.get('tags')),
  };
}
