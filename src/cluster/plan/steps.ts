import { flowsBetween } from '../slot-set.js';
import type { KeyspaceChange, KeyspaceEntry, ShardEntry } from '../topology.js';
import { dutiesIn, movingSlots } from './duties.js';
import type { CopyPlace } from './feeds.js';
import { copyIn, feedIn, type KeyspaceReport, type KeyspaceReports } from './reports.js';

/*
 * How a change goes on: from what the entry says and what the living stores report follows the next entry, or what is
 * waited for. The master keeps nothing besides, so another one that has learned the entry goes on in the same place.
 */

/** What the master does next about a keyspace. */
export type Step =
  /** To publish this entry. */
  | { readonly kind: 'enter'; readonly entry: KeyspaceEntry; readonly why: string }
  /** To wait for reports, or for time to pass. */
  | { readonly kind: 'wait'; readonly reasons: readonly string[] }
  /**
   * The change is done as far as it can be. There are former holders that are away: they hand over what they alone have
   * when they are back. Other changes may begin, and then it is given up.
   */
  | { readonly kind: 'rest'; readonly reasons: readonly string[] }
  /** There is no change. */
  | { readonly kind: 'none' };

/** What steps need of the master. */
export interface StepContext {
  /** An epoch later than all others, at each call. */
  readonly newEpoch: () => number;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** Whether the store has been heard since the master began. */
  readonly hasHeard: (id: string) => boolean;
  /** A store as messages name it. */
  readonly storeText: (id: string) => string;
}

/** A hand-over that takes longer is given up, and tried again later: the stores held writes for HOLD_MAX_MS. */
export const HANDOVER_MAX_MS = 2000;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 30_000;

export function nextStep(entry: KeyspaceEntry, reports: KeyspaceReports, context: StepContext): Step {
  const { change } = entry;
  switch (change?.phase) {
    case undefined:
      return { kind: 'none' };
    case 'prepare':
      return prepare(entry, change, reports, context);
    case 'handover':
      return handover(entry, change, reports, context);
    case 'takeover':
      return takeover(entry, change, reports, context);
    case 'cleanup':
      return cleanup(entry, change, reports, context);
    case 'undo':
      return undo(entry, reports, context);
  }
}

/**
 * Gives a change up. Stores that have filled something let go of it.
 * @returns the entry to publish, or why it cannot be
 */
export function abortChange(
  entry: KeyspaceEntry,
  context: StepContext,
): { readonly entry: KeyspaceEntry } | { readonly reason: string } {
  const { change, name } = entry;
  if (change === undefined) return { reason: `keyspace ${name} is not being changed` };
  if (change.phase === 'undo') return { reason: `the change of keyspace ${name} is being undone already` };
  if (!('target' in change))
    return {
      reason: `the new holders of keyspace ${name} have taken over already: let it finish, then change it back`,
    };
  return { entry: inPhase(entry, change, 'undo', context) };
}

type Before = Extract<KeyspaceChange, { target: unknown }>;
type After = Extract<KeyspaceChange, { former: unknown }>;

/** The entry in another phase before the takeover. */
export function inPhase(
  entry: KeyspaceEntry,
  change: Before,
  phase: Before['phase'],
  { newEpoch, nowMs }: StepContext,
  attempts = change.attempts,
): KeyspaceEntry {
  const epoch = newEpoch();
  return { ...entry, epoch, change: { ...change, phase, since: epoch, sinceMs: nowMs, attempts } };
}

/** The entry without its change. */
export function settled({ change: _, ...entry }: KeyspaceEntry, { newEpoch }: StepContext): KeyspaceEntry {
  return { ...entry, epoch: newEpoch() };
}

/**
 * For how long a change has been in its phase, milliseconds. Where that began later than it is now, by a clock that was set
 * back since or by another master's, nobody can tell, and nothing must be held up until it is that late again.
 */
export function timeIn({ sinceMs }: KeyspaceChange, { nowMs }: Pick<StepContext, 'nowMs'>): number {
  return nowMs < sinceMs ? Number.POSITIVE_INFINITY : nowMs - sinceMs;
}

// -------------------------------------------------------------------- prepare

