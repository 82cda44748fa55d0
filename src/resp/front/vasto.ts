import type { Arguments } from '../../base/arguments.js';
import {
  CommandError,
  NOT_AN_INTEGER,
  replyOf,
  SYNTAX_ERROR,
  wrongArity,
} from '../../base/command-errors.js';
import { TOPOLOGY_WAIT_MS } from '../../base/limits.js';
import { parseInteger } from '../../base/numbers.js';
import type { ReplyWriter } from '../../base/reply-writer.js';
import { copyState, STORE_DOWN, storeLag } from '../../cluster/copy-state.js';
import { type KeyspaceRequest, ManagerError, type StoreStatus } from '../../cluster/manager.js';
import { SLOTS } from '../../cluster/slots.js';
import {
  addressOf,
  epochOf,
  type KeyspaceEntry,
  keyspaceByName,
  liveKeyspaces,
  type StoreEntry,
  type Topology,
} from '../../cluster/topology.js';
import type { Keyspaces } from '../../node/keyspaces.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';
import { help } from './help.js';
import { beginChange, keyspaceChange, storeChange, tasks } from './vasto-changes.js';
import { type Fields, writeFields, writeNumber, writeTexts } from './vasto-fields.js';

/** VASTO: what operators do with keyspaces, over RESP. */
export const vastoHandlers: FrontHandlers = {
  'vasto|keyspace': inTurn(keyspace),
  'vasto|store': inTurn((context, args) =>
    managed(context, (inner) => beginChange(inner, storeChange(args))),
  ),
  'vasto|rebalance': inTurn((context) =>
    managed(context, (inner) => beginChange(inner, { kind: 'rebalance' })),
  ),
  'vasto|tasks': inTurn((context) => managed(context, tasks)),
  'vasto|topology': now(({ server, reply }) => writeTopology(reply, server.store.keyspaces)),
  'vasto|stores': inTurn((context) =>
    managed(context, async ({ server, reply }) => {
      const stores = await server.store.manager.stores();
      const nowMs = Date.now();
      reply.array(stores.length);
      for (const store of stores) writeStatus(reply, store, nowMs);
    }),
  ),
  'vasto|help': help('VASTO', [
    [
      'KEYSPACE CREATE <name> [SHARDS <count>] [REPLICAS <count>] [TAGS <tag> ...] [DB <number>]',
      'Make a keyspace of so many shards and copies, on stores with these tags.',
      'SELECT reaches it by its name, and by the number if one is given.',
    ],
    ['KEYSPACE DELETE <name>', 'Delete a keyspace, and all that is in it.'],
    ['KEYSPACE LIST', 'The keyspaces there are.'],
    ['KEYSPACE DESCRIBE <name>', 'Where the shards of a keyspace are.'],
    ['KEYSPACE COMPACT <name>', 'Rewrite its shards, so that what was deleted takes no space.'],
    ['KEYSPACE RESIZE <name> <shards>', 'Begin to give it another number of shards.'],
    ['KEYSPACE REPLICAS <name> <count>', 'Begin to give it another number of copies of each shard.'],
    ['KEYSPACE MOVE <name> <shard> <store> <store>', 'Begin to move a copy from one store to another.'],
    ['KEYSPACE ABORT <name>', 'Give its change up, before others have taken over.'],
    ['STORE REPLACE <store> [<store>]', 'Begin to give all that a store has to another one.'],
    ['STORE DRAIN <store>', 'Begin to give all that a store has to others. It gets nothing more.'],
    ['STORE UNDRAIN <store>', 'Let a store that was drained get shards again.'],
    ['REBALANCE', 'Begin to spread shards evenly over the stores.'],
    ['TASKS', 'Changes that are going on.'],
    ['STORES', 'What the master knows of each store.'],
    ['TOPOLOGY', 'Stores and keyspaces as this node knows them.'],
  ]),
};

interface KeyspaceAction {
  /** Numbers of arguments it takes, all words counted. */
  readonly countMin: number;
  readonly countMax: number;
  run(context: FrontContext, args: Arguments): void | Promise<void>;
}

const ACTIONS: ReadonlyMap<string, KeyspaceAction> = new Map<string, KeyspaceAction>([
  ['CREATE', { countMin: 4, countMax: Number.POSITIVE_INFINITY, run: create }],
  ['DELETE', { countMin: 4, countMax: 4, run: remove }],
  ['LIST', { countMin: 3, countMax: 3, run: list }],
  ['DESCRIBE', { countMin: 4, countMax: 4, run: describe }],
  ['COMPACT', { countMin: 4, countMax: 4, run: compact }],
]);

