import { parseArgs } from 'node:util';
import { scheduleOf } from './schedule.js';
import { failureText, noFigures, simulate } from './simulate.js';

/*
 * npm run simulate -- [--seed N] [--runs N] [--tell]
 *
 * Runs the schedules of so many seeds, from the first. One that fails is told, as short as it could be made; the
 * others go on. With --tell what happens in each is told, failing or not.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    runs: { type: 'string', default: '1000' },
    tell: { type: 'boolean', default: false },
  },
});
const [first, runs] = [Number(values.seed), Number(values.runs)];
const figures = noFigures();
const failed: number[] = [];
console.log(`seeds ${first} to ${first + runs - 1}`);
for (let seed = first; seed < first + runs; seed++) {
  if (values.tell) console.log(await failureText(scheduleOf(seed)));
  const failure = await simulate(seed, figures);
  if (failure === undefined) continue;
  failed.push(seed);
  console.log(`seed ${seed} fails: ${failure}\n`);
}
console.log(figures);
console.log(`${process.cpuUsage().user / 1e6} s of a processor`);
console.log(failed.length === 0 ? 'none fails' : `${failed.length} fail: ${failed.join(' ')}`);
process.exit(failed.length === 0 ? 0 : 1);
