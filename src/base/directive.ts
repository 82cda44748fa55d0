import type { Kind } from './config-values.js';

/** One directive of the configuration: everything that parsing, CONFIG and the reference need to know. */
export interface Directive<T> {
  readonly kind: Kind<T>;
  readonly default: T;
  /** One line, for people. */
  readonly description: string;
  /** Older names that mean the same; CONFIG GET lists them too. */
  readonly aliases?: readonly string[];
  /** Whether it is fixed at start: CONFIG SET refuses it. */
  readonly immutable?: boolean;
  /** Whether its value must stay out of messages. */
  readonly secret?: boolean;
  /** Whether CONFIG GET, too, tells only that there is a value. */
  readonly concealed?: boolean;
  /** Whether it names a file: CONFIG SET of the same value has the file read again. */
  readonly rereads?: boolean;
  /** Why a well-formed value cannot be served; undefined when it can. */
  refuse?(value: T): string | undefined;
}

type Extras<T> = Pick<Directive<T>, 'aliases' | 'immutable' | 'secret' | 'concealed' | 'rereads' | 'refuse'>;

/** Makes one. */
export function directive<T>(
  kind: Kind<T>,
  defaultValue: T,
  description: string,
  extras: Extras<T> = {},
): Directive<T> {
  return { kind, default: defaultValue, description, ...extras };
}

/** For directives that hold from start to end. */
export const FIXED = { immutable: true } as const;
/** For directives that name a file. */
export const REREAD = { rereads: true } as const;

/** The largest value of directives that are an `int` in Redis. */
export const INT_MAX = 2147483647;

/** Accepts only `value`, and says why. */
export function only<T>(value: T, reason: string): { refuse(given: T): string | undefined } {
  return { refuse: (given) => (given === value ? undefined : reason) };
}

const WORD = /^[A-Za-z0-9_.-]{1,64}$/;

/** Why a text is not a word such as a zone, a tag or a cluster's id; undefined when it is. */
export function refuseWord(word: string): string | undefined {
  return WORD.test(word) ? undefined : `'${word}' must be 1 to 64 letters, digits, '_', '-' or '.'`;
}

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]]+):([0-9]{1,5})$/;

/** Why a text is not `host:port`, or `[address]:port` for IPv6; undefined when it is. */
export function refuseAddress(address: string): string | undefined {
  const port = Number(ADDRESS.exec(address)?.[2] ?? 0);
  return port >= 1 && port <= 65535 ? undefined : `'${address}' must be host:port`;
}

/** Why the first of the words that is refused is; undefined when none is. */
export function firstRefusal(
  words: readonly string[],
  refuse: (word: string) => string | undefined,
): string | undefined {
  return words.map(refuse).find((reason) => reason !== undefined);
}
