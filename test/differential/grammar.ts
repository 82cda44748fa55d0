import type { Words } from './words.js';

/**
 * How two replies are compared: as they are, unordered, as pairs in any order, by the number of elements, by type alone,
 * without what tells times and nodes of streams, or as integers that may differ a little.
 */
export type Comparison =
  | { readonly how: 'exact' | 'unordered' | 'pairs' | 'picks' | 'presence' | 'timeless' }
  | { readonly how: 'near'; readonly tolerance: number };

const EXACT: Comparison = { how: 'exact' };
const SECONDS: Comparison = { how: 'near', tolerance: 5 };
const MILLISECONDS: Comparison = { how: 'near', tolerance: 5000 };

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  keys: { how: 'unordered' },
  randomkey: { how: 'presence' },
  scan: { how: 'presence' },
  ttl: SECONDS,
  pttl: MILLISECONDS,
  expiretime: SECONDS,
  pexpiretime: MILLISECONDS,
  // Redis counts a reference more while its slow log holds the command.
  'object refcount': { how: 'near', tolerance: 3 },
  // The order of a set is its own, and so are picks, and how far a step of a scan goes.
  hgetall: { how: 'pairs' },
  hkeys: { how: 'unordered' },
  hvals: { how: 'unordered' },
  hrandfield: { how: 'picks' },
  hscan: { how: 'presence' },
  smembers: { how: 'unordered' },
  sinter: { how: 'unordered' },
  sunion: { how: 'unordered' },
  sdiff: { how: 'unordered' },
  spop: { how: 'picks' },
  srandmember: { how: 'picks' },
  sscan: { how: 'presence' },
  zrandmember: { how: 'picks' },
  zscan: { how: 'presence' },
  xpending: { how: 'timeless' },
  'xinfo stream': { how: 'timeless' },
  'xinfo consumers': { how: 'timeless' },
  'xinfo help': { how: 'presence' },
  'xgroup help': { how: 'presence' },
  // In Redis small integers are one shared object, whose idle time means nothing.
  // The words of a help are our own.
  'object help': { how: 'presence' },
  'object idletime': { how: 'presence' },
};

/** How the replies to a command are compared. */
export function comparisonOf(args: readonly string[]): Comparison {
  const name = (args[0] ?? '').toLowerCase();
  return COMPARISONS[name] ?? COMPARISONS[`${name} ${(args[1] ?? '').toLowerCase()}`] ?? EXACT;
}

type Generate = (w: Words) => string[];

const BITFIELD_TYPES = [
  'u1',
  'i1',
  'u2',
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i64',
  'u63',
  'i33',
  'u64',
  'i65',
  'u0',
  'x8',
  'u',
];

/** Payloads of DUMP made by redis-server 7.0.15: 'hello', 42, 70000, 'ab' × 40 (LZF), -129; then damaged ones. */
const DUMPS = [
  '000568656c6c6f0a006372df766534200a',
  '00c02a0a0081fb5cfa86634f50',
  '00c2701101000a0001a408fe953095a5',
  '00c30a405002616261e042010161620a00949d5f0eb1dea445',
  '00c17fff0a001760822854808480',
  '000568656c6c6f0a006372df766534200b',
  '000568656c6c6e0a006372df766534200a',
  '0a006372df766534200a',
  '00',
  '',
].map((hex) => Buffer.from(hex, 'hex').toString('latin1'));

function bitfieldOperation(w: Words): string[] {
  const type = w.r.chance(0.9) ? w.r.pick(BITFIELD_TYPES.slice(0, 11)) : w.r.pick(BITFIELD_TYPES);
  const offset = w.r.chance(0.3) ? `#${w.r.int(0, 12)}` : w.bitOffset();
  const roll = w.r.int(0, 9);
  if (roll < 4) return [w.word('GET'), type, offset];
  if (roll < 6) return [w.word('SET'), type, offset, w.integer()];
  if (roll < 9) return [w.word('INCRBY'), type, offset, w.integer()];
  return ['OVERFLOW', w.word('WRAP', 'SAT', 'FAIL', 'FAIL', 'BOGUS')];
}

const bitRange: Generate = (w) =>
  w.r.chance(0.6) ? [w.index(), w.index(), ...w.options(0.4, () => [w.word('BIT', 'BYTE', 'BIT', 'X')])] : [];

const expiryCondition: Generate = (w) =>
  w.options(
    0.25,
    () => [w.word('NX', 'XX', 'GT', 'LT')],
    () => [w.word('GT', 'LT', 'NX')],
  );

const pairs: Generate = (w) => w.keys(3).flatMap((key) => [key, w.value()]);

