import type { Random } from '../support/random.js';

/**
 * What a key holds, in one form for all types: nothing at all if it is not there, the value of a string, the elements of a
 * list in their order, the members of a set, `field=value` of a hash and `member=score` of a sorted set, sorted.
 */
export type State = readonly string[];

export const ABSENT: State = [];

export const KINDS = ['string', 'counter', 'hash', 'list', 'set', 'zset'] as const;
export type Kind = (typeof KINDS)[number];

/** A command on one key, and what Redis makes of it. */
export interface Operation {
  readonly kind: Kind;
  readonly words: readonly string[];
  readonly isRead: boolean;
  /** Another command, in one transaction behind the first: a read of the whole key. Then the reply tells the state. */
  readonly andRead?: readonly string[];
  /** The state after it, and its reply as {@link replyText} gives it. */
  apply(state: State): { readonly state: State; readonly reply: string };
}

/** A state as a text, the same for the same state only. */
export function textOfState(state: State): string {
  return state.join('\x1f');
}

/** How to read a key whole. */
export function readWords(kind: Kind, key: string): string[] {
  switch (kind) {
    case 'hash':
      return ['HGETALL', key];
    case 'list':
      return ['LRANGE', key, '0', '-1'];
    case 'set':
      return ['SMEMBERS', key];
    case 'zset':
      return ['ZRANGE', key, '0', '-1', 'WITHSCORES'];
    default:
      return ['GET', key];
  }
}

/** What a whole read replied, as a state. @param reply as ioredis gives it */
export function stateOfReply(kind: Kind, reply: unknown): State {
  if (reply === null) return ABSENT;
  if (kind === 'list') return (reply as string[]).map(String);
  if (kind === 'set') return (reply as string[]).map(String).sort();
  if (kind === 'hash' || kind === 'zset') return pairsOf(reply).sort();
  return [String(reply)];
}

/** Of an array, flat or of pairs, or of the object that ioredis makes of HGETALL. */
function pairsOf(reply: unknown): string[] {
  if (!Array.isArray(reply))
    return Object.entries(reply as Record<string, string>).map(([name, value]) => `${name}=${value}`);
  const flat = reply.flat() as string[];
  return Array.from({ length: flat.length / 2 }, (_, pair) => `${flat[2 * pair]}=${flat[2 * pair + 1]}`);
}

/**
 * A reply as {@link Operation.apply} foretells it.
 * @param reply of a transaction, that of the first command
 * @param read what the second one has read
 */
export function replyText({ kind, isRead, andRead }: Operation, reply: unknown, read?: unknown): string {
  if (isRead) return textOfState(stateOfReply(kind, reply));
  const text = reply === null ? 'nil' : String(reply);
  return andRead === undefined ? text : `${text} ${textOfState(stateOfReply(kind, read))}`;
}

/** The same write with what the key holds behind it, read in the same transaction. */
function withRead(operation: Operation, key: string): Operation {
  return {
    ...operation,
    andRead: readWords(operation.kind, key),
    apply: (before) => {
      const { state, reply } = operation.apply(before);
      return { state, reply: `${reply} ${textOfState(state)}` };
    },
  };
}

type Change = (state: State) => { state: State; reply: string };

function write(kind: Kind, words: readonly string[], apply: Change): Operation {
  return { kind, words, isRead: false, apply };
}

function read(kind: Kind, key: string): Operation {
  return {
    kind,
    words: readWords(kind, key),
    isRead: true,
    apply: (state) => ({ state, reply: textOfState(state) }),
  };
}

function removal(kind: Kind, key: string): Operation {
  return write(kind, ['DEL', key], (state) => ({ state: ABSENT, reply: state.length > 0 ? '1' : '0' }));
}

/** Values that pairs have, by what stands before the `=`. */
function pairValue(state: State, name: string): string | undefined {
  return state.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
}

function withPair(state: State, name: string, value: string | undefined): State {
  const others = state.filter((pair) => !pair.startsWith(`${name}=`));
  return value === undefined ? others : [...others, `${name}=${value}`].sort();
}

/**
 * A random command on a key. Collections stay small in number of elements, and pass the limits up to which they are one
 * row both ways when those are lowered.
 * @param sequence makes values unlike each other
 * @param transactions share of writes whose reply tells all. Those of the others leave open which of several states they
 *   met, where a fault allows several.
 */
export function randomOperation(
  random: Random,
  kind: Kind,
  key: string,
  sequence: number,
  transactions: number,
): Operation {
  const roll = random.float();
  if (roll < 0.3) return read(kind, key);
  if (roll < 0.33) return removal(kind, key);
  const operation = WRITES[kind](random, key, `${sequence}`);
  return kind !== 'counter' && random.chance(transactions) ? withRead(operation, key) : operation;
}

