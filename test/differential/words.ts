import type { Random } from '../support/random.js';

const KEYS = ['a', 'b', 'c', 'key:1', 'key:2', 'key:11', '', 'h*llo', '\r\n', '\0\xff\x80', 'k{t}1', 'k{t}2'];
const COUNTERS = ['n1', 'n2', 'f1'];
const BITMAPS = ['bits1', 'bits2', 'bits3'];
const LOGLOGS = ['hll1', 'hll2', 'hll3'];
const HASHES = ['hash1', 'hash2', 'hash3'];
const LISTS = ['list1', 'list2', 'list3'];
const SETS = ['set1', 'set2', 'set3', 'ints'];
const SORTED_SETS = ['zset1', 'zset2', 'zset3', 'zset4'];
const STREAMS = ['stream1', 'stream2', 'stream3'];
const WAITED = [...LISTS, ...SORTED_SETS, ...STREAMS];

const INTEGERS = ['0', '1', '-1', '2', '3', '10', '255', '-128', '9999', '10000', '123456789', '-42'];
const EDGE_INTEGERS = [
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775806',
  '4294967296',
  '-4294967297',
];
const NOT_INTEGERS = [
  '9223372036854775808',
  '-9223372036854775809',
  '99999999999999999999999',
  '',
  ' ',
  ' 1',
  '1 ',
  '+1',
  '-0',
  '01',
  '1.5',
  '1e3',
  '0x10',
  'abc',
  '-',
  '1\0',
  'inf',
  'nan',
];
const FLOATS = [
  '0',
  '1',
  '-1',
  '0.1',
  '0.2',
  '1.5',
  '-2.25',
  '3.0e3',
  '1e-5',
  '10.50',
  '123456.789',
  '0.000001',
  '5e10',
  '1e17',
  '1e20',
  '1e-17',
  '-0',
  '0x10',
  '1.7976931348623157e308',
  '1e400',
  'inf',
  '-inf',
  'nan',
  '',
  ' 1.5',
  '1.5 ',
  'abc',
  '3.14159265358979323846',
];
const TEXTS = [
  '',
  'x',
  'hello',
  'ohmytext',
  'mynewtext',
  'a\r\nb',
  '\0',
  '\xff\xfe\0\x01',
  'a b',
  '*1\r\n$4\r\nPING\r\n',
];
/** In place of any argument. No small positive integers: as an expiry they would run out within the session. */
const JUNK = [
  ...NOT_INTEGERS,
  ...EDGE_INTEGERS,
  '0',
  '-1',
  'NX',
  'XX',
  'GET',
  'KEEPTTL',
  'bogus',
  '*',
  '\r\n',
];

export const PATTERNS = [
  '*',
  'k*',
  'key:?',
  'key:*',
  '[ab]',
  '[^a]',
  '[a-c]*',
  'h\\*llo',
  'h*llo',
  '*l*l*',
  '[',
  '[a',
  '\\',
  '',
  '?',
  '??',
  'a',
  'n*',
  '*1',
  '*{t}*',
  '\0*',
  'zzz*',
];

/** Seconds; year 2100. */
const FAR_TIME_S = 4_102_444_800;

/** Picks arguments. Everything it gives derives from the generator's seed. */
export class Words {
  #ttlCount = 0;
  #streamMs = 1;

  constructor(
    readonly r: Random,
    /** Whether any key is mostly one that may be waited for. */
    private readonly isForWaits = false,
  ) {}

  key(): string {
    if (this.isForWaits && this.r.chance(0.8)) return this.r.pick(WAITED);
    const roll = this.r.float();
    if (roll < 0.7) return this.r.pick(KEYS);
    if (roll < 0.82) return this.r.pick(COUNTERS);
    if (roll < 0.92) return this.r.pick(BITMAPS);
    if (roll < 0.94) return this.r.pick(LOGLOGS);
    if (roll < 0.96) return this.r.pick(HASHES);
    if (roll < 0.97) return this.r.pick(SETS);
    if (roll < 0.98) return this.r.pick(LISTS);
    if (roll < 0.985) return this.r.pick(STREAMS);
    return roll < 0.99 ? this.r.pick(SORTED_SETS) : `rare:${this.r.int(0, 300)}`;
  }

  hash(): string {
    return this.r.chance(0.94) ? this.r.pick(HASHES) : this.key();
  }

  set(): string {
    return this.r.chance(0.94) ? this.r.pick(SETS) : this.key();
  }

  sortedSet(): string {
    return this.r.pick(SORTED_SETS);
  }

  list(): string {
    return this.r.chance(0.94) ? this.r.pick(LISTS) : this.key();
  }

  lists(most = 3): string[] {
    return Array.from({ length: this.r.int(1, most) }, () => this.list());
  }

  /** An element of a list: one of few mostly, so that there are many that are equal; now and then a long one. */
  element(): string {
    const roll = this.r.float();
    if (roll < 0.6) return `e${this.r.int(0, 9)}`;
    return roll < 0.99 ? this.value() : 'long '.repeat(this.r.int(100, 600));
  }

  stream(): string {
    return this.r.pick(STREAMS);
  }

  /** The first part of the last id given to a stream. */
  streamMs(): number {
    return this.#streamMs;
  }

  /** The first part, milliseconds, of an id for a new entry: that of the last one, or a little more. */
  nextStreamMs(): number {
    this.#streamMs += this.r.int(0, 2);
    return this.#streamMs;
  }