const elements: Generate = (w) => {
  const count = w.r.chance(0.05) ? w.r.int(200, 700) : w.r.int(0, 5);
  return Array.from({ length: count }, () => (w.r.chance(0.9) ? `e${w.r.int(0, 5000)}` : w.value()));
};

export const STRINGS: Readonly<Record<string, Generate>> = {
  get: (w) => [w.key()],
  set: (w) => [
    w.key(),
    w.value(),
    ...w.options(
      0.12,
      () => ['EX', w.ttl('s')],
      () => ['PX', w.ttl('ms')],
      () => ['EXAT', w.time('s')],
      () => ['PXAT', w.time('ms')],
      () => [w.word('KEEPTTL')],
      () => [w.word('NX', 'XX')],
      () => [w.word('GET')],
    ),
  ],
  setnx: (w) => [w.key(), w.value()],
  setex: (w) => [w.key(), w.ttl('s'), w.value()],
  psetex: (w) => [w.key(), w.ttl('ms'), w.value()],
  getset: (w) => [w.key(), w.value()],
  getdel: (w) => [w.key()],
  getex: (w) => [
    w.key(),
    ...w.options(
      0.2,
      () => ['EX', w.ttl('s')],
      () => ['PX', w.ttl('ms')],
      () => ['EXAT', w.time('s')],
      () => ['PXAT', w.time('ms')],
      () => [w.word('PERSIST')],
    ),
  ],
  mget: (w) => w.keys(),
  mset: pairs,
  msetnx: pairs,
  append: (w) => [w.key(), w.value()],
  strlen: (w) => [w.key()],
  getrange: (w) => [w.key(), w.index(), w.index()],
  substr: (w) => [w.key(), w.index(), w.index()],
  setrange: (w) => [w.key(), w.offset(), w.value()],
  incr: (w) => [w.counter()],
  decr: (w) => [w.counter()],
  incrby: (w) => [w.counter(), w.integer()],
  decrby: (w) => [w.counter(), w.integer()],
  incrbyfloat: (w) => [w.counter(), w.float()],
  lcs: (w) => [
    w.key(),
    w.key(),
    ...w.options(
      0.3,
      () => [w.word('LEN')],
      () => [w.word('IDX')],
      () => ['MINMATCHLEN', w.index()],
      () => ['WITHMATCHLEN'],
    ),
  ],
};

export const BITS: Readonly<Record<string, Generate>> = {
  setbit: (w) => [w.bitmap(), w.bitOffset(), w.r.pick(['0', '1', '1', '2', 'x'])],
  getbit: (w) => [w.bitmap(), w.bitOffset()],
  bitcount: (w) => [w.bitmap(), ...bitRange(w)],
  bitpos: (w) => [
    w.bitmap(),
    w.r.pick(['0', '1', '1', '0', '2', 'x']),
    ...(w.r.chance(0.2) ? [w.index()] : bitRange(w)),
  ],
  bitop: (w) => [
    w.word('AND', 'OR', 'XOR', 'NOT', 'NOPE'),
    w.bitmap(),
    ...Array.from({ length: w.r.int(1, 3) }, () => w.bitmap()),
  ],
  bitfield: (w) => [w.bitmap(), ...Array.from({ length: w.r.int(0, 4) }, () => bitfieldOperation(w)).flat()],
  bitfield_ro: (w) => [
    w.bitmap(),
    ...Array.from({ length: w.r.int(0, 3) }, () => ['GET', w.r.pick(BITFIELD_TYPES), w.bitOffset()]).flat(),
  ],
};

export const LOGLOG: Readonly<Record<string, Generate>> = {
  pfadd: (w) => [w.loglog(), ...elements(w)],
  pfcount: (w) => Array.from({ length: w.r.int(1, 3) }, () => w.loglog()),
  pfmerge: (w) => Array.from({ length: w.r.int(1, 4) }, () => w.loglog()),
  get: (w) => [w.loglog()],
};

const scanOptions: Generate = (w) =>
  w.options(
    0.3,
    () => [w.word('MATCH'), w.pattern()],
    () => [w.word('COUNT'), w.r.pick(['1', '5', '100', '0', 'x'])],
  );

