import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { commandSlot, NO_SLOT, SEVERAL_SLOTS } from '../cluster/command-slot.js';
import { CROSS_SLOT } from '../cluster/redirection.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import type { Store } from '../node/store.js';
import type { ShardRoute } from '../workers/pool.js';
import { type ClusterDoors, placesAsked } from './cluster-doors.js';
import { movedError } from './forwarding.js';
import { isFlushCommand } from './front/databases.js';
import { overShards } from './routing.js';
import {
  deletedKeyspace,
  isDatabase,
  parseSelection,
  type Selection,
  selectedKeyspace,
  targetDatabase,
} from './selection.js';
import type { RespServer } from './server.js';
import type { QueuedCommand, Session } from './session.js';

const DELETED_MEANWHILE = new CommandError('ERR the keyspace has been deleted');
const SEVERAL_STORES = new CommandError(
  'CROSSSLOT a transaction reaches one store, and these commands and watched keys need several',
);
const FLUSHES_ELSEWHERE = new CommandError(
  'ERR FLUSHALL inside MULTI reaches one store, and some databases are on others: send it by itself',
);

/** A shard on another store. */
export interface Elsewhere {
  readonly keyspace: Keyspace;
  readonly place: ShardPlace;
}

/** A queued command with the shards of this node that it needs: its own first. */
export interface Step extends QueuedCommand {
  /** The database, or the name of the keyspace, that is selected once it has run. */
  readonly db: number | string;
  /** None for what the front runs, and for what runs elsewhere. */
  readonly routes: readonly ShardRoute[];
  /** What is said instead of running it. */
  readonly refusal?: CommandError;
}

/** A transaction with all that it needs: shards of this node, of which the first is where it begins, or one elsewhere. */
export interface PlannedTransaction {
  readonly steps: readonly Step[];
  readonly routes: readonly ShardRoute[];
  readonly elsewhere: Elsewhere | undefined;
}

/**
 * Why a command cannot be queued: on a keyspace of several shards, all of a transaction is in one slot. Notes the slot
 * of the first. Behind a queued SELECT or SWAPDB, only EXEC can tell.
 */
export function queueRefusal(
  { store }: RespServer,
  session: Session,
  queued: readonly QueuedCommand[],
  { command, args }: QueuedCommand,
): CommandError | undefined {
  // At a cluster door a queued command has been looked at by itself, and EXEC looks at them together, as in Redis.
  if (session.door !== '') return undefined;
  const keyspace = selectedKeyspace(store, session);
  if (keyspace === undefined || keyspace.deleted || command.runs === 'front') return undefined;
  const { places, shardsOfSlots } = keyspace;
  let place = places[0]!;
  if (places.length > 1) {
    if (queued.some((item) => item.command.name === 'select' || item.command.name === 'swapdb'))
      return undefined;
    const slot = commandSlot(command, args);
    const refusal = slotRefusal(store, session, keyspace, { command, args, slot });
    if (refusal !== undefined) return refusal;
    session.queuedSlot = slot;
    place = places[shardsOfSlots[slot]!]!;
  }
  return session.isPeer && place.local === undefined ? movedError(keyspace, place) : undefined;
}

function slotRefusal(
  store: Store,
  session: Session,
  keyspace: Keyspace,
  { command, args, slot }: Pick<QueuedCommand, 'command' | 'args'> & { slot: number },
): CommandError | undefined {
  const { watchedSlot, queuedSlot } = session;
  if (slot === SEVERAL_SLOTS) return CROSS_SLOT;
  const target = targetDatabase(store, session, command, args);
  if (slot < 0 || typeof target === 'number') return overShards(command, keyspace);
  if (queuedSlot !== undefined && queuedSlot !== slot) return CROSS_SLOT;
  return watchedSlot?.keyspace === keyspace && watchedSlot.slot !== slot ? CROSS_SLOT : undefined;
}