function prepare(entry: KeyspaceEntry, change: Before, reports: KeyspaceReports, context: StepContext): Step {
  const reasons = unready(entry, change, reports, context);
  const leftMs = retryAfterMs(change.attempts) - timeIn(change, context);
  if (leftMs > 0) reasons.push(`the next hand-over is tried in ${leftMs} ms`);
  if (reasons.length > 0) return { kind: 'wait', reasons };
  const isHandedOver = entry.shards.some(
    (_, shard) => !movingSlots(entry.shards, change.target, shard).isEmpty,
  );
  if (!isHandedOver) return enterTakeover(entry, change, 'all copies have what they need', context);
  return {
    kind: 'enter',
    entry: inPhase(entry, change, 'handover', context),
    why: 'all copies have what they need: writes wait while the last of it is handed over',
  };
}

function retryAfterMs(attempts: number): number {
  return attempts === 0 ? 0 : Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (attempts - 1));
}

/** What the copies of the target still lack. */
function unready(
  entry: KeyspaceEntry,
  { target }: Before,
  reports: KeyspaceReports,
  { storeText }: StepContext,
): string[] {
  const reasons: string[] = [];
  for (const [shard, { stores }] of target.entries())
    for (const [place, store] of stores.entries()) {
      const holders = entry.shards[shard]?.stores ?? [];
      const report = reports.get(store);
      // A copy that is away and had been there before gets what it lacks when it is back.
      if (report === undefined && place > 0 && holders.includes(store)) continue;
      const isNewOwner = place === 0 && store !== holders[0];
      const lack = lackOf(entry, { store, shard }, report, reports, isNewOwner, storeText);
      if (lack !== undefined) reasons.push(`shard ${shard} on ${storeText(store)}: ${lack}`);
    }
  return reasons;
}

function lackOf(
  entry: KeyspaceEntry,
  { store, shard }: CopyPlace,
  report: KeyspaceReport | undefined,
  reports: KeyspaceReports,
  isNewOwner: boolean,
  storeText: (id: string) => string,
): string | undefined {
  if (report === undefined) return 'the store is away';
  if (report.epoch < entry.epoch) return 'it has not been told yet';
  const copy = copyIn(report, shard);
  if (copy === undefined) return 'it is not open yet';
  if (copy.failure !== '') return copy.failure;
  for (const { from, to, purpose, start } of dutiesIn(entry, store).feeds) {
    if (to.shard !== shard || (purpose === 'peer' && !isNewOwner)) continue;
    const feed = feedIn(copy, from);
    const source = `shard ${from.shard} on ${storeText(from.store)}`;
    if (!reports.has(from.store)) {
      // Other holders may be away: what they alone have, they hand over when they are back.
      if (entry.shards[from.shard]?.stores[0] === from.store) return `${source} is away`;
    } else if (feed?.isLevel !== true) {
      if (!copy.isComplete && start === 'copy') return `it copies ${source}`;
      return `it is behind ${source}`;
    }
  }
  return copy.isComplete ? undefined : 'it is not complete yet';
}

// ------------------------------------------------------------------- handover

function handover(
  entry: KeyspaceEntry,
  change: Before,
  reports: KeyspaceReports,
  context: StepContext,
): Step {
  const reasons = unheardIn(entry, context);
  if (reasons.length > 0) return { kind: 'wait', reasons };
  for (const transfer of transfersOf(entry.shards, change.target)) {
    const state = transferState(entry, change.since, transfer, reports, context);
    if ('failure' in state) return retry(entry, change, state.failure, context);
    if (state.wait !== undefined) reasons.push(state.wait);
  }
  if (reasons.length === 0)
    return enterTakeover(entry, change, 'the new owners have everything that was written', context);
  if (timeIn(change, context) > HANDOVER_MAX_MS)
    return retry(entry, change, `it took more than ${HANDOVER_MAX_MS} ms: ${reasons[0]}`, context);
  return { kind: 'wait', reasons };
}

/**
 * A master that has just begun does not know whether the takeover has happened already: an owner that is away may be the
 * only one that has heard of it. Nothing may be decided over that one's head, but by somebody who aborts the change. Other
 * holders answer for nothing: one that alone has heard of it learns that it did not happen.
 */
export function unheardIn({ shards, change }: KeyspaceEntry, { hasHeard, storeText }: StepContext): string[] {
  if (change?.phase !== 'handover') return [];
  const owners = transfersOf(shards, change.target).flatMap(({ from, to }) => [from.store, to.store]);
  return [...new Set(owners)]
    .filter((store) => !hasHeard(store))
    .map((store) => `${storeText(store)} has not been heard, and may know that the takeover has begun`);
}

