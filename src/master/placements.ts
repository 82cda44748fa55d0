import type { Timers } from '../base/timers.js';
import { type ChangeBegun, type ChangeRequest, type ChangeStatus, ManagerError } from '../cluster/manager.js';
import { planFailback, planFailover } from '../cluster/plan/failover.js';
import type { Plan, PlanContext, PlanStore } from '../cluster/plan/plan.js';
import { planRebalance } from '../cluster/plan/rebalance.js';
import { planDrain, planMove, planReplace } from '../cluster/plan/replace.js';
import { planReplicas } from '../cluster/plan/replicas.js';
import type { KeyspaceReport, KeyspaceReports } from '../cluster/plan/reports.js';
import { planResize } from '../cluster/plan/resize.js';
import { abortChange, nextStep, type StepContext, timeIn } from '../cluster/plan/steps.js';
import { type KeyspaceEntry, liveKeyspaces, type Topology } from '../cluster/topology.js';
import { changeStatus, type Waiting } from './change-status.js';
import type { StoreHealth } from './state.js';

/** What carrying out changes of placement needs of the master. */
export interface PlacementContext {
  readonly timers: Timers;
  topology(): Topology;
  /** By id of the store; those that have been heard since the master began. */
  health(): ReadonlyMap<string, StoreHealth>;
  planStores(): PlanStore[];
  newEpoch(): number;
  makeId(bytes: number): string;
  /** Makes entries part of what all are to have, and tells all. */
  publish(entries: readonly KeyspaceEntry[]): void;
  /** Remembers whether nothing is to be placed on a store. */
  setDrained(store: string, isDrained: boolean): void;
  /** Sends a store the topology once more. */
  remind(store: string): void;
  announce(text: string): void;
  storeText(id: string): string;
  /** The keyspace of a name. @throws ManagerError where there is none, or where something else is being done with it */
  free(name: string): KeyspaceEntry;
  /** Whether something else is being done with a keyspace. */
  isLocked(entry: KeyspaceEntry): boolean;
  /** When it began to act, Unix milliseconds; undefined while it waits for what stores have to tell. */
  actsSinceMs(): number | undefined;
  /** A store that has been silent for so long no longer owns shards of which others have copies, milliseconds. */
  failoverAfterMs(): number;
}

/** How often changes under way are looked at though nothing is heard, milliseconds. */
const LOOK_EVERY_MS = 250;

/** A store that has not put an entry into effect for so long is sent it again, milliseconds. */
const REMIND_AFTER_MS = 2000;

const NOTHING_KNOWN: Waiting = { reasons: [], isResting: false };

/** A store that has said nothing of a keyspace. */
const NOTHING_SAID: KeyspaceReport = { epoch: 0, copies: [] };

/**
 * Carries out changes of who holds what (docs/design/0009-changes.md). What is to be done next follows from the entries
 * and from what stores report, so nothing is kept here but what people are told.
 */
export class Placements {
  /** What each change waits for, by id of its keyspace. */
  private readonly waiting = new Map<string, Waiting>();
  private readonly remindedAtMs = new Map<string, number>();
  /** Shards that nobody can take over, as they were announced last. */
  private readonly stuck = new Map<string, string>();
  private isDue = false;
  private cancelLook: (() => void) | undefined;
  private isClosed = false;

  constructor(private readonly context: PlacementContext) {}

  /** Something was heard, or has been decided: the next steps are taken in a moment. */
  wake(): void {
    if (this.isDue || this.isClosed) return;
    this.isDue = true;
    this.cancelLook?.();
    this.cancelLook = this.context.timers.after(0, () => this.look());
  }

  close(): void {
    this.isClosed = true;
    this.cancelLook?.();
  }

  // ---------------------------------------------------------------- requests

