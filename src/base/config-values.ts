import { INT64_MAX, type Int64, parseInt64 } from './numbers.js';

/** Why a text is not a value of its kind, in Redis's words where Redis has the kind. */
export class Invalid {
  constructor(readonly reason: string) {}
}

/**
 * A kind of value: how it is written in a file or on the command line, and how CONFIG GET shows it.
 * Pure: whether a well-formed value can be served is the directive's `refuse`.
 */
export interface Kind<T> {
  /** What may be written, for error messages and the reference. */
  readonly allowed: string;
  /** Whether a value is several words, so that CONFIG SET splits its argument at every space. */
  readonly splits: boolean;
  /** @param current the value so far, which kinds of several parts may change in part */
  parse(words: readonly string[], current: T): T | Invalid;
  /** The value as CONFIG GET replies it. */
  format(value: T): string;
  /** The lines of a file that say the value: the words after the directive's name, one list a line. */
  lines(value: T): string[][];
  /** For kinds whose lines add up: the value after a further line of the same source. */
  combine?(earlier: T, later: T): T;
}

const WRONG_COUNT = new Invalid('wrong number of arguments');

/** A kind of which a value is one word, read by `parseWord`. */
function oneWord<T>(
  allowed: string,
  parseWord: (word: string) => T | Invalid,
  format: (value: T) => string,
): Kind<T> {
  return {
    allowed,
    splits: false,
    parse: (words) => (words.length === 1 ? parseWord(words[0]!) : WRONG_COUNT),
    format,
    lines: (value) => [[format(value)]],
  };
}

/** `yes` or `no`, in any case. */
export function flag(): Kind<boolean> {
  const parse = (word: string): boolean | Invalid => {
    const lower = word.toLowerCase();
    if (lower === 'yes') return true;
    return lower === 'no' ? false : new Invalid("argument must be 'yes' or 'no'");
  };
  return oneWord('yes or no', parse, (value) => (value ? 'yes' : 'no'));
}

function outOfRange(min: Int64, max: Int64): Invalid {
  return new Invalid(`argument must be between ${min} and ${max} inclusive`);
}

/** Digits of `value`; beyond 2^53, where a double is inexact, never outside the range of the directive. */
function formatWhole(value: number, min: Int64, max: Int64): string {
  if (Number.isSafeInteger(value)) return String(value);
  const exact = BigInt(value);
  if (exact > max) return String(max);
  return String(exact < min ? min : exact);
}

/** A decimal integer from `min` to `max`; beyond 2^53 it is kept as the nearest double. */
export function integer(min: Int64, max: Int64 = INT64_MAX): Kind<number> {
  const parse = (word: string): number | Invalid => {
    const value = parseInt64(word);
    if (value === undefined) return new Invalid("argument couldn't be parsed into an integer");
    return value < min || value > max ? outOfRange(min, max) : Number(value);
  };
  const allowed = max === INT64_MAX ? `an integer, at least ${min}` : `an integer from ${min} to ${max}`;
  return oneWord(allowed, parse, (value) => formatWhole(value, min, max));
}

/** As {@link integer}, but values outside the range become its nearest end, as Redis treats `hz`. */
export function clampedInteger(min: number, max: number): Kind<number> {
  const kind = integer(-2147483648, 2147483647);
  return {
    ...kind,
    allowed: `an integer; outside ${min} to ${max} the nearest of the two is taken`,
    parse(words, current) {
      const value = kind.parse(words, current);
      return value instanceof Invalid ? value : Math.min(max, Math.max(min, value));
    },
  };
}

const BYTES_PER_UNIT: ReadonlyMap<string, bigint> = new Map([
  ['', 1n],
  ['b', 1n],
  ['k', 1000n],
  ['kb', 1024n],
  ['m', 1000n ** 2n],
  ['mb', 1024n ** 2n],
  ['g', 1000n ** 3n],
  ['gb', 1024n ** 3n],
]);