const WRITES: Readonly<Record<Kind, (random: Random, key: string, unique: string) => Operation>> = {
  string: stringWrite,
  counter: (_random, key) =>
    write('counter', ['INCR', key], (state) => {
      const count = String(Number(state[0] ?? 0) + 1);
      return { state: [count], reply: count };
    }),
  hash: hashWrite,
  list: listWrite,
  set: setWrite,
  zset: sortedSetWrite,
};

/** Longer than that no string is appended to, bytes. */
const APPENDED_LENGTH_MAX = 300;

function stringWrite(random: Random, key: string, unique: string): Operation {
  const value = `v${unique}:${'x'.repeat(random.int(0, 100))}`;
  if (random.chance(0.7))
    return write('string', ['SET', key, value], () => ({ state: [value], reply: 'OK' }));
  if (random.chance(0.3))
    return write('string', ['SET', key, value, 'GET'], (state) => ({
      state: [value],
      reply: state[0] ?? 'nil',
    }));
  if (random.chance(0.2))
    return write('string', ['SETRANGE', key, '0', unique.padEnd(APPENDED_LENGTH_MAX, '-')], (state) => {
      const text = unique.padEnd(APPENDED_LENGTH_MAX, '-') + (state[0] ?? '').slice(APPENDED_LENGTH_MAX);
      return { state: [text], reply: String(text.length) };
    });
  return write('string', ['APPEND', key, `+${unique}`], (state) => {
    const text = `${state[0] ?? ''}+${unique}`;
    return { state: [text], reply: String(text.length) };
  });
}

function hashWrite(random: Random, key: string, unique: string): Operation {
  const field = `f${random.int(0, 15)}`;
  const roll = random.float();
  if (roll < 0.3)
    return write('hash', ['HINCRBY', key, 'n', '1'], (state) => {
      const count = String(Number(pairValue(state, 'n') ?? 0) + 1);
      return { state: withPair(state, 'n', count), reply: count };
    });
  if (roll < 0.5)
    return write('hash', ['HDEL', key, field], (state) => ({
      state: withPair(state, field, undefined),
      reply: pairValue(state, field) === undefined ? '0' : '1',
    }));
  return write('hash', ['HSET', key, field, unique], (state) => ({
    state: withPair(state, field, unique),
    reply: pairValue(state, field) === undefined ? '1' : '0',
  }));
}

/** Elements that a list is trimmed to now and then. */
const LIST_LENGTH = 16;

function listWrite(random: Random, key: string, unique: string): Operation {
  const roll = random.float();
  if (roll < 0.4) return write('list', ['RPUSH', key, unique], (state) => grown([...state, unique]));
  if (roll < 0.6) return write('list', ['LPUSH', key, unique], (state) => grown([unique, ...state]));
  if (roll < 0.75)
    return write('list', ['LPOP', key], (state) => ({ state: state.slice(1), reply: state[0] ?? 'nil' }));
  if (roll < 0.9)
    return write('list', ['RPOP', key], (state) => ({
      state: state.slice(0, -1),
      reply: state.at(-1) ?? 'nil',
    }));
  return write('list', ['LTRIM', key, `-${LIST_LENGTH}`, '-1'], (state) => ({
    state: state.slice(-LIST_LENGTH),
    reply: 'OK',
  }));
}

function grown(state: State): { state: State; reply: string } {
  return { state, reply: String(state.length) };
}

function setWrite(random: Random, key: string): Operation {
  const member = `m${random.int(0, 20)}`;
  if (random.chance(0.6))
    return write('set', ['SADD', key, member], (state) =>
      state.includes(member) ? { state, reply: '0' } : { state: [...state, member].sort(), reply: '1' },
    );
  return write('set', ['SREM', key, member], (state) => ({
    state: state.filter((each) => each !== member),
    reply: state.includes(member) ? '1' : '0',
  }));
}

function sortedSetWrite(random: Random, key: string, unique: string): Operation {
  const member = `m${random.int(0, 20)}`;
  const roll = random.float();
  if (roll < 0.4)
    return write('zset', ['ZADD', key, unique, member], (state) => ({
      state: withPair(state, member, unique),
      reply: pairValue(state, member) === undefined ? '1' : '0',
    }));
  if (roll < 0.7)
    return write('zset', ['ZINCRBY', key, '1', member], (state) => {
      const score = String(Number(pairValue(state, member) ?? 0) + 1);
      return { state: withPair(state, member, score), reply: score };
    });
  return write('zset', ['ZREM', key, member], (state) => ({
    state: withPair(state, member, undefined),
    reply: pairValue(state, member) === undefined ? '0' : '1',
  }));
}
