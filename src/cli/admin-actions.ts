import { type KeyspaceRequest, ManagerError } from '../cluster/manager.js';
import type { ClusterClient } from './cluster-client.js';
import { RequestError, wholeNumber } from './keyspace-words.js';
import { ProgressBar } from './progress.js';
import { descriptionText, keyspacesTable, printable, storesTable, topologyText } from './tables.js';
import { count } from './words.js';

/** What this program itself refuses to do. */
export class Refusal extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Refusal';
  }
}

/** What an action works with. */
export interface AdminContext {
  readonly cluster: ClusterClient;
  readonly isJson: boolean;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly errIsTerminal: boolean;
  /** Asks a person; undefined where there is none. */
  readonly ask: ((question: string) => Promise<string>) | undefined;
  /** Somebody does not want to wait any longer. */
  readonly stop?: AbortSignal;
}

/** Prints a value as JSON, or what it is in words. */
export function print({ isJson, out }: AdminContext, value: object, text: () => string): void {
  out(isJson ? `${JSON.stringify(value)}\n` : text());
}

/** For how far something has come; nothing where nobody looks, or not any more. */
export function progressBar({ err, errIsTerminal, isJson, stop }: AdminContext): ProgressBar {
  const write = (text: string) => {
    if (stop?.aborted !== true) err(text);
  };
  return new ProgressBar(write, errIsTerminal && !isJson);
}

export async function create(context: AdminContext, request: KeyspaceRequest): Promise<void> {
  const keyspace = await context.cluster.create(request);
  const { name, shards, replicas, db } = keyspace;
  const number = db === null ? '' : ` and the number ${db}`;
  print(
    context,
    { keyspace },
    () =>
      `created keyspace ${name} with ${count(shards, 'shard')}${replicas > 1 ? ` in ${replicas} copies` : ''}${number}\n`,
  );
}

export async function remove(context: AdminContext, name: string, isSure: boolean): Promise<void> {
  const { cluster, ask } = context;
  if (!isSure) {
    if (ask === undefined)
      throw new Refusal(
        `deleting keyspace '${name}' deletes all that is in it: say --yes where nobody can be asked`,
      );
    // First, so that nobody is asked about what there is not.
    const { keys } = await cluster.describe(name);
    const amount = keys === null ? 'all that is in it' : `the ${count(keys, 'key')} in it`;
    const answer = await ask(`Delete keyspace ${printable(name)} and ${amount}? Type its name to do so: `);
    if (answer.trim() !== name) throw new Refusal('nothing was deleted');
  }
  await cluster.remove(name);
  print(context, { deleted: name }, () => `deleted keyspace ${printable(name)}\n`);
}

export async function list(context: AdminContext): Promise<void> {
  const { keyspaces } = await context.cluster.topology();
  const views = keyspaces.map(({ placement: _, ...view }) => view);
  print(context, { keyspaces: views }, () => keyspacesTable(views));
}

export async function describe(context: AdminContext, name: string): Promise<void> {
  const keyspace = await context.cluster.describe(name);
  print(context, { keyspace }, () => descriptionText(keyspace));
}

export async function compact(context: AdminContext, name: string): Promise<void> {
  const bar = progressBar(context);
  try {
    bar.show({ done: 0, total: 0, phase: `compacting ${printable(name)}` });
    await context.cluster.compact(name, (progress) => bar.show(progress));
  } finally {
    bar.clear();
  }
  print(context, { compacted: name }, () => `compacted keyspace ${printable(name)}\n`);
}

export async function stores(context: AdminContext): Promise<void> {
  const views = await context.cluster.stores();
  print(context, { stores: views }, () => storesTable(views));
}

export async function topology(context: AdminContext): Promise<void> {
  const view = await context.cluster.topology();
  print(context, { topology: view }, () => topologyText(view));
}

export interface WaitTexts {
  readonly stores?: string;
  readonly keyspace?: string;
  readonly for?: string;
}

const WAIT_SECONDS = '30';
const WAIT_SECONDS_MAX = 86_400;
const LOOK_PAUSE_MS = 200;

export async function waitReady(context: AdminContext, texts: WaitTexts): Promise<void> {
  const wanted = wholeNumber(texts.stores ?? '1', '--stores', 0, 100_000);
  const waitMs = wholeNumber(texts.for ?? WAIT_SECONDS, '--for', 0, WAIT_SECONDS_MAX) * 1000;
  if (texts.keyspace === '') throw new RequestError('--keyspace needs a name');
  const untilMs = Date.now() + waitMs;
  for (;;) {
    const missing = await lacking(context.cluster, wanted, texts.keyspace);
    if (missing === undefined) break;
    if (Date.now() + LOOK_PAUSE_MS > untilMs) throw missing;
    await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MS));
  }
  print(context, { ready: true }, () => 'ready\n');
}

/** Why the cluster is not ready; undefined when it is. */
async function lacking(
  cluster: ClusterClient,
  wanted: number,
  keyspace: string | undefined,
): Promise<Error | undefined> {
  try {
    const up = (await cluster.stores()).filter(({ state }) => state === 'up').length;
    if (up < wanted) return new Refusal(`not ready: ${count(up, 'store')} of ${wanted} up`);
    if (keyspace === undefined) return undefined;
    const { placement } = await cluster.describe(keyspace);
    const idle = placement.filter(({ state }) => state !== 'open').length;
    if (idle === 0) return undefined;
    return new Refusal(
      `not ready: ${idle} of ${count(placement.length, 'shard')} of keyspace '${keyspace}' not served`,
    );
  } catch (error) {
    if (error instanceof ManagerError && (error.code === 'UNAVAILABLE' || error.code === 'NOT_FOUND'))
      return error;
    throw error;
  }
}