/** Finds where a transaction runs, or why it cannot. */
export function planTransaction(
  { store, doors }: RespServer,
  session: Session,
  queued: readonly QueuedCommand[],
): PlannedTransaction | CommandError {
  const plan = new TransactionPlan(store, doors, session);
  const steps = plan.steps(queued);
  if (steps instanceof CommandError) return steps;
  const routes = new Set(session.watched);
  for (const step of steps) for (const route of step.routes) routes.add(route);
  const { remoteWatch } = session;
  let { elsewhere } = plan;
  if (remoteWatch !== undefined) {
    const { store: holder, keyspace: id } = remoteWatch.link.target;
    const keyspace = store.keyspaces.withId(id);
    if (keyspace === undefined) return DELETED_MEANWHILE;
    elsewhere ??= { keyspace, place: { shard: 0, store: holder, local: undefined } };
    if (!remoteWatch.leadsTo(elsewhere.place.store, elsewhere.keyspace.id)) return SEVERAL_STORES;
  }
  if (elsewhere !== undefined) return routes.size > 0 ? SEVERAL_STORES : { steps, routes: [], elsewhere };
  if (routes.size === 0) {
    const route = selectedKeyspace(store, session)?.onlyShard;
    if (route !== undefined) routes.add(route);
  }
  return { steps, routes: [...routes], elsewhere };
}

/** Databases that the commands need and that do not exist yet. */
export function databasesToCome(
  { store }: RespServer,
  session: Session,
  queued: readonly QueuedCommand[],
): Promise<unknown>[] {
  // A cluster door leads to one keyspace, and that is there by now.
  if (session.door !== '') return [];
  const needed = new Set<number>(session.db === undefined ? [] : [session.db]);
  for (const { command, args } of queued) {
    const numbers =
      command.name === 'select' ? [args[1]] : command.name === 'swapdb' ? [args[1], args[2]] : [];
    for (const each of numbers) {
      const db = parseInteger(each?.latin1Slice() ?? '');
      if (db !== undefined && isDatabase(store, db)) needed.add(db);
    }
    const target = targetDatabase(store, session, command, args);
    if (typeof target === 'number') needed.add(target);
  }
  return [...needed].map((db) => store.database(db)).filter((keyspace) => keyspace instanceof Promise);
}

/** Where a command runs: on these shards of this node, or elsewhere. */
type Home = Partial<Pick<Step, 'routes' | 'refusal'>>;

/** Finds the shards of each command, as the SELECTs and SWAPDBs among them make it. */
class TransactionPlan {
  /** Where all of the commands run that do not run here. */
  elsewhere: Elsewhere | undefined;
  private readonly swapped = new Map<number, number>();
  private readonly slots = new Map<Keyspace, number>();
  private selection: Selection;

  constructor(
    private readonly store: Store,
    private readonly doors: ClusterDoors,
    private readonly session: Session,
  ) {
    this.selection = session.db ?? session.keyspace!;
  }

  /** The steps, or why none of them can run. */
  steps(queued: readonly QueuedCommand[]): Step[] | CommandError {
    const steps: Step[] = [];
    for (const item of queued) {
      const home = item.command.runs === 'front' ? this.effect(item) : this.homeOf(item);
      if (home instanceof CommandError) return home;
      const { selection } = this;
      const db = typeof selection === 'number' ? selection : selection.name;
      const { routes = [], refusal } = home;
      steps.push({ ...item, db, routes, ...(refusal && { refusal }) });
    }
    return steps;
  }