interface Transfer {
  readonly from: CopyPlace;
  readonly to: CopyPlace;
}

/** Which owner hands over to which. */
function transfersOf(shards: readonly ShardEntry[], target: readonly ShardEntry[]): Transfer[] {
  const transfers: Transfer[] = [];
  for (const flow of flowsBetween(shards.length, target.length)) {
    const from = { store: shards[flow.from]!.stores[0]!, shard: flow.from };
    const to = { store: target[flow.to]!.stores[0]!, shard: flow.to };
    if (from.shard !== to.shard || from.store !== to.store) transfers.push({ from, to });
  }
  return transfers;
}

function transferState(
  entry: KeyspaceEntry,
  since: number,
  { from, to }: Transfer,
  reports: KeyspaceReports,
  { storeText }: StepContext,
): { readonly failure: string } | { readonly wait: string | undefined } {
  for (const { store } of [from, to])
    if (!reports.has(store)) return { failure: `${storeText(store)} is away` };
  const giver = reports.get(from.store)!;
  const given = copyIn(giver, from.shard);
  const name = `shard ${from.shard} on ${storeText(from.store)}`;
  if (giver.epoch >= entry.epoch && given?.expired === since)
    return { failure: `${name} has held writes for as long as it may` };
  if (given?.holding !== since) return { wait: `${name} is to hold writes` };
  const feed = feedIn(copyIn(reports.get(to.store), to.shard), from);
  if (feed === undefined || feed.mark < since)
    return { wait: `shard ${to.shard} on ${storeText(to.store)} gets the last writes of ${name}` };
  return { wait: undefined };
}

/** Back to where nothing is held, to try it again. */
function retry(entry: KeyspaceEntry, change: Before, why: string, context: StepContext): Step {
  return {
    kind: 'enter',
    entry: inPhase(entry, change, 'prepare', context, change.attempts + 1),
    why: `the hand-over is to be tried again: ${why}`,
  };
}

// ------------------------------------------------------------------- takeover

function enterTakeover(
  { change: _, ...entry }: KeyspaceEntry,
  change: Before,
  why: string,
  { newEpoch, nowMs }: StepContext,
): Step {
  const epoch = newEpoch();
  const { target, phase: __, ...facts } = change;
  return {
    kind: 'enter',
    why,
    entry: {
      ...entry,
      epoch,
      replicas: change.replicas,
      shards: target.map((held, shard) =>
        isTouched(entry.shards, target, shard) ? { ...held, since: epoch } : held,
      ),
      change: {
        ...facts,
        phase: 'takeover',
        since: epoch,
        sinceMs: nowMs,
        former: entry.shards.map((held, shard) =>
          isTouched(entry.shards, target, shard) ? held : { ...held, stores: [] },
        ),
      },
    },
  };
}

/** Whether a shard loses slots, is new, or has other holders, or another owner. */
function isTouched(shards: readonly ShardEntry[], target: readonly ShardEntry[], shard: number): boolean {
  if (target.length > shards.length) return true;
  const before = shards[shard]?.stores;
  const after = target[shard]?.stores;
  return (
    before === undefined ||
    after === undefined ||
    before[0] !== after[0] ||
    before.length !== after.length ||
    before.some((store) => !after.includes(store))
  );
}

function takeover(entry: KeyspaceEntry, change: After, reports: KeyspaceReports, context: StepContext): Step {
  const reasons = change.former.flatMap(({ stores: [owner] }, shard) =>
    owner === undefined ||
    reports.has(owner) ||
    hasHandedOver(entry, change, { store: owner, shard }, reports)
      ? []
      : [`${context.storeText(owner)}, the former owner of shard ${shard}, is away`],
  );
  reasons.push(...unfinished(entry, change, reports, context));
  if (reasons.length > 0) return { kind: 'wait', reasons };
  return {
    kind: 'enter',
    entry: trimmed(entry, change, reports, context),
    why: 'the new holders have everything: the former ones clean up',
  };
}

/** Whether the owners, and all other holders that are alive, have what a former holder had, up to its mark. */
function hasHandedOver(
  entry: KeyspaceEntry,
  { former, since }: After,
  source: CopyPlace,
  reports: KeyspaceReports,
): boolean {
  return flowsBetween(former.length, entry.shards.length)
    .filter(({ from }) => from === source.shard)
    .every(({ from, to }) =>
      entry.shards[to]!.stores.every((store, place) => {
        if (store === source.store && from === to) return true;
        if (!reports.has(store)) return place > 0;
        return (feedIn(copyIn(reports.get(store), to), source)?.mark ?? 0) >= since;
      }),
    );
}