/** Fields that end, as Redis 7.4 has them, are not here: redis-server 7.0 does not know them. */
export const HASHES: Readonly<Record<string, Generate>> = {
  hset: (w) => [w.hash(), ...w.several(() => w.field()).flatMap((field) => [field, w.value()])],
  hmset: (w) => [w.hash(), ...w.several(() => w.field()).flatMap((field) => [field, w.value()])],
  hsetnx: (w) => [w.hash(), w.field(), w.value()],
  hget: (w) => [w.hash(), w.field()],
  hmget: (w) => [w.hash(), ...w.several(() => w.field())],
  hgetall: (w) => [w.hash()],
  hkeys: (w) => [w.hash()],
  hvals: (w) => [w.hash()],
  hlen: (w) => [w.hash()],
  hstrlen: (w) => [w.hash(), w.field()],
  hexists: (w) => [w.hash(), w.field()],
  hdel: (w) => [w.hash(), ...w.several(() => w.field(), 8)],
  hincrby: (w) => [w.hash(), w.r.chance(0.7) ? `n${w.r.int(0, 2)}` : w.field(), w.integer()],
  hincrbyfloat: (w) => [w.hash(), w.r.chance(0.7) ? `n${w.r.int(0, 2)}` : w.field(), w.float()],
  hrandfield: (w) => [
    w.hash(),
    ...w.options(0.7, () => [w.pickCount(), ...w.options(0.4, () => [w.word('WITHVALUES')])]),
  ],
  hscan: (w) => [w.hash(), w.r.pick(['0', '0', 'x', '-1', '1e3']), ...scanOptions(w)],
  object: (w) => [w.word('ENCODING'), w.hash()],
};

export const SETS: Readonly<Record<string, Generate>> = {
  sadd: (w) => [w.set(), ...w.several(() => w.member())],
  srem: (w) => [w.set(), ...w.several(() => w.member(), 8)],
  smembers: (w) => [w.set()],
  sismember: (w) => [w.set(), w.member()],
  smismember: (w) => [w.set(), ...w.several(() => w.member())],
  scard: (w) => [w.set()],
  // All or nothing: what is picked at random would part the two servers.
  spop: (w) => [w.set(), w.r.pick(['1000000', '0', '-1', 'x', ''])],
  srandmember: (w) => [w.set(), ...w.options(0.7, () => [w.pickCount()])],
  smove: (w) => [w.set(), w.set(), w.member()],
  sscan: (w) => [w.set(), w.r.pick(['0', '0', 'x', '-1', '1e3']), ...scanOptions(w)],
  sinter: (w) => w.sets(),
  sunion: (w) => w.sets(),
  sdiff: (w) => w.sets(),
  sinterstore: (w) => [w.set(), ...w.sets()],
  sunionstore: (w) => [w.set(), ...w.sets()],
  sdiffstore: (w) => [w.set(), ...w.sets()],
  sintercard: (w) => {
    const sets = w.sets();
    const count = w.r.chance(0.9) ? String(sets.length) : w.r.pick(['0', '-1', '9', 'x', '']);
    return [count, ...sets, ...w.options(0.4, () => [w.word('LIMIT'), w.r.pick(['0', '1', '3', '-1', 'x'])])];
  },
  object: (w) => [w.word('ENCODING'), w.set()],
};

const ENDS = ['LEFT', 'RIGHT', 'left', 'Right'];
const end = (w: Words) => (w.r.chance(0.97) ? w.r.pick(ENDS) : w.junk());
const popCount: Generate = (w) =>
  w.options(0.4, () => [w.r.pick(['0', '1', '2', '3', '7', '1000000', '-1', 'x', ''])]);

export const LISTS: Readonly<Record<string, Generate>> = {
  lpush: (w) => [w.list(), ...w.several(() => w.element())],
  rpush: (w) => [w.list(), ...w.several(() => w.element())],
  lpushx: (w) => [w.list(), ...w.several(() => w.element())],
  rpushx: (w) => [w.list(), ...w.several(() => w.element())],
  lpop: (w) => [w.list(), ...popCount(w)],
  rpop: (w) => [w.list(), ...popCount(w)],
  llen: (w) => [w.list()],
  lrange: (w) => [w.list(), w.index(), w.index()],
  lindex: (w) => [w.list(), w.index()],
  lset: (w) => [w.list(), w.index(), w.element()],
  linsert: (w) => [
    w.list(),
    w.word('BEFORE', 'AFTER', 'BEFORE', 'AFTER', 'BESIDE'),
    w.element(),
    w.element(),
  ],
  lrem: (w) => [w.list(), w.r.chance(0.7) ? String(w.r.int(-3, 3)) : w.index(), w.element()],
  // Mostly all but a few, or the lists would stay short.
  ltrim: (w) => [
    w.list(),
    ...(w.r.chance(0.7) ? [String(w.r.int(0, 3)), String(-w.r.int(1, 3))] : [w.index(), w.index()]),
  ],
  lpos: (w) => [
    w.list(),
    w.element(),
    ...w.options(
      0.4,
      () => [w.word('RANK'), w.r.chance(0.8) ? String(w.r.int(-3, 3)) : w.index()],
      () => [w.word('COUNT'), w.r.pick(['0', '1', '2', '100', '-1', 'x'])],
      () => [w.word('MAXLEN'), w.r.pick(['0', '1', '5', '100', '-1', 'x'])],
    ),
  ],
  lmove: (w) => [w.list(), w.list(), end(w), end(w)],
  rpoplpush: (w) => [w.list(), w.list()],
  lmpop: (w) => {
    const lists = w.lists();
    const count = w.r.chance(0.9) ? String(lists.length) : w.r.pick(['0', '-1', '9', 'x', '']);
    return [
      count,
      ...lists,
      end(w),
      ...w.options(0.4, () => [w.word('COUNT'), w.r.pick(['1', '2', '9', '0', '-1', 'x'])]),
    ];
  },
  object: (w) => [w.word('ENCODING'), w.list()],
};

