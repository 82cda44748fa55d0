import { setTimeout as pause } from 'node:timers/promises';
import {
  type ChangeRequest,
  type ChangeStatus,
  ManagerError,
  type TaskProgress,
} from '../cluster/manager.js';
import { type AdminContext, print, progressBar, Refusal } from './admin-actions.js';
import { printable } from './tables.js';
import { count } from './words.js';

/** How often it is asked how far a change has come, milliseconds. */
const ASK_EVERY_MS = 200;
/** A master that is being started again, and does not know its stores yet, is waited for so long, milliseconds. */
const AWAY_MAX_MS = 30_000;

/**
 * Has a change made, and shows how it goes until it is over.
 * @param isWaiting whether it is waited for
 * @throws Refusal when somebody has aborted it meanwhile
 */
export async function change(
  context: AdminContext,
  request: ChangeRequest,
  isWaiting: boolean,
): Promise<void> {
  const { id, explanation } = await context.cluster.beginChange(request);
  if (!context.isJson) for (const line of explanation) context.out(`${printable(line)}\n`);
  if (isWaiting && id !== '') {
    const isUndone = await untilOver(context, id);
    if (isUndone && request.kind !== 'abort')
      throw new Refusal('the change was aborted: what had been prepared is removed');
  }
  const outcome = { id: id === '' ? null : id, kind: request.kind, explanation };
  const done = isWaiting ? 'done' : "it goes on: 'tasks' tells how far it has come";
  print(context, { change: outcome }, () => (id === '' ? 'nothing is to be done\n' : `${done}\n`));
}

/** @returns whether it was seen being undone. @throws Refusal when it is not to be waited for any more */
async function untilOver(context: AdminContext, id: string): Promise<boolean> {
  const { cluster, stop } = context;
  const bar = progressBar(context);
  const startMs = Date.now();
  let heardAtMs = startMs;
  let isUndone = false;
  try {
    for (;;) {
      try {
        const own = (await cluster.changeStatuses()).filter((status) => status.id === id);
        if (own.every(({ isResting }) => isResting)) return isUndone;
        isUndone ||= own.some(({ phase }) => phase === 'undo');
        heardAtMs = Date.now();
        bar.show(progressOf(own, heardAtMs - startMs));
      } catch (error) {
        // By the way of the request that it has just answered: whatever is wrong, it may pass.
        if (!(error instanceof ManagerError) || Date.now() - heardAtMs > AWAY_MAX_MS) throw error;
      }
      if (stop?.aborted === true) throw new Refusal("the change goes on: 'tasks' tells how far it has come");
      await pause(ASK_EVERY_MS);
    }
  } finally {
    bar.clear();
  }
}

/** All keyspaces of one change together. */
export function progressOf(statuses: readonly ChangeStatus[], elapsedMs: number): TaskProgress {
  const sum = (of: (status: ChangeStatus) => number) => statuses.reduce((all, each) => all + of(each), 0);
  const [rows, rowsTotal] = [sum(({ rows }) => rows), sum(({ rowsTotal }) => rowsTotal)];
  const bytes = sum(({ bytes }) => bytes);
  const perSecond = elapsedMs === 0 ? 0 : bytes / (elapsedMs / 1000);
  const bytesLeft = Math.max(0, sum(({ bytesTotal }) => bytesTotal) - bytes);
  const phases = [...new Set(statuses.map(({ phase }) => phase))].join(', ');
  const left = perSecond > 0 && bytesLeft > 0 ? `, ${Math.ceil(bytesLeft / perSecond)} s left` : '';
  const rate = `${(perSecond / 2 ** 20).toFixed(1)} MB/s`;
  return {
    done: rows,
    total: rowsTotal,
    phase: `${phases}: ${count(rows, 'row')} of ${rowsTotal}, ${(bytes / 2 ** 20).toFixed(1)} MB, ${rate}${left}`,
  };
}

export async function tasks(context: AdminContext): Promise<void> {
  const statuses = await context.cluster.changeStatuses();
  const nowMs = Date.now();
  print(context, { tasks: statuses }, () =>
    statuses.length === 0
      ? 'nothing is being changed\n'
      : statuses.map((each) => taskText(each, nowMs)).join(''),
  );
}

function taskText(status: ChangeStatus, nowMs: number): string {
  const { keyspace, kind, startedAtMs, waitsFor, attempts, isResting } = status;
  const { phase } = progressOf([status], nowMs - startedAtMs);
  const retries = attempts === 0 ? '' : `, ${count(attempts, 'hand-over')} given up`;
  const waits = waitsFor.map((reason) => `  waits: ${printable(reason)}\n`).join('');
  const rests = isResting ? ', rests: other changes may begin' : '';
  return `keyspace ${printable(keyspace)}: ${kind}: ${phase}${retries}${rests}\n${waits}`;
}
