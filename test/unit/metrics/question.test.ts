import { expect, test } from 'vitest';
import { Question } from '../../../src/metrics/question.js';

function fixture() {
  const waiting: { answer(value: string): void; fail(error: Error): void }[] = [];
  const failures: string[] = [];
  const question = new Question(
    () =>
      new Promise<string>((resolve, reject) => {
        waiting.push({ answer: resolve, fail: reject });
      }),
    ({ message }) => failures.push(message),
  );
  return { question, waiting, failures };
}

test('what is answered late is not waited for, and not asked again meanwhile', async () => {
  const { question, waiting } = fixture();
  expect(await question.within(1)).toBeUndefined();
  expect(await question.within(1)).toBeUndefined();
  expect(waiting).toHaveLength(1);
  const third = question.within(60_000);
  waiting[0]!.answer('late');
  expect(await third).toBe('late');
  const fourth = question.within(60_000);
  waiting[1]!.answer('anew');
  expect(await fourth).toBe('anew');
});

test('that there is no answer is told to who asked, and tried again', async () => {
  const { question, waiting, failures } = fixture();
  const first = question.within(60_000);
  waiting[0]!.fail(new Error('the worker died'));
  expect(await first).toBeUndefined();
  expect(failures).toEqual(['the worker died']);
  const second = question.within(60_000);
  waiting[1]!.answer('well');
  expect(await second).toBe('well');
});