  begin(request: ChangeRequest): ChangeBegun {
    if (request.kind === 'abort') return this.abort(request.keyspace);
    if (request.kind === 'undrain') {
      const store = this.storeNamed(request.store);
      this.context.setDrained(store, false);
      return { id: '', explanation: [`${this.context.storeText(store)} may get shards again`] };
    }
    const plan = this.plan(request);
    if ('reason' in plan) throw new ManagerError('IMPOSSIBLE', plan.reason);
    const { entries, explanation } = plan;
    const locked = entries.find((entry) => this.context.isLocked(entry));
    if (locked !== undefined) this.context.free(locked.name);
    // From now on: what is made while it is emptied does not go there either.
    if (request.kind === 'drain') this.context.setDrained(this.storeNamed(request.store), true);
    if (entries.length === 0) return { id: '', explanation };
    this.context.publish(entries);
    for (const entry of entries)
      this.context.announce(`keyspace ${entry.name}: a change (${request.kind}) begins`);
    for (const line of explanation) this.context.announce(line);
    this.wake();
    return { id: entries[0]!.change!.id, explanation };
  }

  private plan(request: Exclude<ChangeRequest, { kind: 'abort' | 'undrain' }>): Plan {
    const { context } = this;
    const planContext = this.planContext();
    const all = liveKeyspaces(context.topology());
    switch (request.kind) {
      case 'resize':
        return planResize(context.free(request.keyspace), request.shards, planContext);
      case 'replicas':
        return planReplicas(context.free(request.keyspace), request.replicas, planContext);
      case 'move': {
        const [from, to] = [this.storeNamed(request.from), this.storeNamed(request.to)];
        return planMove(context.free(request.keyspace), request.shard, from, to, planContext);
      }
      case 'replace': {
        const by = request.by === '' ? 'auto' : this.storeNamed(request.by);
        return planReplace(all, this.storeNamed(request.store), by, planContext);
      }
      case 'drain':
        return planDrain(all, this.storeNamed(request.store), planContext);
      case 'rebalance':
        return planRebalance(all, planContext);
    }
  }

  /** By its id, the beginning of that, or its address. */
  private storeNamed(name: string): string {
    const all = this.context.planStores();
    const found = all.filter(
      ({ id, address }) => address === name || (name.length >= 4 && id.startsWith(name)),
    );
    if (found.length === 1) return found[0]!.id;
    const names = all.map(({ id, address }) => `${address} (${id.slice(0, 8)})`).join(', ');
    throw new ManagerError(
      'NOT_FOUND',
      `${found.length === 0 ? 'no store is' : 'several stores are'} ${JSON.stringify(name.slice(0, 80))}: there are ${names}`,
    );
  }

  private abort(name: string): ChangeBegun {
    const entry = this.context.free(name);
    const outcome = abortChange(entry, this.stepContext());
    if ('reason' in outcome) throw new ManagerError('IMPOSSIBLE', outcome.reason);
    this.enter(outcome.entry, 'aborted: what had been prepared is removed');
    return { id: entry.change!.id, explanation: [] };
  }

  statuses(): ChangeStatus[] {
    const { context } = this;
    return liveKeyspaces(context.topology()).flatMap((entry) =>
      entry.change === undefined
        ? []
        : changeStatus(entry, context.health(), this.waiting.get(entry.id) ?? NOTHING_KNOWN),
    );
  }

  // ---------------------------------------------------------------- steps

  private look(): void {
    this.isDue = false;
    this.cancelLook = undefined;
    if (this.isClosed) return;
    const { context } = this;
    const sinceMs = context.actsSinceMs();
    let isAnythingGoingOn = false;
    if (sinceMs !== undefined) {
      const alive = liveKeyspaces(context.topology());
      this.forgetDeleted(alive);
      for (const entry of alive) {
        if (context.isLocked(entry)) continue;
        if (this.failOver(entry, sinceMs)) isAnythingGoingOn = true;
        const now = context.topology().keyspaces.get(entry.id);
        if (now !== undefined && this.step(now)) isAnythingGoingOn = true;
      }
    }
    if (isAnythingGoingOn && !this.isDue)
      this.cancelLook = context.timers.after(LOOK_EVERY_MS, () => this.look());
  }

  private forgetDeleted(alive: readonly KeyspaceEntry[]): void {
    const ids = new Set(alive.map(({ id }) => id));
    for (const known of [this.waiting, this.stuck])
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  }