  sets(most = 3): string[] {
    return Array.from({ length: this.r.int(1, most) }, () => this.set());
  }

  /** A field of a hash: few at the beginning of the alphabet, many behind. */
  field(): string {
    const roll = this.r.float();
    if (roll < 0.5) return `f${this.r.int(0, 12)}`;
    if (roll < 0.9) return `field:${this.r.int(0, 400)}`;
    return this.r.chance(0.5) ? this.value() : '';
  }

  /** A member of a set; small integers mostly, so that some sets have nothing else. */
  member(): string {
    const roll = this.r.float();
    if (roll < 0.55) return String(this.r.int(-5, 30));
    if (roll < 0.75) return String(this.r.int(0, 700));
    return roll < 0.92 ? `m${this.r.int(0, 40)}` : this.value();
  }

  /** Some of what `one` gives; now and then many. */
  several(one: () => string, most = 4): string[] {
    const count = this.r.chance(0.04) ? this.r.int(20, 150) : this.r.int(1, most);
    return Array.from({ length: count }, one);
  }

  counter(): string {
    return this.r.chance(0.85) ? this.r.pick(COUNTERS) : this.key();
  }

  bitmap(): string {
    return this.r.chance(0.85) ? this.r.pick(BITMAPS) : this.key();
  }

  loglog(): string {
    return this.r.chance(0.93) ? this.r.pick(LOGLOGS) : this.key();
  }

  keys(most = 4): string[] {
    return Array.from({ length: this.r.int(1, most) }, () => this.key());
  }

  value(): string {
    const roll = this.r.float();
    if (roll < 0.35) return this.integer();
    if (roll < 0.45) return this.r.pick(FLOATS);
    if (roll < 0.8) return this.r.pick(TEXTS);
    if (roll < 0.97) return this.r.bytes(this.r.int(0, 60));
    return this.r.chance(0.8) ? this.r.bytes(this.r.int(60, 600)) : 'ab'.repeat(this.r.int(300, 800));
  }

  integer(): string {
    const roll = this.r.float();
    if (roll < 0.55) return this.r.pick(INTEGERS);
    if (roll < 0.8) return String(this.r.int(-1000, 20_000));
    return roll < 0.92 ? this.r.pick(EDGE_INTEGERS) : this.r.pick(NOT_INTEGERS);
  }

  float(): string {
    if (this.r.chance(0.5)) return this.r.pick(FLOATS);
    return (this.r.int(-100_000, 100_000) / 10 ** this.r.int(0, 4)).toString();
  }

  /** An index into a string. */
  index(): string {
    return this.r.chance(0.93)
      ? String(this.r.int(-30, 60))
      : this.r.pick([...NOT_INTEGERS, ...EDGE_INTEGERS]);
  }

  /** How many random elements are asked for; not billions with repetitions, which redis-server would set out to give. */
  pickCount(): string {
    const count = this.index();
    return Number(count) < -1e6 && Number(count) > -9e18 ? '-7' : count;
  }

  /** A byte offset to write at: small, or beyond every limit. */
  offset(): string {
    if (this.r.chance(0.9)) return String(this.r.int(0, 40));
    return this.r.pick(['-1', '536870912', '4294967296', '9223372036854775807', 'abc', '5000', '']);
  }

  bitOffset(): string {
    if (this.r.chance(0.9)) return String(this.r.int(0, 300));
    return this.r.pick(['-1', '4294967296', '9223372036854775808', 'abc', '20000', '']);
  }

  /** Seconds from now, far enough never to pass within a session, and never twice the same (for GT and LT). */
  ttlS(): number {
    return 10_000 + ((this.#ttlCount++ * 7919) % 100_003) * 20;
  }

  ttl(unit: 's' | 'ms'): string {
    if (this.r.chance(0.06))
      return this.r.pick(['0', '-1', '-9223372036854775808', '9223372036854775807', 'abc', '1.5']);
    return String(this.ttlS() * (unit === 's' ? 1 : 1000));
  }

  time(unit: 's' | 'ms'): string {
    const roll = this.r.float();
    if (roll < 0.05) return this.r.pick(['0', '-1', '9223372036854775807', 'abc', '']);
    if (roll < 0.1) return this.r.pick(['1', '1000000']);
    const seconds = FAR_TIME_S + this.ttlS();
    return String(unit === 's' ? seconds : seconds * 1000 + this.r.int(0, 999));
  }

  /** Where Redis has numbers only, SELECT has names of keyspaces, too: words that are not one are malformed numbers. */
  database(): string {
    return this.r.chance(0.95)
      ? String(this.r.int(0, 2))
      : this.r.pick(['16', '-1', 'a c', '', '3000000000', '9223372036854775807', '9223372036854775808']);
  }

  pattern(): string {
    return this.r.pick(PATTERNS);
  }

  junk(): string {
    return this.r.pick(JUNK);
  }

  /** Each of the options with the given chance, in random order. */
  options(chance: number, ...options: (() => readonly string[])[]): string[] {
    const chosen: string[][] = [];
    for (const option of options) {
      if (this.r.chance(chance)) chosen.splice(this.r.int(0, chosen.length), 0, [...option()]);
    }
    return chosen.flat();
  }

  /** One of the words in some case. */
  word(...words: string[]): string {
    const word = this.r.pick(words);
    return this.r.chance(0.3) ? word.toLowerCase() : word;
  }
}
