import { type Happening, type Schedule, scheduleOf, textOf } from './schedule.js';
import { type Outcome, World } from './world.js';

/** A schedule that fails is tried with less of it at most so often. */
const SHRINKS_MAX = 300;

/** Sums over many schedules. */
export interface Figures {
  schedules: number;
  simulatedMs: number;
  events: number;
  writes: number;
  acknowledged: number;
  excused: number;
  changes: number;
  failovers: number;
}

export function noFigures(): Figures {
  return {
    schedules: 0,
    simulatedMs: 0,
    events: 0,
    writes: 0,
    acknowledged: 0,
    excused: 0,
    changes: 0,
    failovers: 0,
  };
}

export function run(schedule: Schedule, isTold = false): Promise<Outcome> {
  return new World(schedule, isTold).run();
}

/**
 * Runs the schedule of a seed.
 * @returns what is to be said of it, where it fails: a schedule that is as short as could be found in some tries, and what happens in it
 */
export async function simulate(seed: number, figures: Figures): Promise<string | undefined> {
  const schedule = scheduleOf(seed);
  const outcome = await run(schedule);
  figures.schedules++;
  for (const name of Object.keys(figures) as (keyof Figures)[])
    if (name !== 'schedules') figures[name] += outcome[name];
  return outcome.faults.length === 0 ? undefined : failureText(await shrunk(schedule));
}

/** The schedule without what it fails without. */
export async function shrunk(schedule: Schedule): Promise<Schedule> {
  let tries = 0;
  const fails = async (happenings: readonly Happening[]) =>
    tries++ < SHRINKS_MAX && (await run({ ...schedule, happenings })).faults.length > 0;
  let { happenings } = schedule;
  for (let size = happenings.length >> 1; size > 0; size = size === 1 ? 0 : (size + 1) >> 1)
    for (let from = 0; from < happenings.length; ) {
      const fewer = happenings.toSpliced(from, size);
      if (await fails(fewer)) happenings = fewer;
      else from += size;
    }
  return { ...schedule, happenings };
}

export async function failureText(schedule: Schedule): Promise<string> {
  const { faults, journal } = await run(schedule, true);
  return [...faults.slice(0, 10), '', textOf(schedule), '', ...journal].join('\n');
}