export const KEYSPACE: Readonly<Record<string, Generate>> = {
  del: (w) => w.keys(),
  unlink: (w) => w.keys(),
  exists: (w) => w.keys(),
  touch: (w) => w.keys(),
  type: (w) => [w.key()],
  expire: (w) => [w.key(), w.ttl('s'), ...expiryCondition(w)],
  pexpire: (w) => [w.key(), w.ttl('ms'), ...expiryCondition(w)],
  expireat: (w) => [w.key(), w.time('s'), ...expiryCondition(w)],
  pexpireat: (w) => [w.key(), w.time('ms'), ...expiryCondition(w)],
  ttl: (w) => [w.key()],
  pttl: (w) => [w.key()],
  expiretime: (w) => [w.key()],
  pexpiretime: (w) => [w.key()],
  persist: (w) => [w.key()],
  rename: (w) => [w.key(), w.key()],
  renamenx: (w) => [w.key(), w.key()],
  copy: (w) => [
    w.key(),
    w.key(),
    ...w.options(
      0.3,
      () => ['DB', w.database()],
      () => [w.word('REPLACE')],
    ),
  ],
  move: (w) => [w.key(), w.database()],
  randomkey: () => [],
  keys: (w) => [w.pattern()],
  object: (w) =>
    w.r.chance(0.95)
      ? [w.word('ENCODING', 'ENCODING', 'ENCODING', 'REFCOUNT', 'REFCOUNT', 'IDLETIME', 'FREQ'), w.key()]
      : [w.word('HELP', 'NOPE', 'encodin')],
  restore: (w) => [
    w.key(),
    // Not w.ttl: Redis adds the greatest ones up to a negative time.
    w.r.chance(0.5) ? w.r.pick(['0', '0', '0', '-1', 'x', '']) : String(w.ttlS() * 1000),
    w.r.pick(DUMPS),
    ...w.options(
      0.4,
      () => ['REPLACE'],
      () => ['IDLETIME', w.index()],
      () => ['FREQ', w.r.pick(['5', '255', '256', '-1', 'x'])],
    ),
  ],
};

/** Rare ones: they empty or exchange databases. */
export const DATABASES: Readonly<Record<string, Generate>> = {
  select: (w) => [w.database()],
  swapdb: (w) => [w.database(), w.database()],
  flushdb: (w) => w.options(0.4, () => [w.word('ASYNC', 'SYNC', 'LATER')]),
  flushall: (w) => w.options(0.4, () => [w.word('ASYNC', 'SYNC', 'LATER')]),
};

/** What no server knows, or does not take in this form. */
export const MISUSES: readonly Generate[] = [
  (w) => ['nosuchcommand', w.value(), w.value()],
  (w) => [`${'x'.repeat(w.r.int(1, 200))}`, 'y'.repeat(w.r.int(0, 200)), w.value()],
  () => [''],
  (w) => ['g\r\net', w.key()],
  () => ['object'],
  (w) => ['object', w.junk(), w.key(), w.key()],
  (w) => ['client', 'nope', w.junk()],
  (w) => ['config', 'nope', w.junk()],
  () => ['config'],
  () => ['command', 'nope'],
  () => ['memory', 'nope'],
  (w) => ['echo', w.value()],
  (w) => [
    'ping',
    ...w.options(
      0.5,
      () => [w.value()],
      () => [w.value()],
    ),
  ],
  (w) => ['scan', w.r.pick(['abc', '1.5', '18446744073709551616', ' 0', '0 ', '0x1'])],
  (w) => [
    'scan',
    '0',
    w.word('COUNT', 'MATCH', 'TYPE', 'BOGUS'),
    ...w.options(0.6, () => [w.r.pick(['0', '-1', 'abc'])]),
  ],
  (w) => ['auth', w.value()],
  (w) => ['auth', 'default', w.value()],
  (w) => ['auth', 'nobody', w.value()],
  (w) => ['wait', w.r.pick(['x', '0']), w.r.pick(['x', '-1', '0'])],
  () => ['lastsave', 'x'],
  () => ['time', 'x'],
  (w) => ['hello', w.r.pick(['1', '4', 'x', '9223372036854775808'])],
];