  /** @returns whether there is something to look at again soon */
  private step(entry: KeyspaceEntry): boolean {
    const { context } = this;
    const reports = this.reportsOf(entry);
    const step = nextStep(entry, reports, this.stepContext());
    switch (step.kind) {
      case 'enter':
        this.enter(step.entry, step.why);
        return true;
      case 'wait':
      case 'rest':
        this.waiting.set(entry.id, { reasons: step.reasons, isResting: step.kind === 'rest' });
        this.remind(entry, reports);
        return true;
      case 'none': {
        this.waiting.delete(entry.id);
        const back = planFailback(entry, reports, { ...this.stepContext(), id: context.makeId(8) });
        if (back !== undefined) this.enter(back, 'shards go back to the stores that had them');
        return entry.shards.some(({ home }) => home !== undefined);
      }
    }
  }

  private enter(entry: KeyspaceEntry, why: string, what: string = entry.change?.phase ?? 'done'): void {
    const { context } = this;
    context.publish([entry]);
    // What was waited for was another phase.
    this.waiting.delete(entry.id);
    context.announce(`keyspace ${entry.name}: ${what}: ${why}`);
    this.wake();
  }

  /** Stores that have not done what they were told hear it again. */
  private remind(entry: KeyspaceEntry, reports: KeyspaceReports): void {
    const nowMs = this.context.timers.now();
    if (entry.change === undefined || timeIn(entry.change, { nowMs }) < REMIND_AFTER_MS) return;
    for (const [store, { epoch }] of reports) {
      if (epoch === 0 || epoch >= entry.epoch) continue;
      const sinceMs = nowMs - (this.remindedAtMs.get(store) ?? 0);
      // A clock that was set back must not hold anything up.
      if (sinceMs >= 0 && sinceMs < REMIND_AFTER_MS) continue;
      this.remindedAtMs.set(store, nowMs);
      this.context.remind(store);
    }
  }

  /** @returns whether there is something to look at again soon */
  private failOver(entry: KeyspaceEntry, sinceMs: number): boolean {
    const { context } = this;
    const health = context.health();
    const nowMs = context.timers.now();
    const isAway = (id: string) => health.get(id)?.alive !== true;
    const involved = [
      ...entry.shards,
      ...(entry.change && 'former' in entry.change ? entry.change.former : []),
    ];
    if (!involved.some(({ stores }) => stores[0] !== undefined && isAway(stores[0]))) {
      this.stuck.delete(entry.id);
      return false;
    }
    if (entry.shards.every(({ stores }) => stores.length < 2) && entry.change === undefined) return false;
    const afterMs = context.failoverAfterMs();
    const isGivenUp = (id: string) =>
      isAway(id) && nowMs - Math.max(sinceMs, health.get(id)?.seenAtMs ?? 0) >= afterMs;
    const reports = new Map(this.reportsOf(entry));
    // Those that may be back in a moment.
    for (const id of context.topology().stores.keys())
      if (isAway(id) && !isGivenUp(id)) reports.set(id, NOTHING_SAID);
    const { entry: next, explanation, stuck } = planFailover(entry, reports, this.stepContext());
    const text = stuck.join('; ');
    if (text !== '' && this.stuck.get(entry.id) !== text) context.announce(`keyspace ${entry.name}: ${text}`);
    this.stuck.set(entry.id, text);
    if (next !== undefined) this.enter(next, explanation.join('; ') || 'stores are away', 'failover');
    return true;
  }

  private reportsOf({ id }: KeyspaceEntry): KeyspaceReports {
    const reports = new Map<string, KeyspaceReport>();
    for (const [store, { alive, keyspaces }] of this.context.health())
      if (alive) reports.set(store, keyspaces.find(({ keyspace }) => keyspace === id) ?? NOTHING_SAID);
    return reports;
  }

  private stepContext(): StepContext {
    const { context } = this;
    return {
      newEpoch: () => context.newEpoch(),
      nowMs: context.timers.now(),
      hasHeard: (id) => context.health().has(id),
      storeText: (id) => context.storeText(id),
    };
  }

  private planContext(): PlanContext {
    const { context } = this;
    return {
      stores: context.planStores(),
      bytesOf: (keyspace, shard) => {
        let bytes = 0;
        for (const { shards } of context.health().values())
          for (const each of shards)
            if (each.keyspace === keyspace && each.shard === shard) bytes = Math.max(bytes, each.bytes);
        return bytes;
      },
      newEpoch: () => context.newEpoch(),
      nowMs: context.timers.now(),
      id: context.makeId(8),
    };
  }
}
