import { expect, it } from 'vitest';
import { HeldQueue } from '../../../src/resp/held-queue.js';
import { Random, testSeed } from '../../support/random.js';

it('gives items as an array would', () => {
  const random = new Random(testSeed('held queue'));
  const queue = new HeldQueue<number>();
  let items: number[] = [];
  let next = 0;
  // Chances that change make it long, and empty again.
  let pushes = 0.5;
  for (let step = 0; step < 50_000; step++) {
    if (step % 500 === 0) pushes = random.pick([0.2, 0.5, 0.8]);
    if (random.chance(pushes)) {
      queue.push(next);
      items.push(next++);
    } else if (random.chance(0.1)) {
      queue.putBack(next);
      items.unshift(next++);
    } else expect(queue.shift()).toBe(items.shift());
    if (random.chance(0.0005)) {
      queue.clear();
      items = [];
    }
    expect(queue.length).toBe(items.length);
  }
  while (items.length > 0) expect(queue.shift()).toBe(items.shift());
  expect(queue.shift()).toBeUndefined();
});

it('does not keep the places of items that were taken', () => {
  const queue = new HeldQueue<number>();
  for (let item = 0; item < 100_000; item++) {
    queue.push(item);
    if (item >= 10) queue.shift();
  }
  expect((Reflect.get(queue, 'items') as unknown[]).length).toBeLessThan(200);
});
