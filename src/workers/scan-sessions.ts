/**
 * The positions of running scans. A SCAN cursor is a number, but a position is a key, so a shard remembers the key.
 *
 * A cursor is session × 2^20 + step. A session keeps its last two steps, so that a client whose connection broke may
 * repeat its last call; older cursors of the session, and sessions idle for too long, are unknown, which SCAN reports
 * as an error: a scan that silently skipped keys would be worse.
 */
export class ScanSessions {
  private readonly sessions = new Map<number, Session>();
  private nextId: number;

  /**
   * @param seed where session numbers begin: random, so that cursors from before a restart are unknown
   * @param idleMaxMs a session is kept for at least so long after its last call
   */
  constructor(
    seed: number,
    public idleMaxMs: number,
  ) {
    this.nextId = Math.floor(seed) % SESSION_RANGE;
  }

  /** See ShardView.openCursor. */
  open(
    cursor: string,
    nowMs: number,
  ): { readonly session: number; readonly after: string | undefined } | undefined {
    if (cursor === '0') return { session: this.begin(nowMs), after: undefined };
    const number = Number(cursor);
    if (!Number.isSafeInteger(number)) return undefined;
    const id = Math.floor(number / STEP_RANGE);
    const step = number % STEP_RANGE;
    const session = this.sessions.get(id);
    if (session === undefined) return undefined;
    if (step === session.step) {
      this.renew(id, session, nowMs);
      return { session: id, after: session.after };
    }
    if (step === session.previousStep) {
      session.step = session.previousStep;
      session.after = session.previousAfter;
      this.renew(id, session, nowMs);
      return { session: id, after: session.after };
    }
    return undefined;
  }

  /** See ShardView.saveCursor. */
  save(id: number, after: string): string {
    const session = this.sessions.get(id);
    if (session === undefined) throw new Error(`scan session ${id} is not open`);
    session.previousStep = session.step;
    session.previousAfter = session.after;
    session.step = (session.step % (STEP_RANGE - 1)) + 1;
    session.after = after;
    return String(id * STEP_RANGE + session.step);
  }

  close(id: number): void {
    this.sessions.delete(id);
  }

  /** Forgets all: their keys are gone. */
  clear(): void {
    this.sessions.clear();
  }

  private begin(nowMs: number): number {
    this.expire(nowMs);
    this.nextId = (this.nextId + 1) % SESSION_RANGE || 1;
    this.sessions.set(this.nextId, {
      step: 0,
      after: '',
      previousStep: 0,
      previousAfter: '',
      usedAtMs: nowMs,
    });
    return this.nextId;
  }

  /** Keeps the table in order of last use. */
  private renew(id: number, session: Session, nowMs: number): void {
    session.usedAtMs = nowMs;
    this.sessions.delete(id);
    this.sessions.set(id, session);
  }

  private expire(nowMs: number): void {
    for (const [id, session] of this.sessions) {
      if (this.sessions.size < SESSIONS_MAX && nowMs - session.usedAtMs < this.idleMaxMs) return;
      this.sessions.delete(id);
    }
  }
}

interface Session {
  step: number;
  after: string;
  previousStep: number;
  previousAfter: string;
  usedAtMs: number;
}

const STEP_RANGE = 2 ** 20;
const SESSION_RANGE = 2 ** 31;
/** Beyond so many scans at once on one shard the longest idle one is forgotten. */
const SESSIONS_MAX = 65_536;
