import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CommandError } from '../../../src/base/command-errors.js';
import { shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import { keySlot } from '../../../src/cluster/slots.js';
import { commandTable, findCommand } from '../../../src/commands/table.js';
import { type Division, draw, type Part, splitCommand } from '../../../src/resp/split.js';
import { testSeed } from '../../support/random.js';

const SEED = testSeed('split');
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;
const array = (...items: string[]) => `*${items.length}\r\n${items.join('')}`;

const divisionOf = (shards: number, asked = [...Array(shards).keys()]): Division => ({
  shards,
  shardsOfSlots: shardsOfSlots(shards),
  asked,
});

/** Splits, has each part answered, and merges, as often as is asked for. */
function run(
  words: string[],
  shards: number,
  answer: (shard: number, words: string[]) => string,
  version: 2 | 3 = 2,
  asked?: number[],
): string {
  const args = words.map((word) => Buffer.from(word, 'latin1'));
  let split = splitCommand(findCommand(words[0]!.toLowerCase())!, args, divisionOf(shards, asked), version);
  for (;;) {
    if (split instanceof CommandError) return `-${split.text}\r\n`;
    const ask = (part: Part) =>
      answer(
        part.shard,
        part.args.map((each) => each.toString('latin1')),
      );
    const merged = split.merge(split.parts.map((part) => Buffer.from(ask(part), 'latin1')));
    if (Buffer.isBuffer(merged)) return merged.toString('latin1');
    split = merged;
  }
}

/** Shards that hold what a map of keys to values does, and answer as the real ones do. */
function holding(data: ReadonlyMap<string, string>, shards: number, asked: string[][] = []) {
  const homes = shardsOfSlots(shards);
  return (shard: number, words: string[]): string => {
    asked.push(words);
    const [name, ...keys] = words;
    const own = [...data].filter(([key]) => homes[keySlot(Buffer.from(key, 'latin1'))] === shard).sort();
    switch (name!.toLowerCase()) {
      case 'mget':
        for (const key of keys) expect(homes[keySlot(Buffer.from(key, 'latin1'))]).toBe(shard);
        return array(...keys.map((key) => (data.has(key) ? bulk(data.get(key)!) : '$-1\r\n')));
      case 'exists':
      case 'del':
        return `:${keys.filter((key) => own.some(([each]) => each === key)).length}\r\n`;
      case 'dbsize':
        return `:${own.length}\r\n`;
      case 'keys':
        return array(...own.map(([key]) => bulk(key)));
      case 'randomkey':
        return bulk(own[0]![0]);
      case 'vasto.prefix': {
        const rows = own.filter(([key]) => key.startsWith(keys[0]!)).slice(0, Number(keys[2]));
        return array(
          ...rows.flatMap(([key, value]) => (keys[3] === undefined ? [bulk(key)] : [bulk(key), bulk(value)])),
        );
      }
      default:
        return '+OK\r\n';
    }
  };
}

const key = fc.string({ maxLength: 4, unit: fc.constantFrom('a', 'b', '{', '}', '\u00ff', '1') });

describe('commands over several shards', () => {
  it('have a rule each', () => {
    for (const command of commandTable.filter(({ runs }) => runs === 'split')) {
      const args = [command.name, '0', 'a', 'b'].slice(
        0,
        Math.max(2, Math.abs(command.arity) + (command.name === 'mset' ? 0 : 1)),
      );
      expect(() =>
        splitCommand(
          command,
          args.map((each) => Buffer.from(each)),
          divisionOf(3),
          2,
        ),
      ).not.toThrow();
    }
  });

  it('reply as one shard would', () => {
    const data = fc
      .dictionary(key, fc.string({ maxLength: 3 }), { maxKeys: 20 })
      .map((each) => new Map(Object.entries(each)));
    fc.assert(
      fc.property(
        data,
        fc.array(key, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 2, max: 9 }),
        (map, keys, shards) => {
          const one = holding(map, 1);
          const several = holding(map, shards);
          for (const name of ['MGET', 'EXISTS', 'DEL'])
            expect(run([name, ...keys], shards, several)).toBe(one(0, [name, ...keys]));
          expect(run(['DBSIZE'], shards, several)).toBe(one(0, ['DBSIZE']));
          for (const values of [[], ['VALUES']]) {
            const words = ['VASTO.PREFIX', keys[0]!.slice(0, 1), 'LIMIT', '3', ...values];
            expect(run(words, shards, several)).toBe(one(0, words));
          }
          const listed = run(['KEYS', '*'], shards, several);
          expect(listed.length).toBe(one(0, ['KEYS', '*']).length);
        },
      ),
      { seed: SEED, numRuns: 200 },
    );
  });

  it('keep pairs of keys and values together', () => {
    const asked: string[][] = [];
    expect(run(['MSET', 'a', '1', 'b', '2', 'a', '3', 'c', '4'], 4, holding(new Map(), 4, asked))).toBe(
      '+OK\r\n',
    );
    const pairs = asked.flatMap((words) => words.slice(1));
    expect(pairs.length).toBe(8);
    expect(pairs.join(' ')).toMatch(/a 1 (?:\S \d )*a 3/);
    expect(run(['MSET', 'a', '1', 'b'], 4, holding(new Map(), 4))).toMatch(
      /^-ERR wrong number of arguments for 'mset'/,
    );
  });

  it('tell of the error of a part, and what may have been written', () => {
    const failing = (shard: number) => (shard === 1 ? '-MISCONF disk full\r\n' : ':1\r\n');
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    expect(run(['EXISTS', ...keys], 3, failing)).toBe('-MISCONF disk full\r\n');
    expect(run(['DEL', ...keys], 3, failing)).toBe(
      '-MISCONF disk full; on 1 of the 3 shards of its keys, on the others it has taken effect\r\n',
    );
    expect(run(['DEL', ...keys], 3, () => '-MISCONF disk full\r\n')).toBe('-MISCONF disk full\r\n');
    expect(run(['KEYS', '*'], 3, failing)).toBe('-MISCONF disk full\r\n');
  });

  it('draw a random key by how many keys the shards have', () => {
    expect([0, 0.5, 1, 2.9, 3, 4].map((point) => draw([1, 0, 2, 2, 0], point))).toEqual([0, 0, 2, 2, 3, 3]);
    expect(draw([1, 0], 1)).toBe(0);
    expect(run(['RANDOMKEY'], 3, holding(new Map(), 3))).toBe('$-1\r\n');
    expect(run(['RANDOMKEY'], 3, holding(new Map(), 3), 3)).toBe('_\r\n');
    expect(run(['RANDOMKEY'], 3, holding(new Map([['k', 'v']]), 3))).toBe(bulk('k'));
  });

  it('scan one shard after the other, with cursors that name the shard', () => {
    const steps: [number, string][] = [];
    const shards = (shard: number, words: string[]) => {
      steps.push([shard, words[1]!]);
      expect(words.slice(2)).toEqual(['COUNT', '5']);
      return array(
        bulk(words[1] === '0' && shard !== 1 ? String(2 ** 52 + shard) : '0'),
        array(bulk(`k${shard}`)),
      );
    };
    let cursor = '0';
    const found: string[] = [];
    do {
      const reply = run(['SCAN', cursor, 'COUNT', '5'], 3, shards).split('\r\n');
      cursor = reply[2]!;
      found.push(reply[5]!);
    } while (cursor !== '0');
    const middle = String(2 ** 52);
    expect(steps).toEqual([
      [0, '0'],
      [0, middle],
      [1, '0'],
      [2, '0'],
      [2, String(2 ** 52 + 2)],
    ]);
    expect(found).toEqual(['k0', 'k0', 'k1', 'k2', 'k2']);
    expect(run(['SCAN', 'x'], 3, shards)).toBe('-ERR invalid cursor\r\n');
    const unknown = String(5n << 53n);
    expect(run(['SCAN', unknown], 3, (shard, words) => `-ERR ${shard} does not know ${words[1]}\r\n`)).toBe(
      `-ERR 0 does not know ${unknown}\r\n`,
    );
  });

  it('scan again from the beginning where there are fewer shards than before, and go on where there are more', () => {
    const nothing = () => array(bulk('0'), array());
    const next = run(['SCAN', '0'], 3, nothing).split('\r\n')[2]!;
    expect(next).toBe(String((1n << 53n) + 3n));
    expect(run(['SCAN', next], 2, nothing)).toMatch(/^-ERR invalid cursor/);
    expect(run(['SCAN', next], 4, nothing)).toBe(array(bulk(String((2n << 53n) + 4n)), array()));
  });

  it('ask only the shards that they are about, where those are named', () => {
    const ask = (words: string[], asked: number[], answer: (shard: number, words: string[]) => string) =>
      run(words, 5, answer, 2, asked);
    expect(ask(['DBSIZE'], [1, 4], (shard) => `:${10 ** shard}\r\n`)).toBe(':10010\r\n');
    const random = (shard: number, [name]: string[]) => (name === 'DBSIZE' ? ':3\r\n' : bulk(`k${shard}`));
    expect(ask(['RANDOMKEY'], [3], random)).toBe(bulk('k3'));
    const scanned: string[] = [];
    const step = (shard: number, [, cursor]: string[]) => {
      scanned.push(`${shard}:${cursor}`);
      return array(bulk('0'), array());
    };
    const next = ask(['SCAN', '0'], [2, 4], step).split('\r\n')[2]!;
    expect(next).toBe(String((4n << 53n) + 5n));
    expect(ask(['SCAN', next], [2, 4], step)).toBe(array(bulk('0'), array()));
    // A shard that was begun and is asked for elsewhere by now is gone on with.
    const begun = String((1n << 53n) + (7n << 20n));
    expect(ask(['SCAN', begun], [2], step)).toBe(array(bulk(String((2n << 53n) + 5n)), array()));
    expect(scanned).toEqual(['2:0', '4:0', `1:${7 << 20}`]);
  });

  it('of no shards find nothing', () => {
    const none = (words: string[]) => {
      const args = words.map((word) => Buffer.from(word));
      const split = splitCommand(findCommand(words[0]!.toLowerCase())!, args, divisionOf(3, []), 2);
      if (split instanceof CommandError) return split.text;
      expect(split.parts).toEqual([]);
      return String(split.merge([]));
    };
    expect(none(['DBSIZE'])).toBe(':0\r\n');
    expect(none(['KEYS', '*'])).toBe('*0\r\n');
    expect(none(['RANDOMKEY'])).toBe('$-1\r\n');
    expect(none(['SCAN', '0'])).toBe(array(bulk('0'), array()));
    expect(none(['FLUSHDB'])).toBe('+OK\r\n');
    expect(none(['VASTO.PREFIX', 'a'])).toBe('*0\r\n');
  });
});