/** The largest number of bytes that Redis can say. */
const BYTES_MAX = 18446744073709551615n;

/** Bytes in `text`, such as `100`, `64kb` or `1G`; undefined when it is not a size. Nothing at all is 0. */
export function parseBytes(text: string): bigint | undefined {
  if (text === '') return 0n;
  const match = /^(\d{1,40})([a-z]{0,2})$/i.exec(text);
  const unit = match && BYTES_PER_UNIT.get(match[2]!.toLowerCase());
  return unit ? BigInt(match[1]!) * unit : undefined;
}

/** A number of bytes from `min` to `max`, with Redis's units: `k` is 1000, `kb` is 1024, and so on. */
export function memory(min: Int64 = 0, max: bigint = INT64_MAX): Kind<number> {
  const parse = (word: string): number | Invalid => {
    const bytes = parseBytes(word);
    if (bytes === undefined) return new Invalid('argument must be a memory value');
    if (max === BYTES_MAX && bytes > max) return Number(max);
    return bytes < min || bytes > max ? outOfRange(min, max) : Number(bytes);
  };
  const least = min === 0 ? '' : `, at least ${min}`;
  return oneWord(`bytes with an optional unit (k kb m mb g gb)${least}`, parse, (value) =>
    formatWhole(value, min, max),
  );
}

/** As {@link memory}, without a bound: what is beyond Redis's largest size counts as that. */
export function unboundedMemory(): Kind<number> {
  return memory(0, BYTES_MAX);
}

/** One of some words, in any case. */
export function oneOf<const T extends string>(...names: readonly T[]): Kind<T> {
  const parse = (word: string): T | Invalid =>
    names.find((name) => name === word.toLowerCase()) ??
    new Invalid(`argument(s) must be one of the following: ${names.join(', ')}`);
  return oneWord(`one of ${names.join(', ')}`, parse, (value) => value);
}

/** Any one word; `""` is the empty one. */
export function text(): Kind<string> {
  return oneWord<string>(
    'any text',
    (word) => word,
    (value) => value,
  );
}

/** A folder; `absolute` resolves it for CONFIG GET, which shows where it really is. */
export function folder(absolute: (path: string) => string): Kind<string> {
  return {
    ...oneWord<string>(
      'the path of a folder',
      (word) => (word === '' ? new Invalid('argument must be the path of a folder') : word),
      absolute,
    ),
    lines: (value) => [[value]],
  };
}

/** A permission of up to three octal digits. */
export function octalPermission(): Kind<number> {
  const parse = (word: string): number | Invalid => {
    if (!/^[0-7]+$/.test(word)) return new Invalid("argument couldn't be parsed as an octal number");
    const value = Number.parseInt(word, 8);
    return value > 0o777 ? new Invalid('argument must be between 0 and 777 inclusive') : value;
  };
  return oneWord('an octal number from 0 to 777', parse, (value) => value.toString(8));
}

/** Some words, at most `countMax`. A lone `""` is none. */
export function list(allowed: string, countMax: number): Kind<readonly string[]> {
  return {
    allowed: `${allowed}, at most ${countMax}`,
    splits: true,
    parse(words) {
      if (words.length === 1 && words[0] === '') return [];
      return words.length === 0 || words.length > countMax || words.includes('') ? WRONG_COUNT : words;
    },
    format: (value) => value.join(' '),
    lines: (value) => [value.length === 0 ? [''] : [...value]],
  };
}

/** Any of some words, in any case, separated by spaces; in a file they may be one word in quotes. */
export function wordsOf<const T extends string>(...names: readonly T[]): Kind<readonly T[]> {
  const invalid = new Invalid(`argument(s) must be any of the following: ${names.join(', ')}`);
  return {
    allowed: `any of ${names.join(', ')}`,
    splits: false,
    parse(words) {
      const found = new Set<T>();
      for (const word of words.flatMap((each) => each.split(' '))) {
        if (word === '') continue;
        const name = names.find((each) => each.toLowerCase() === word.toLowerCase());
        if (name === undefined) return invalid;
        found.add(name);
      }
      return words.length === 0 ? WRONG_COUNT : names.filter((name) => found.has(name));
    },
    format: (value) => value.join(' '),
    lines: (value) => [[value.join(' ')]],
  };
}

