/** What the supporting files of the tests take from vitest, for the run outside of it. */
export function afterAll(work: () => void): void {
  process.once('exit', work);
}
