import fc from 'fast-check';
import { Random } from './random.js';

/** The seed that VASTO_TEST_SEED asks to replay, or undefined. */
function givenSeed(): number | undefined {
  const given = process.env.VASTO_TEST_SEED;
  return given === undefined ? undefined : Number(given);
}

/** Checks a fast-check property; its failures tell the seed, which VASTO_TEST_SEED replays. */
export function check<T>(
  property: fc.IProperty<T> | fc.IAsyncProperty<T>,
  numRuns: number,
): void | Promise<void> {
  const seed = givenSeed();
  return fc.assert(property as fc.IProperty<T>, { numRuns, ...(seed === undefined ? {} : { seed }) });
}

/** Runs a test on seeded random numbers; a failure tells the seed, which VASTO_TEST_SEED replays. */
export async function seeded(
  runs: number,
  test: (random: Random, run: number) => void | Promise<void>,
): Promise<void> {
  const given = givenSeed();
  for (let run = 0; run < (given === undefined ? runs : 1); run++) {
    const seed = given ?? Math.floor(Math.random() * 2 ** 31);
    try {
      await test(new Random(seed), run);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`with VASTO_TEST_SEED=${seed}: ${text}`, { cause });
    }
  }
}