/** Percentiles, each from 0 to 100. A lone `""` is none. */
export function percentiles(directive: string): Kind<readonly number[]> {
  const format = (value: number): string => value.toFixed(6).replace(/\.?0+$/, '');
  return {
    allowed: 'numbers from 0 to 100',
    splits: true,
    parse(words) {
      if (words.length === 0) return WRONG_COUNT;
      if (words.length === 1 && words[0] === '') return [];
      const values = words.map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
      if (values.some(Number.isNaN)) return new Invalid(`Invalid ${directive} parameters`);
      const inside = values.every((value) => value >= 0 && value <= 100);
      return inside ? values : new Invalid(`${directive} parameters should sit between [0.0,100.0]`);
    },
    format: (value) => value.map(format).join(' '),
    lines: (value) => [value.length === 0 ? [''] : value.map(format)],
  };
}

/** "After `seconds`, when at least `changes` happened", as `save` has it. */
export interface SavePoint {
  readonly seconds: number;
  readonly changes: number;
}

/** Pairs of seconds and changes; lines of one source add up, and a lone `""` forgets what came before. */
export function savePoints(): Kind<readonly SavePoint[]> {
  const invalid = new Invalid('Invalid save parameters');
  return {
    allowed: 'pairs of seconds (at least 1) and changes (at least 0), or ""',
    splits: true,
    parse(words) {
      if (words.length === 1 && words[0] === '') return [];
      if (words.length === 0 || words.length % 2 !== 0) return invalid;
      const numbers = words.map((word) => Number(parseInt64(word) ?? -1));
      const points: SavePoint[] = [];
      for (let index = 0; index < numbers.length; index += 2) {
        const point = { seconds: numbers[index]!, changes: numbers[index + 1]! };
        if (point.seconds < 1 || point.changes < 0) return invalid;
        points.push(point);
      }
      return points;
    },
    format: (value) => value.map(({ seconds, changes }) => `${seconds} ${changes}`).join(' '),
    lines: (value) =>
      value.length === 0 ? [['']] : value.map(({ seconds, changes }) => [String(seconds), String(changes)]),
    combine: (earlier, later) => (later.length === 0 ? [] : [...earlier, ...later]),
  };
}

/** The classes of clients that have output limits of their own. */
export type ClientClass = 'normal' | 'replica' | 'pubsub';

/** A client is closed beyond `hardBytes`, or after `softSeconds` beyond `softBytes`; 0 is no limit. */
export interface OutputBufferLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

export type OutputBufferLimits = Readonly<Record<ClientClass, OutputBufferLimit>>;

/** What clients are called in CONFIG GET; `slave` and `replica` are both understood. */
const CLASS_WORDS: readonly (readonly [ClientClass, string])[] = [
  ['normal', 'normal'],
  ['replica', 'slave'],
  ['pubsub', 'pubsub'],
];

function parseOutputBufferLimit(words: readonly string[]): [ClientClass, OutputBufferLimit] | Invalid {
  const word = words[0]!.toLowerCase();
  const clientClass = CLASS_WORDS.find((names) => names.includes(word))?.[0];
  if (clientClass === undefined) {
    return new Invalid('Invalid client class specified in buffer limit configuration.');
  }
  const hard = parseBytes(words[1]!);
  const soft = parseBytes(words[2]!);
  const seconds = parseInt64(words[3]!);
  if (hard === undefined || soft === undefined || seconds === undefined || seconds < 0) {
    return new Invalid('Error in hard, soft or soft_seconds setting in buffer limit configuration.');
  }
  return [clientClass, { hardBytes: Number(hard), softBytes: Number(soft), softSeconds: Number(seconds) }];
}

