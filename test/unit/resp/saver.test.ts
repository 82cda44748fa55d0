import { expect, test } from 'vitest';
import { type Saved, Saver } from '../../../src/resp/saver.js';

function saver(save: () => Promise<void>) {
  const counted = { writes: 0 };
  const failures: string[] = [];
  const store: Saved = { save, lastSaveMs: 1_700_000_000_999 };
  const made = new Saver(
    store,
    () => counted.writes,
    (error) => failures.push(error.message),
  );
  return { made, counted, failures };
}

test('tells what is under way, and how it went', async () => {
  let finish: () => void = () => undefined;
  const { made } = saver(
    () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  );
  expect([made.inProgress, made.lastSeconds, made.currentSeconds]).toEqual([false, undefined, undefined]);
  const saving = made.save();
  expect([made.inProgress, made.currentSeconds]).toEqual([true, 0]);
  finish();
  expect(await saving).toBe(true);
  expect([made.inProgress, made.saves, made.lastSeconds, made.lastFailed]).toEqual([false, 1, 0, false]);
  expect(made.lastSaveSeconds).toBe(1_700_000_000);
});

test('a failure is told, not thrown, and does not count as saved', async () => {
  const { made, counted, failures } = saver(() => Promise.reject(new Error('disk')));
  counted.writes = 4;
  expect(await made.save()).toBe(false);
  expect(failures).toEqual(['disk']);
  expect([made.saves, made.lastFailed, made.inProgress, made.writesSinceSave]).toEqual([0, true, false, 4]);
});

test('counts the writes since the save, over a reset of the counters', async () => {
  const { made, counted } = saver(() => Promise.resolve());
  counted.writes = 10;
  await made.save();
  expect(made.writesSinceSave).toBe(0);
  counted.writes = 13;
  made.countersReset();
  counted.writes = 0;
  expect(made.writesSinceSave).toBe(3);
  counted.writes = 2;
  expect(made.writesSinceSave).toBe(5);
});
