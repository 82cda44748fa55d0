import { ABSENT, type Kind, type Operation, type State, textOfState } from './operations.js';

/** What became of a command, as its client saw it. Times are unix milliseconds. */
export interface Event {
  readonly operation: Operation;
  readonly sentAt: number;
  readonly endedAt: number;
  readonly outcome:
    | { readonly kind: 'acknowledged'; readonly reply: string }
    /** It was sent, and nobody knows what became of it: it may have been done, and may still be until everything is healed. */
    | { readonly kind: 'unknown'; readonly message: string };
  /** WAIT has told, after it, that a replica has it on its disk. */
  readonly isOnReplica: boolean;
}

/** What the faults of a round allow for a key. */
export interface Allowance {
  /**
   * From then on, unix milliseconds, another copy than the one that had acknowledged writes may have been asked: one that
   * lacks the last of them. undefined = there was no fault, or no other copy.
   */
  readonly branchesFrom: number | undefined;
  /** A store was replaced while it was dead: what it alone had is lost for ever. */
  readonly mayLose: boolean;
  /** There was one fault at a time, so that what a replica had is there whatever happened. */
  readonly waitsHold: boolean;
}

/** What is said of a key; `undecided` where so many states are possible that nothing can be. */
export type Verdict =
  | { readonly kind: 'right' | 'undecided' }
  | { readonly kind: 'wrong'; readonly text: string };

const RIGHT: Verdict = { kind: 'right' };
const UNDECIDED: Verdict = { kind: 'undecided' };

export const STRICT: Allowance = { branchesFrom: undefined, mayLose: false, waitsHold: true };

/** A key's events in one round, from one state that is known to the next. */
export class KeyHistory {
  /** As it was found at the end of the last round. */
  settled: State = ABSENT;
  events: Event[] = [];

  constructor(
    readonly key: string,
    readonly kind: Kind,
  ) {}

  get unknown(): number {
    return this.events.reduce((count, { outcome }) => count + (outcome.kind === 'unknown' ? 1 : 0), 0);
  }

  /** Goes on from what was found. */
  settle(found: State): void {
    this.settled = found;
    this.events = [];
  }

  /**
   * Whether what its client was told, and what was found at the end, may be.
   * @param found at the end of the round, when everything was healed and level
   */
  judge(found: State, allowance: Allowance): Verdict {
    return new Judgement(this.settled, allowance).judge(this.events, found);
  }
}

/** Of a key that may have more states than this nothing is said in that round: they grow twofold with each reply that fits all. */
const CANDIDATES_MAX = 1000;

/** A state that the key may have, and which of the commands with an unknown outcome are part of it, as bits. */
interface Candidate {
  readonly state: State;
  readonly done: number;
}

type Candidates = ReadonlyMap<string, Candidate>;

function candidates(list: Iterable<Candidate>): Map<string, Candidate> {
  const map = new Map<string, Candidate>();
  for (const each of list) map.set(`${each.done} ${textOfState(each.state)}`, each);
  return map;
}

/**
 * Follows one key, whose commands come one after the other from one client, through a round.
 *
 * Of several copies that took writes the later state counts, as a whole. The last acknowledged command is the last one by
 * the clock, so what counts is the state that it made: of the state before it, or, where another copy had been asked, of
 * an earlier one, which that copy had. Hence the rules: without a fault each command meets the state that the one before
 * has left. With one, it may meet any state since the fault began; and whatever it met, the state it made is what there
 * must be in the end. Commands with an unknown outcome may come in between at any time.
 */
class Judgement {
  private current: Candidates;
  /** Those that were replaced, and when that last was, unix milliseconds. */
  private readonly past = new Map<string, { readonly candidate: Candidate; readonly at: number }>();
  /** Commands whose outcome is unknown; their numbers are the bits of {@link Candidate.done}. */
  private readonly open: Operation[] = [];

  constructor(
    settled: State,
    private readonly allowance: Allowance,
  ) {
    this.current = candidates([{ state: settled, done: 0 }]);
  }

  judge(events: readonly Event[], found: State): Verdict {
    for (const [index, event] of events.entries()) {
      if (this.current.size > CANDIDATES_MAX || this.past.size > CANDIDATES_MAX) return UNDECIDED;
      const wrong = this.follow(event);
      if (wrong !== undefined)
        return { kind: 'wrong', text: `${wrong}, at number ${index + 1} of ${events.length}` };
      if (event.isOnReplica && this.allowance.waitsHold) this.past.clear();
    }
    const last = this.closure(this.current);
    const text = textOfState(found);
    const possible = [...last.values(), ...(this.allowance.mayLose ? this.earlier() : [])];
    if (possible.some(({ state }) => textOfState(state) === text)) return RIGHT;
    return { kind: 'wrong', text: `in the end there is ${describe(found)}, not ${listed(last)}` };
  }

  private follow({ operation, outcome, endedAt }: Event): string | undefined {
    if (outcome.kind === 'unknown') {
      if (!operation.isRead) this.open.push(operation);
      return undefined;
    }
    const expected = this.closure(this.current);
    const mayBranch = endedAt >= (this.allowance.branchesFrom ?? Infinity);
    const met = mayBranch ? [...expected.values(), ...this.earlier()] : expected.values();
    const after: Candidate[] = [];
    for (const { state, done } of met) {
      const result = operation.apply(state);
      if (result.reply === outcome.reply) after.push({ state: result.state, done });
    }
    if (after.length === 0) return unexpected(operation, outcome.reply, expected, mayBranch);
    // Another copy may have been read, which says nothing of the others.
    if (operation.isRead && mayBranch) return undefined;
    for (const [text, candidate] of expected) this.past.set(text, { candidate, at: endedAt });
    this.current = candidates(after);
    return undefined;
  }

  /** With any of the open commands done as well, in any order. */
  private closure(from: Candidates): Candidates {
    const all = new Map(from);
    for (const { state, done } of all.values())
      for (const [index, operation] of this.open.entries()) {
        if ((done & (1 << index)) !== 0) continue;
        const next = { state: operation.apply(state).state, done: done | (1 << index) };
        // A map's iteration comes by what is added on the way.
        all.set(`${next.done} ${textOfState(next.state)}`, next);
      }
    return all;
  }

  /** States that another copy may have had when a command was under way. */
  private earlier(): Candidate[] {
    const from = this.allowance.branchesFrom;
    if (from === undefined) return [];
    const states = [...this.past.values()].filter(({ at }) => at >= from).map(({ candidate }) => candidate);
    return [...this.closure(candidates(states)).values()];
  }
}

function describe(state: State): string {
  return state.length === 0 ? 'nothing' : JSON.stringify(state.join(' ')).slice(0, 300);
}

function listed(states: Candidates): string {
  return [...states.values()].map(({ state }) => describe(state)).join(' or ');
}

function unexpected(operation: Operation, reply: string, met: Candidates, mayBranch: boolean): string {
  const rule = mayBranch ? ', nor to any state since the faults of its shard began' : '';
  return `${operation.words.join(' ')} replied ${JSON.stringify(reply.slice(0, 300))}, which is no reply to ${listed(met)}${rule}`;
}