/** Groups of `class hard soft seconds`; classes that are not named stay as they are. */
export function outputBufferLimits(): Kind<OutputBufferLimits> {
  const words = ({ hardBytes, softBytes, softSeconds }: OutputBufferLimit): string[] => [
    String(hardBytes),
    String(softBytes),
    String(softSeconds),
  ];
  return {
    allowed: 'groups of: normal|replica|pubsub, hard limit, soft limit, seconds',
    splits: true,
    parse(given, current) {
      if (given.length === 1 && given[0] === '') return current;
      if (given.length === 0 || given.length % 4 !== 0) {
        return new Invalid('Wrong number of arguments in buffer limit configuration.');
      }
      let limits = current;
      for (let index = 0; index < given.length; index += 4) {
        const parsed = parseOutputBufferLimit(given.slice(index, index + 4));
        if (parsed instanceof Invalid) return parsed;
        limits = { ...limits, [parsed[0]]: parsed[1] };
      }
      return limits;
    },
    format: (value) => CLASS_WORDS.map(([name, word]) => [word, ...words(value[name])].join(' ')).join(' '),
    lines: (value) => CLASS_WORDS.map(([name]) => [name, ...words(value[name])]),
  };
}

/** A port that speaks the Redis Cluster protocol, and the keyspace that it shows. */
export interface ClusterPort {
  readonly port: number;
  readonly keyspace: string;
}

/** The keyspace of a cluster port that names none: database 0's. */
const KEYSPACE_DEFAULT = 'db0';
const CLUSTER_PORTS_MAX = 64;

/**
 * Ports, each with the name of its keyspace behind it or without; lines of one source add up, a later line about a port
 * replaces the earlier, and a lone `""` or 0 forgets what came before. Names are never all digits, so no separator is needed.
 */
export function clusterPorts(): Kind<readonly ClusterPort[]> {
  const words = ({ port, keyspace }: ClusterPort): string[] => [String(port), keyspace];
  const unite = (earlier: readonly ClusterPort[], later: readonly ClusterPort[]): ClusterPort[] => [
    ...new Map([...earlier, ...later].map((door) => [door.port, door])).values(),
  ];
  return {
    allowed: `a port from 1 to 65535 and the name of a keyspace (${KEYSPACE_DEFAULT} if none is given); at most ${CLUSTER_PORTS_MAX} of them`,
    splits: true,
    parse(given) {
      if (given.length === 1 && (given[0] === '' || given[0] === '0')) return [];
      const doors: ClusterPort[] = [];
      for (const word of given) {
        if (/^\d+$/.test(word)) {
          const port = Number(word);
          if (port < 1 || port > 65535) return outOfRange(1, 65535);
          doors.push({ port, keyspace: '' });
          continue;
        }
        const last = doors.at(-1);
        if (last === undefined) return new Invalid(`'${word}' is not a port`);
        if (last.keyspace !== '') return new Invalid(`port ${last.port} has two keyspaces`);
        if (!KEYSPACE_NAME.test(word)) return new Invalid(`'${word}' cannot be the name of a keyspace`);
        doors[doors.length - 1] = { ...last, keyspace: word };
      }
      if (doors.length === 0 || doors.length > CLUSTER_PORTS_MAX) return WRONG_COUNT;
      return unite(
        [],
        doors.map(({ port, keyspace }) => ({ port, keyspace: keyspace || KEYSPACE_DEFAULT })),
      );
    },
    format: (value) => value.flatMap(words).join(' '),
    lines: (value) => (value.length === 0 ? [['']] : value.map(words)),
    combine: (earlier, later) => (later.length === 0 ? [] : unite(earlier, later)),
  };
}

/** Letters, digits, `_`, `-`, `.`; at most 64. */
const KEYSPACE_NAME = /^[\w.-]{1,64}$/;