async function keyspace(context: FrontContext, args: Arguments): Promise<void> {
  const change = args.count > 3 ? keyspaceChange(args) : undefined;
  if (change !== undefined) {
    await managed(context, (inner) => beginChange(inner, change));
    return;
  }
  const action = ACTIONS.get(args.token(2));
  if (action === undefined) {
    context.reply.error(
      `ERR unknown action '${args.text(2).slice(0, 128)}' of VASTO KEYSPACE. Try VASTO HELP.`,
    );
    return;
  }
  if (args.count < action.countMin || args.count > action.countMax) {
    context.reply.error(wrongArity(`vasto|keyspace ${args.token(2).toLowerCase()}`));
    return;
  }
  await managed(context, (inner) => action.run(inner, args));
}

/** Runs what may be refused by the manager, whose reasons become error replies. */
async function managed(
  context: FrontContext,
  run: (context: FrontContext) => void | Promise<void>,
): Promise<void> {
  try {
    await run(context);
  } catch (error) {
    if (!(error instanceof ManagerError)) throw error;
    context.reply.error(replyOf(error));
  }
}

async function create({ server, reply }: FrontContext, args: Arguments): Promise<void> {
  const { store } = server;
  const parsed = parseRequest(args);
  if (parsed instanceof CommandError) {
    reply.error(parsed);
    return;
  }
  const request = store.id === '' ? parsed : { ...parsed, near: store.id };
  const { id } = await store.manager.createKeyspace(request);
  // So that the next SELECT on this node finds it.
  await store.keyspaces.when(() => store.keyspaces.withId(id), TOPOLOGY_WAIT_MS);
  reply.ok();
}

/** CREATE name [SHARDS count] [REPLICAS count] [TAGS tag …] [DB number], in any order behind the name. */
function parseRequest(args: Arguments): KeyspaceRequest | CommandError {
  const numbers = new Map<string, number>();
  const tags: string[] = [];
  let index = 4;
  while (index < args.count) {
    const option = args.token(index++);
    if (option === 'TAGS') {
      const first = index;
      while (index < args.count && !OPTIONS.has(args.token(index))) tags.push(args.text(index++));
      if (index === first) return SYNTAX_ERROR;
      continue;
    }
    if (!OPTIONS.has(option) || numbers.has(option) || index === args.count) return SYNTAX_ERROR;
    const value = parseInteger(args.text(index++));
    if (value === undefined || value < 0) return NOT_AN_INTEGER;
    numbers.set(option, value);
  }
  const db = numbers.get('DB');
  return {
    name: args.text(3),
    shards: numbers.get('SHARDS') ?? 1,
    replicas: numbers.get('REPLICAS') ?? 1,
    tags,
    ...(db === undefined ? {} : { db }),
  };
}

const OPTIONS: ReadonlySet<string> = new Set(['SHARDS', 'REPLICAS', 'TAGS', 'DB']);

async function remove({ server, reply }: FrontContext, args: Arguments): Promise<void> {
  const { keyspaces, manager } = server.store;
  const name = args.text(3);
  const id = keyspaces.named(name)?.id;
  await manager.deleteKeyspace(name);
  if (id !== undefined)
    await keyspaces.when(() => (keyspaces.withId(id) === undefined ? true : undefined), TOPOLOGY_WAIT_MS);
  reply.ok();
}

function list({ server, reply }: FrontContext): void {
  const keyspaces = liveKeyspaces(server.store.keyspaces.topology);
  reply.array(keyspaces.length);
  for (const entry of keyspaces) writeSummary(reply, entry);
}

async function compact({ server, reply }: FrontContext, args: Arguments): Promise<void> {
  await server.store.manager.compactKeyspace(args.text(3), () => undefined);
  reply.ok();
}

async function describe({ server, reply }: FrontContext, args: Arguments): Promise<void> {
  const { keyspaces, manager } = server.store;
  const { topology } = keyspaces;
  const entry = keyspaceByName(topology, args.text(3));
  if (entry === undefined) {
    reply.error(`ERR no keyspace is named '${args.text(3)}': VASTO KEYSPACE LIST tells which there are`);
    return;
  }
  const statuses = await manager.stores().catch((error: unknown) => {
    // Without the master, it is told all that is known here.
    if (error instanceof ManagerError && error.code === 'UNAVAILABLE') return [];
    throw error;
  });
  const slotsOfShard = slotCounts(keyspaces.withId(entry.id)?.shardsOfSlots, entry.shards.length);
  writeFields(reply, [
    ['id', (out) => out.bulk(entry.id)],
    ...summaryFields(entry),
    ['epoch', (out) => out.integer(entry.epoch)],
    [
      'placement',
      (out) => {
        out.array(entry.shards.length);
        for (const [shard, { stores }] of entry.shards.entries())
          writeShard(out, { entry, shard, stores, slots: slotsOfShard[shard]!, topology, statuses });
      },
    ],
  ]);
}

function slotCounts(shardsOfSlots: Uint16Array | undefined, shards: number): number[] {
  const counts = new Array<number>(shards).fill(0);
  for (let slot = 0; slot < SLOTS; slot++) {
    const shard = shardsOfSlots?.[slot];
    if (shard !== undefined && shard < shards) counts[shard]!++;
  }
  return counts;
}

