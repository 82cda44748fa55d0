/** Code words longer than this are not told apart: they count as `ERR`. */
const CODE_LENGTH_MAX = 32;
/** Different code words that are counted; a client can make some up (DEBUG ERROR), so there must be a bound. */
const CODES_MAX = 128;

/** Error replies of one thread, counted by their first word: INFO errorstats. */
export class ErrorTally {
  readonly counts = new Map<string, number>();

  /** @param text an error reply's text, code word first */
  count(text: string): void {
    const end = text.indexOf(' ');
    const code = end > 0 && end <= CODE_LENGTH_MAX ? text.slice(0, end) : 'ERR';
    const before = this.counts.get(code);
    if (before !== undefined || this.counts.size < CODES_MAX) this.counts.set(code, (before ?? 0) + 1);
  }

  clear(): void {
    this.counts.clear();
  }
}