/** What the holders still lack, or have to hear from the living ones of the former. */
function unfinished(
  entry: KeyspaceEntry,
  { former, since }: After,
  reports: KeyspaceReports,
  { storeText }: StepContext,
): string[] {
  const reasons = new Set<string>();
  for (const { from, to } of flowsBetween(former.length, entry.shards.length)) {
    const sources = former[from]!.stores;
    if (sources.length === 0) continue;
    for (const [place, store] of entry.shards[to]!.stores.entries()) {
      const report = reports.get(store);
      const copy = copyIn(report, to);
      const name = `shard ${to} on ${storeText(store)}`;
      if (report === undefined) {
        // Others get what they lack when they are back.
        if (place === 0) reasons.add(`${name} is away`);
      } else if (report.epoch < entry.epoch) reasons.add(`${storeText(store)} has not been told yet`);
      else if (copy === undefined || !copy.isComplete) reasons.add(`${name} is not complete yet`);
      else
        for (const source of sources) {
          if (!reports.has(source) || (store === source && from === to)) continue;
          if ((feedIn(copy, { store: source, shard: from })?.mark ?? 0) < since)
            reasons.add(`${name} is to get the last writes of shard ${from} on ${storeText(source)}`);
        }
    }
  }
  return [...reasons];
}

/** The entry in cleanup, with those former holders that are away and have something to hand over. */
function trimmed(
  entry: KeyspaceEntry,
  change: After,
  reports: KeyspaceReports,
  { newEpoch, nowMs }: StepContext,
): KeyspaceEntry {
  const former = change.former.map((held, shard) => ({
    ...held,
    stores: held.stores.filter(
      (store) => !reports.has(store) && !hasHandedOver(entry, change, { store, shard }, reports),
    ),
  }));
  // `since` stays: marks are of the takeover, also those of former holders that come later.
  const sinceMs = change.phase === 'cleanup' ? change.sinceMs : nowMs;
  return { ...entry, epoch: newEpoch(), change: { ...change, phase: 'cleanup', sinceMs, former } };
}

// -------------------------------------------------------------------- cleanup

function cleanup(entry: KeyspaceEntry, change: After, reports: KeyspaceReports, context: StepContext): Step {
  const formers = new Set(change.former.flatMap(({ stores }) => stores));
  const reasons = unfinished(entry, change, reports, context);
  if (reasons.length > 0) return { kind: 'wait', reasons };
  const returned = [...formers].filter((store) => reports.has(store));
  if (returned.length > 0)
    return {
      kind: 'enter',
      entry: trimmed(entry, change, reports, context),
      why: `${returned.map(context.storeText).join(', ')} handed over what there was`,
    };
  const unclean = uncleanIn(entry, reports, context);
  if (unclean.length > 0) return { kind: 'wait', reasons: unclean };
  if (formers.size > 0) {
    const names = [...formers].map(context.storeText).join(', ');
    return { kind: 'rest', reasons: [`${names}: away, and may have writes that nobody else has`] };
  }
  return { kind: 'enter', entry: settled(entry, context), why: 'nothing is left of what was before' };
}

function undo(entry: KeyspaceEntry, reports: KeyspaceReports, context: StepContext): Step {
  const reasons = uncleanIn(entry, reports, context);
  if (reasons.length > 0) return { kind: 'wait', reasons };
  return { kind: 'enter', entry: settled(entry, context), why: 'nothing is left of what had been prepared' };
}

/** What living stores still have that they should not. One that is away cleans up when it is back, change or not. */
function uncleanIn(entry: KeyspaceEntry, reports: KeyspaceReports, { storeText }: StepContext): string[] {
  const reasons: string[] = [];
  for (const [store, { epoch, copies }] of reports) {
    const duties = dutiesIn(entry, store).shards;
    const isMember = duties.length > 0 || copies.length > 0;
    if (isMember && epoch < entry.epoch) reasons.push(`${storeText(store)} has not been told yet`);
    for (const { shard, isClean } of copies) {
      const name = `shard ${shard} on ${storeText(store)}`;
      if (!duties.some((duty) => duty.shard === shard)) reasons.push(`${name} is being removed`);
      else if (!isClean) reasons.push(`${name} removes rows of slots that are not its own`);
    }
  }
  return reasons;
}