interface DescribedShard {
  readonly entry: KeyspaceEntry;
  readonly shard: number;
  readonly stores: readonly string[];
  readonly slots: number;
  readonly topology: Topology;
  readonly statuses: readonly StoreStatus[];
}

/** A shard with its owner, and what the owner says of it; what is not known is nil. */
function writeShard(
  reply: ReplyWriter,
  { entry, shard, stores, slots, topology, statuses }: DescribedShard,
): void {
  const owner = topology.stores.get(stores[0] ?? '');
  const status = statuses.find((each) => each.entry.id === stores[0]);
  const reported = status?.shards.find((each) => each.keyspace === entry.id && each.shard === shard);
  const state = status?.alive === false ? STORE_DOWN : reported?.state;
  /** In words how much of the owner's data a store has; '' of the owner, and where nothing is known. */
  const stateOf = (store: string) => {
    if (store === stores[0]) return '';
    const copy = statuses.find((each) => each.entry.id === store);
    return copyState(copy, entry.id, shard, stores[0]!) ?? '';
  };
  writeFields(reply, [
    ['shard', (out) => out.integer(shard)],
    ['slots', (out) => out.integer(slots)],
    ['stores', (out) => writeTexts(out, stores)],
    ['address', (out) => out.bulkOrNil(owner && addressOf(owner))],
    ['state', (out) => out.bulkOrNil(state)],
    ['keys', (out) => writeNumber(out, reported?.keys)],
    ['bytes', (out) => writeNumber(out, reported?.bytes)],
    ['copies', (out) => writeTexts(out, stores.map(stateOf))],
  ]);
}

function summaryFields({ name, db, shards, replicas, tags }: KeyspaceEntry): Fields {
  return [
    ['name', (reply) => reply.bulk(name)],
    ['db', (reply) => writeNumber(reply, db)],
    ['shards', (reply) => reply.integer(shards.length)],
    ['replicas', (reply) => reply.integer(replicas)],
    ['tags', (reply) => writeTexts(reply, tags)],
  ];
}

function writeSummary(reply: ReplyWriter, entry: KeyspaceEntry): void {
  writeFields(reply, summaryFields(entry));
}

function storeFields(entry: StoreEntry): Fields {
  return [
    ['id', (reply) => reply.bulk(entry.id)],
    ['address', (reply) => reply.bulk(addressOf(entry))],
    ['port', (reply) => reply.integer(entry.port)],
    ['tls-port', (reply) => reply.integer(entry.tlsPort)],
    ['zone', (reply) => reply.bulk(entry.zone)],
    ['tags', (reply) => writeTexts(reply, entry.tags)],
    ['drained', (reply) => reply.integer(entry.isDrained === true ? 1 : 0)],
  ];
}

function writeTopology(reply: ReplyWriter, { topology, self }: Keyspaces): void {
  const stores = [...topology.stores.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const keyspaces = liveKeyspaces(topology);
  writeFields(reply, [
    ['cluster-id', (out) => out.bulk(topology.clusterId)],
    ['epoch', (out) => out.integer(epochOf(topology))],
    // Id of the store that answers; '' of a gateway.
    ['self', (out) => out.bulk(self)],
    [
      'stores',
      (out) => {
        out.array(stores.length);
        for (const entry of stores) writeFields(out, storeFields(entry));
      },
    ],
    [
      'keyspaces',
      (out) => {
        out.array(keyspaces.length);
        for (const entry of keyspaces) writePlacement(out, entry);
      },
    ],
  ]);
}

function writePlacement(reply: ReplyWriter, entry: KeyspaceEntry): void {
  writeFields(reply, [
    ['id', (out) => out.bulk(entry.id)],
    ...summaryFields(entry),
    [
      'placement',
      (out) => {
        out.array(entry.shards.length);
        for (const { stores } of entry.shards) writeTexts(out, stores);
      },
    ],
  ]);
}

function writeStatus(reply: ReplyWriter, status: StoreStatus, nowMs: number): void {
  const { entry, alive, seenAtMs, freeBytes, totalBytes, shards } = status;
  const { feeds, feedsLevel, lagMs } = storeLag(shards);
  writeFields(reply, [
    ...storeFields(entry),
    ['state', (out) => out.bulk(alive ? 'up' : 'down')],
    ['seen-ms-ago', (out) => writeNumber(out, seenAtMs === 0 ? undefined : Math.max(0, nowMs - seenAtMs))],
    ['free-bytes', (out) => out.integer(freeBytes)],
    ['total-bytes', (out) => out.integer(totalBytes)],
    ['shards', (out) => out.integer(shards.length)],
    ['feeds', (out) => out.integer(feeds)],
    ['feeds-level', (out) => out.integer(feedsLevel)],
    ['lag-ms', (out) => out.integer(lagMs)],
  ]);
}
