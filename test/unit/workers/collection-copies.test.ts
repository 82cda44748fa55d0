import { expect, it } from 'vitest';
import type { Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import { openExecutor } from './executor-harness.js';

const MEMBERS = 3000;
const BATCHES = 15;
const CHANGES_MAX = 8;

/** What a type's commands are: all it holds, some to begin with, and a change. */
interface Kind {
  readonly all: (key: string) => string;
  readonly fill: (random: Random) => readonly string[];
  readonly change: (random: Random) => string;
}

/** Long enough that nodes have more bytes than a text may have in memory: they stay Buffers. */
const PADDING = 'x'.repeat(50);
const nameOf = (n: number) => `member:${n}${PADDING}`;
const member = (random: Random) => nameOf(random.int(0, 2 * MEMBERS));
const numbers = Array.from({ length: MEMBERS }, (_, index) => index);

const KINDS: Readonly<Record<string, Kind>> = {
  zset: {
    all: (key) => `ZRANGE ${key} 0 -1 WITHSCORES`,
    fill: (random) => ['ZADD', 'zset', ...numbers.flatMap((n) => [`${random.int(0, 1e6)}`, nameOf(n)])],
    change: (random) =>
      random.chance(0.3)
        ? `ZREM zset ${member(random)}`
        : `ZADD zset ${random.int(0, 1e6)} ${member(random)}`,
  },
  list: {
    all: (key) => `LRANGE ${key} 0 -1`,
    fill: () => ['RPUSH', 'list', ...numbers.map((n) => nameOf(n))],
    change: (random) =>
      random.chance(0.5)
        ? `LSET list ${random.int(0, MEMBERS >> 1)} ${member(random)}`
        : `LREM list 1 ${member(random)}`,
  },
  hash: {
    all: (key) => `HMGET ${key} ${numbers.map((n) => nameOf(n)).join(' ')}`,
    fill: () => ['HSET', 'hash', ...numbers.flatMap((n) => [nameOf(n), `${n}`])],
    change: (random) =>
      random.chance(0.3)
        ? `HDEL hash ${member(random)}`
        : `HSET hash ${member(random)} ${random.int(0, 1e6)}`,
  },
};

it.each(Object.entries(KINDS))(
  'a copy of a large %s has what was there, whatever the same batch changes before and after it',
  { timeout: 60_000 },
  (key, { all, fill, change }) =>
    seeded(1, async (random) => {
      const rig = await openExecutor(1, 8 << 20);
      expect(rig.text(fill(random))).toBe(`:${MEMBERS}\r\n`);
      for (let batch = 0; batch < BATCHES; batch++) {
        const changes = () => Array.from({ length: random.int(1, CHANGES_MAX) }, () => change(random));
        const replies = rig.run(
          { items: [...changes(), `COPY ${key} copy REPLACE`] },
          { items: [all(key)] },
          { items: changes() },
        );
        const { cache } = rig.host;
        const limit = cache.bytesLimit;
        // What is read then is what the disk has.
        cache.setLimit(0);
        cache.setLimit(limit);
        expect(rig.text(all('copy'))).toBe(replies[1]!.text);
      }
      await rig.close();
    }),
);
