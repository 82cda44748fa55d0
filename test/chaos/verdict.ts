import type { Reply } from '../support/reply.js';
import { itemsOf, render, textOf } from '../support/reply.js';
import type { ChaosCluster, ChaosStore } from './cluster.js';
import type { KeyHistory } from './ledger.js';
import { type Kind, readWords, type State, stateOfReply, textOfState } from './operations.js';
import { KEYSPACES } from './schedule.js';
import { storesOf } from './windows.js';

/** Keys that are read at a time. */
const READ_BATCH = 500;

/** A key that is looked at. */
export interface KnownKey {
  readonly key: string;
  readonly kind: Kind;
}

/** A reply as ioredis gives it. */
function plain(reply: Reply): unknown {
  if (reply.type === 'null') return null;
  if (reply.type === 'array') return reply.items.map(plain);
  if (reply.type === 'error') throw new Error(reply.text);
  return reply.type === 'integer' ? String(reply.value) : textOf(reply);
}

async function readAll(
  client: { pipeline(commands: string[][]): Promise<Reply[]> },
  keys: readonly KnownKey[],
): Promise<Map<string, State>> {
  const states = new Map<string, State>();
  for (let first = 0; first < keys.length; first += READ_BATCH) {
    const batch = keys.slice(first, first + READ_BATCH);
    const replies = await client.pipeline(batch.map(({ key, kind }) => readWords(kind, key)));
    for (const [index, { key, kind }] of batch.entries()) {
      try {
        states.set(key, stateOfReply(kind, plain(replies[index]!)));
      } catch (error) {
        throw new Error(`${key} cannot be read: ${(error as Error).message}`);
      }
    }
  }
  return states;
}

/** What a client at the gateway finds, key by key. Its count and its list of keys have to agree with that. */
export async function readKeyspace(
  cluster: ChaosCluster,
  keyspace: string,
  keys: readonly KnownKey[],
): Promise<{ readonly states: Map<string, State>; readonly problems: string[] }> {
  const client = await cluster.gateway.connect();
  const problems: string[] = [];
  try {
    const selected = await client.rendered('SELECT', keyspace);
    if (selected !== '+OK') throw new Error(`SELECT ${keyspace}: ${selected}`);
    const states = await readAll(client, keys);
    const present = [...states].filter(([, state]) => state.length > 0).map(([key]) => key);
    const count = render(await client.command('DBSIZE'));
    if (count !== `:${present.length}`)
      problems.push(`${keyspace}: DBSIZE is ${count}, and ${present.length} keys are there`);
    const listed = new Set(itemsOf(await client.command('KEYS', '*')).map(textOf));
    const unlisted = present.filter((key) => !listed.has(key));
    if (unlisted.length > 0) problems.push(`${keyspace}: KEYS lacks ${unlisted.slice(0, 5).join(', ')}`);
    const there = new Set(present);
    const unknown = [...listed].filter((key) => !there.has(key));
    if (unknown.length > 0) problems.push(`${keyspace}: KEYS has ${unknown.slice(0, 5).join(', ')}`);
    return { states, problems };
  } finally {
    client.close();
  }
}

/** Rows that are not the same on all copies, read at each of them. */
export async function compareCopies(
  cluster: ChaosCluster,
  number: number,
  keys: readonly KnownKey[],
  expected: ReadonlyMap<string, State>,
): Promise<string[]> {
  const { name } = KEYSPACES[number]!;
  const entry = await cluster.entry(name);
  const problems: string[] = [];
  for (const store of cluster.stores) {
    const held = keys.filter(({ key }) => storesOf(entry, key).includes(store.id));
    const states = await readCopies(cluster, store, number, held);
    for (const { key } of held) {
      const [here, there] = [textOfState(states.get(key)!), textOfState(expected.get(key)!)];
      if (here !== there)
        problems.push(
          `${name}: ${key} is ${JSON.stringify(here.slice(0, 200))} on store ${store.number}, ${JSON.stringify(there.slice(0, 200))} at its owner (holders ${holdersOf(cluster, storesOf(entry, key))})`,
        );
    }
  }
  return problems;
}

function holdersOf(cluster: ChaosCluster, ids: readonly string[]): string {
  return ids.map((id) => cluster.stores.find((store) => store.id === id)?.number ?? id.slice(0, 8)).join(',');
}

async function readCopies(
  cluster: ChaosCluster,
  store: ChaosStore,
  keyspace: number,
  keys: readonly KnownKey[],
): Promise<Map<string, State>> {
  const client = await cluster.copies(store, keyspace);
  try {
    return await readAll(client, keys);
  } catch (error) {
    throw new Error(`store ${store.number}, ${KEYSPACES[keyspace]!.name}: ${(error as Error).message}`);
  } finally {
    client.close();
  }
}

/** What a history looks like, for people who have to find out what happened. */
export function describeHistory({ key, settled, events }: KeyHistory, begunAt: number): string {
  const lines = events.map(({ operation, sentAt, endedAt, outcome, isOnReplica }) => {
    const result = outcome.kind === 'unknown' ? `?? ${outcome.message}` : outcome.reply.slice(0, 200);
    const words = operation.words.join(' ').slice(0, 120);
    return `    ${sentAt - begunAt}..${endedAt - begunAt} ${words} -> ${result}${isOnReplica ? ' (WAIT)' : ''}`;
  });
  return [`  ${key} from ${JSON.stringify(textOfState(settled).slice(0, 200))}`, ...lines].join('\n');
}

/** Warnings that are to be expected where masters are killed and networks cut; others are findings. */
const EXPLAINED: readonly RegExp[] = [
  /WARNING: the master is gone/,
  /WARNING: no master can be reached/,
  /WARNING: the master at \S+ hangs up/,
];

/** Lines of a log that somebody should have looked at. */
export function alarms(lines: readonly string[]): string[] {
  return lines.filter(
    (line) =>
      /WARNING|Warning:|ERROR|Error:|^\s+at /.test(line) && !EXPLAINED.some((each) => each.test(line)),
  );
}
