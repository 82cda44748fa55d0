import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { haveTool } from '../support/environment.js';
import { envNumber, testSeed } from '../support/random.js';
import { TestServer } from '../support/server.js';
import { Generator, type SessionPlan } from './generate.js';
import { BATCH_MAX, type SessionMode } from './session.js';
import { describeStep, replay, revived, shrink } from './shrink.js';

const STEPS_PER_SESSION = 500;
/** Reports of one run, enough to see what is wrong without reading the same ten times. */
const MISMATCHES_MAX = envNumber('VASTO_TEST_MISMATCHES', 8);
const STEPS_SHOWN_MAX = 25;

/** VASTO_TEST_STEPS raises the number of steps of each test. */
function sessionsOf(steps: number): number {
  return Math.max(1, Math.round(envNumber('VASTO_TEST_STEPS', steps) / STEPS_PER_SESSION));
}

describe.skipIf(!haveTool('redis-server'))('random commands give the replies of redis-server', () => {
  const seed = testSeed('differential');
  let oracle: TestServer;

  beforeAll(async () => {
    oracle = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
  });

  afterAll(async () => {
    await oracle.stop();
  });

  /** A session, and what is to be said of it if the servers part. */
  async function report(
    plan: SessionPlan,
    mode: SessionMode,
    subject: TestServer,
  ): Promise<[string, TestServer]> {
    const steps = new Generator(plan).session();
    const run = await replay(steps, mode, subject, oracle);
    if (run.mismatch === undefined) return ['', run.subject];
    const { mismatch } = run;
    const died = await run.subject.hasEnded();
    const leading = steps.slice(0, mismatch.index + (died ? BATCH_MAX : 1));
    const shrunk = await shrink(leading, mode, run.subject, oracle).catch(() => undefined);
    const shown = (shrunk?.steps ?? leading).slice(-STEPS_SHOWN_MAX);
    const final = shrunk?.mismatch ?? mismatch;
    const lines = [
      `seed ${plan.seed}, RESP${mode.protocol}${mode.lowLimits ? ', low limits' : ''}, step ${mismatch.index}; ${shown.length} last steps on the way:`,
      ...shown.map((step) => `    ${describeStep(step)}`),
      `  subject: ${final.subject.slice(0, 1500)}`,
      `  oracle:  ${final.oracle.slice(0, 1500)}`,
      ...(died ? [`  THE SERVER DIED: ${run.subject.output.slice(-800)}`] : []),
    ];
    return [lines.join('\n'), shrunk?.subject ?? run.subject];
  }

  async function runSessions(
    sessions: number,
    workers: number,
    { restarts = 0, waits = false } = {},
  ): Promise<void> {
    const flags = ['--appendfsync', 'everysec'];
    let subject = await TestServer.start({ workers, flags });
    const reports: string[] = [];
    for (let i = 0; i < sessions && reports.length < MISMATCHES_MAX; i++) {
      const plan = { seed: seed + i, steps: STEPS_PER_SESSION, restarts, waits };
      const mode = { protocol: i % 2 === 0 ? 2 : 3, lowLimits: i % 4 < 2 } as const;
      const [text, server] = await report(plan, mode, subject);
      subject = server;
      if (text !== '') reports.push(text);
      subject = await revived(subject);
    }
    await subject.stop();
    expect(reports.join('\n\n')).toBe('');
  }

  test('one worker', { timeout: 600_000 }, () => runSessions(sessionsOf(14_000), 1));

  test('three workers', { timeout: 600_000 }, () => runSessions(sessionsOf(8000), 3));

  test('restarts in mid-sequence', { timeout: 600_000 }, () =>
    runSessions(sessionsOf(4000), 2, { restarts: 2 }),
  );

  test('clients that wait', { timeout: 600_000 }, () => runSessions(sessionsOf(8000), 2, { waits: true }));
});
