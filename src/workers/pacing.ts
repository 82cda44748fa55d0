/** Rest, milliseconds, for each that the worker was busy with a step while clients had commands for it, and while none had. */
const REST_PER_WORK = 8;
const REST_PER_WORK_ALONE = 3;

/** Rest, milliseconds, for each that a step had to wait. */
const REST_PER_WAIT = 30;

/** A step waits so long for threads to wake each other though nobody else wants anything, milliseconds. */
const USUAL_WAIT_MS = 1;

/** The longest rest that is owed, milliseconds: work goes on however busy the machine is. */
export const REST_MAX_MS = 500;

/** Who ends a task waits at most about so long for a worker that rests within it, milliseconds. */
const TASK_RESTS_MAX_MS = 100;

/** How a step of long work went. */
export interface StepTimes {
  /** How long the worker was busy with it, milliseconds. */
  readonly workMs: number;
  /** From when it was to be done until it was begun, milliseconds. */
  readonly waitMs: number;
  /** Whether the worker ran commands since the step before. */
  readonly hasClients: boolean;
}

/**
 * Clients have the worker eight ninths of the time, and three quarters of it in case they come. A step that had to wait, for
 * them or for a processor, is a sign that there is not enough for all: so work gives way the more, the longer whatever else
 * there is would have to wait.
 * @returns how long to rest, milliseconds
 */
function restFor({ workMs, waitMs, hasClients }: StepTimes): number {
  return (hasClients ? REST_PER_WORK : REST_PER_WORK_ALONE) * workMs + restForWait(waitMs);
}

/** The part of it that is for waiting. */
export function restForWait(waitMs: number): number {
  return REST_PER_WAIT * Math.max(0, waitMs - USUAL_WAIT_MS);
}

/** How time is read and spent; tests have their own. */
export interface PaceClock {
  /** Milliseconds, from whenever. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export const PACE_CLOCK: PaceClock = {
  now: () => performance.now(),
  sleep: (ms) =>
    new Promise((resolve) => {
      setTimeout(resolve, ms);
    }),
};

/**
 * The rests of one task between its steps. The worker rests by itself, so that a message between threads and between stores
 * is for several steps: each costs a front as much as the worker has to do for one. What it cannot rest within the task is
 * left to whoever asks for the next one.
 */
export class TaskPace {
  private readonly startMs: number;
  private restedMs = 0;
  private owed = 0;
  /** By how much the last rest was longer than it should have been: the next step has waited for so long. */
  private lateMs = 0;

  constructor(private readonly clock: PaceClock = PACE_CLOCK) {
    this.startMs = clock.now();
  }

  /** Takes note of a step. */
  worked(times: StepTimes): void {
    const waitMs = times.waitMs + this.lateMs;
    this.owed = Math.min(this.owed + restFor({ ...times, waitMs }), REST_MAX_MS);
    this.lateMs = 0;
  }

  /** Whether there is time for all that is owed, and so for another step after it. */
  get mayGoOn(): boolean {
    return this.restedMs + this.owed <= TASK_RESTS_MAX_MS;
  }

  /** Rests for what has been done, as far as there is time. */
  async rest(): Promise<void> {
    const ms = Math.min(this.owed, TASK_RESTS_MAX_MS - this.restedMs);
    if (ms <= 0) return;
    const sinceMs = this.clock.now();
    await this.clock.sleep(ms);
    this.lateMs = Math.max(0, this.clock.now() - sinceMs - ms);
    this.restedMs += ms;
    this.owed -= ms;
  }

  /** What is left to rest, milliseconds. */
  get owedMs(): number {
    return this.owed;
  }

  /** Since the task began, milliseconds. */
  get tookMs(): number {
    return this.clock.now() - this.startMs;
  }
}