  /** What a command of the front changes for those behind it, and the shards that it needs. */
  private effect({ command, args }: QueuedCommand): Home | CommandError {
    const isAtDoor = this.session.door !== '';
    if (command.name === 'select') {
      if (isAtDoor) return {};
      const selection = parseSelection(this.store, args[1]!.latin1Slice());
      if (!(selection instanceof CommandError)) this.selection = selection;
    } else if (command.name === 'swapdb' && !isAtDoor) this.swap(args);
    else if (command.name === 'flushall') {
      if (!isFlushCommand(args)) return { refusal: SYNTAX_ERROR };
      const keyspaces = isAtDoor ? [this.session.keyspace!] : this.store.keyspaces.all();
      const places = keyspaces.flatMap((keyspace) => placesAsked(this.doors, this.session, keyspace));
      const routes = places.map(({ local }) => local).filter((route) => route !== undefined);
      return routes.length < places.length ? FLUSHES_ELSEWHERE : { routes };
    }
    return {};
  }

  private homeOf(item: QueuedCommand): Home | CommandError {
    const { command, args } = item;
    const keyspace = this.keyspaceOf(this.selection);
    if (keyspace instanceof CommandError) return keyspace;
    const place = this.placeOf(keyspace, item);
    if (place instanceof CommandError) return place;
    const target = targetDatabase(this.store, this.session, command, args);
    if (target instanceof CommandError) return { refusal: target };
    const places = [place];
    if (target !== undefined) {
      const other = this.keyspaceOf(target);
      if (other instanceof CommandError) return other;
      if (other.places.length > 1) return overShards(command, other);
      places.push(other.places[0]!);
    }
    const routes = places.map(({ local }) => local).filter((route) => route !== undefined);
    if (routes.length === places.length) return { routes };
    if (routes.length > 0 || places.some(({ store }) => store !== place.store)) return SEVERAL_STORES;
    this.elsewhere ??= { keyspace, place };
    const isSame = this.elsewhere.keyspace === keyspace && this.elsewhere.place.store === place.store;
    return isSame ? {} : SEVERAL_STORES;
  }

  private placeOf(keyspace: Keyspace, { command, args }: QueuedCommand): ShardPlace | CommandError {
    const { places, shardsOfSlots } = keyspace;
    const slot = commandSlot(command, args);
    const isElsewhere = this.session.door !== '' && places[0]!.local === undefined;
    const arriving = this.arriving(keyspace, slot);
    if (arriving !== undefined) return arriving;
    if (places.length === 1 && (slot !== NO_SLOT || !isElsewhere)) return places[0]!;
    if (slot === SEVERAL_SLOTS) return CROSS_SLOT;
    const target = targetDatabase(this.store, this.session, command, args);
    if (slot < 0 || typeof target === 'number') return overShards(command, keyspace);
    const before = this.slots.get(keyspace);
    if (before !== undefined && before !== slot) return CROSS_SLOT;
    this.slots.set(keyspace, slot);
    return places[shardsOfSlots[slot]!]!;
  }

  /** Where the keys of a slot arrive that is on its way here, for whom ASKING was said. */
  private arriving({ id }: Keyspace, slot: number): ShardPlace | undefined {
    if (!this.session.hasAsked || slot < 0) return undefined;
    const moving = this.store.moves.moveOf(id, slot);
    if (moving?.to !== this.store.id) return undefined;
    return { shard: moving.shard, store: this.store.id, local: moving.here };
  }

  private swap(args: readonly Buffer[]): void {
    const [first, second] = [1, 2].map((index) => parseInteger(args[index]?.latin1Slice() ?? ''));
    if (first === undefined || second === undefined) return;
    if (!isDatabase(this.store, first) || !isDatabase(this.store, second)) return;
    const was = this.physical(first);
    this.swapped.set(first, this.physical(second));
    this.swapped.set(second, was);
  }

  private physical(db: number): number {
    return this.swapped.get(db) ?? db;
  }

  private keyspaceOf(selection: Selection): Keyspace | CommandError {
    const keyspace =
      typeof selection === 'number' ? this.store.keyspaces.numbered(this.physical(selection)) : selection;
    if (keyspace === undefined) return DELETED_MEANWHILE;
    return keyspace.deleted ? deletedKeyspace(keyspace) : keyspace;
  }
}
