import { quote } from '../support/reply.js';
import { TestServer } from '../support/server.js';
import type { Step } from './generate.js';
import { BATCH_MAX, type Mismatch, Session, type SessionMode } from './session.js';

const SHRINK_MS_MAX = 6000;

/** Commands that act on more than the keys they name; a shrunk session keeps them at first. */
const CONTROL = new Set([
  'select',
  'swapdb',
  'flushdb',
  'flushall',
  'multi',
  'exec',
  'discard',
  'watch',
  'unwatch',
]);

export interface Shrunk {
  readonly steps: readonly Step[];
  readonly mismatch: Mismatch | undefined;
  /** The server as it runs now: another process after a restart. */
  readonly subject: TestServer;
}

/** One run of steps on emptied servers. */
export async function replay(
  steps: readonly Step[],
  mode: SessionMode,
  subject: TestServer,
  oracle: TestServer,
): Promise<{ readonly mismatch: Mismatch | undefined; readonly subject: TestServer }> {
  const session = await Session.open(mode, subject, oracle);
  try {
    const mismatch = await session.run(steps);
    return { mismatch, subject: session.subject.server };
  } finally {
    session.close();
  }
}

/**
 * Fewer steps that still part the servers: those on the same keys first, then without every chunk that is not needed.
 * Gives what it has when its time is up.
 */
export async function shrink(
  steps: readonly Step[],
  mode: SessionMode,
  subject: TestServer,
  oracle: TestServer,
): Promise<Shrunk> {
  const deadline = Date.now() + SHRINK_MS_MAX;
  let best = steps;
  let current = subject;
  let last: Mismatch | undefined;
  const attempt = async (candidate: readonly Step[]): Promise<boolean> => {
    current = await revived(current);
    const { mismatch, subject: server } = await replay(candidate, mode, current, oracle);
    current = server;
    if (mismatch === undefined) return false;
    // Of a connection that broke, any command of the batch may be the cause.
    const broke = mismatch.subject.startsWith('<');
    best = candidate.slice(0, mismatch.index + (broke ? BATCH_MAX : 1));
    last = mismatch;
    return true;
  };
  const lasting = steps.filter((step) => step.kind !== 'restart');
  // Each restart takes long: where they matter, there is time only for leaving out other keys.
  const restartsMatter = lasting.length < steps.length && !(await attempt(lasting));
  await attempt(related(best));
  if (restartsMatter) return { steps: best, mismatch: last, subject: current };
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length - 1; ) {
      if (Date.now() > deadline) return { steps: best, mismatch: last, subject: current };
      const shorter = [...best.slice(0, at), ...best.slice(Math.min(at + size, best.length - 1))];
      if (shorter.length === best.length || !(await attempt(shorter))) at += size;
    }
  }
  return { steps: best, mismatch: last, subject: current };
}

/** The server itself, or another in its place if it has died, which an abort within a worker does to it. */
export async function revived(server: TestServer): Promise<TestServer> {
  if (!(await server.hasEnded())) return server;
  return TestServer.start(server.options);
}

/** The steps that name an argument of the last one, or act on whole databases. */
function related(steps: readonly Step[]): readonly Step[] {
  const words = new Set(wordsOf(steps[steps.length - 1]!));
  return steps.filter((step) => {
    if (step.kind === 'restart' || step.kind === 'leave' || step.kind === 'unblock') return true;
    if (step.kind === 'command' && CONTROL.has(step.args[0]?.toLowerCase() ?? '')) return true;
    return wordsOf(step).some((word) => words.has(word));
  });
}

function wordsOf(step: Step): readonly string[] {
  if (step.kind === 'command' || step.kind === 'scan' || step.kind === 'wait') return step.args.slice(1);
  return step.kind === 'dump' ? [step.key] : [];
}

export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'restart':
      return '(restart)';
    case 'size':
      return `${step.on}> DBSIZE`;
    case 'dump':
      return `${step.on}> DUMP ${quote(step.key)} (restored crosswise)`;
    case 'leave':
      return `waiter ${step.place} leaves`;
    case 'unblock':
      return `waiter ${step.place} is unblocked: ${step.how}`;
    case 'wait':
      return `waiter ${step.place}, database ${step.database}> ${describeWords(step.args)}`;
    default:
      return `${step.on}> ${step.kind === 'scan' ? '(all) ' : ''}${describeWords(step.args)}`;
  }
}

function describeWords(words: readonly string[]): string {
  return words
    .map((word) => (word.length > 300 ? `${quote(word.slice(0, 40))}…${word.length}` : quote(word)))
    .join(' ');
}
