import { Buffer } from 'node:buffer';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { RowFlag } from '../../../src/types/row.js';
import type { RawClient } from '../../support/client.js';
import { haveTool } from '../../support/environment.js';
import { envNumber, Random, testSeed } from '../../support/random.js';
import { itemsOf, numberOf, type Reply, render, textOf } from '../../support/reply.js';
import { TestServer } from '../../support/server.js';
import { KEYSPACE_COMMANDS, KeyHarness } from './key-harness.js';

type Words = (string | Buffer)[];

/** How far apart the two clocks' readings of one moment may lie. */
const CLOCK_TOLERANCE_MS = 500;

/** Raises or lowers the letter case of some words, which must make no difference. */
function mixCase(random: Random, word: string): string {
  return random.chance(0.5) ? word.toLowerCase() : word;
}

describe.skipIf(!haveTool('redis-server'))('keyspace commands against redis-server', () => {
  let server: TestServer;
  let oracle: RawClient;
  let harness: KeyHarness;

  beforeAll(async () => {
    server = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
    oracle = await server.connect();
  });

  afterAll(() => server.stop());

  beforeEach(async () => {
    await oracle.command('FLUSHALL');
    harness = new KeyHarness();
  });

  /** Runs a command on both sides at about the same time. */
  async function both(words: Words): Promise<[mine: Reply, theirs: Reply]> {
    const theirs = await oracle.command(...words);
    harness.nowMs = Date.now();
    return [harness.reply(...words), theirs];
  }

  async function expectSame(words: Words): Promise<void> {
    const [mine, theirs] = await both(words);
    expect(render(mine), words.join(' ')).toBe(render(theirs));
  }

  /** Stores a string on both sides; `raw` as APPEND leaves it. */
  async function store(key: string, value: string, raw = false): Promise<void> {
    await oracle.command('DEL', key);
    if (raw) {
      await oracle.command('SET', key, value.slice(0, 1));
      await oracle.command('APPEND', key, value.slice(1));
    } else await oracle.command('SET', key, value);
    harness.nowMs = Date.now();
    harness.set(key, value, 0, raw ? RowFlag.Raw : 0);
  }

  test('the command table', async () => {
    for (const definition of KEYSPACE_COMMANDS) {
      if (definition.name.startsWith('vasto.')) continue;
      const [info] = itemsOf(await oracle.command('COMMAND', 'INFO', definition.name));
      const fields = itemsOf(info!);
      compareInfo(definition, fields);
      const subcommands = new Map(itemsOf(fields[9]!).map((sub) => [textOf(itemsOf(sub)[0]!), itemsOf(sub)]));
      expect([...subcommands.keys()].sort()).toEqual(
        (definition.subcommands ?? []).map((s) => s.name).sort(),
      );
      for (const sub of definition.subcommands ?? []) compareInfo(sub, subcommands.get(sub.name)!);
    }
  });

  function compareInfo(definition: (typeof KEYSPACE_COMMANDS)[number], fields: readonly Reply[]): void {
    const texts = (reply: Reply) => itemsOf(reply).map(textOf).sort();
    expect(definition.arity, definition.name).toBe(numberOf(fields[1]!));
    expect([...definition.flags].sort(), definition.name).toEqual(texts(fields[2]!));
    expect([...(definition.tips ?? [])].sort(), definition.name).toEqual(texts(fields[7]!));
    const specifications = itemsOf(fields[8]!).map((specification) => {
      const [, flags, , begin, , find] = itemsOf(specification);
      const index = numberOf(itemsOf(itemsOf(begin!)[3]!)[1]!);
      const range = itemsOf(itemsOf(find!)[3]!);
      const last = numberOf(range[1]!);
      return {
        first: index,
        last: last < 0 ? last : index + last,
        step: numberOf(range[3]!),
        flags: texts(flags!),
      };
    });
    const own = definition.keys.map((keys) => ({ ...keys, flags: [...keys.flags].sort() }));
    expect(own, definition.name).toEqual(specifications);
  }

  test('errors and corners, word for word', async () => {
    await store('a', '1');
    await store('b', 'two');
    const lines = `
EXPIRE a x;EXPIRE a 9223372036854775807;EXPIRE a 9223372036854775;PEXPIRE a 9223372036854775807
EXPIRE a -9223372036854775808;EXPIRE none 9223372036854775807;PEXPIRE a 9223370000000000000;EXPIRE a 10 nx
PEXPIREAT a 9223372036854775807;PEXPIRETIME a;EXPIRETIME a;TTL a;PERSIST a;PERSIST a;PERSIST none
EXPIREAT a 9007199254740;PEXPIRETIME a;EXPIRETIME a;PEXPIREAT a 9007199254740991;PEXPIRETIME a;EXPIRETIME a
EXPIRE a 10 NX XX;EXPIRE a x GT LT;EXPIRE a 10 XX NX bogus;EXPIRE a 10 bogus NX XX;EXPIRE a x bogus;EXPIRE none x
EXPIRE a 10 NX GT;EXPIRE a 10 LT NX;EXPIRE a -5 GT;EXPIRE a 5000 GT;EXPIRE a 6000 LT;EXPIRE a 5000 XX;EXPIRE a 4000 XX GT
EXPIREAT a 0 GT;PEXPIREAT a 0;EXISTS a;TTL a;PTTL none;EXPIRETIME none;PEXPIRETIME b;TTL b
RENAME none b;RENAMENX none b;RENAME b b;RENAMENX b b;RENAME none none;COPY b b;COPY none none;COPY none b;COPY b c;COPY b c
COPY b c REPLACE;COPY b d BOGUS;COPY b d DB;COPY b b REPLACE;COPY b b DB 1;COPY b b DB 1;COPY b b DB 1 REPLACE REPLACE
MOVE b 1;MOVE none 1;MOVE c 1;EXISTS c;MOVE c 1;EXISTS b b c none;TOUCH b b none;DEL b b;UNLINK b c;TYPE b;TYPE none
FLUSHDB x;FLUSHDB ASYNC SYNC;FLUSHDB async;FLUSHDB SYNC;FLUSHDB;DBSIZE;RANDOMKEY;KEYS *
SCAN 0 COUNT;SCAN 0 COUNT 0;SCAN 0 COUNT -1;SCAN 0 COUNT x;SCAN x COUNT 0;SCAN 0 MATCH;SCAN 0 BOGUS 1;SCAN 0 COUNT 0 COUNT x
SCAN 1x;SCAN -;SCAN +0;SCAN -0;SCAN 00;SCAN 18446744073709551616;SCAN -18446744073709551616;SCAN 0 TYPE nonsense
SCAN 0 COUNT 9223372036854775807;SCAN 0 COUNT 9223372036854775808;SCAN 0x0;SCAN 0 MATCH * COUNT 5 TYPE string
OBJECT ENCODING none;OBJECT FREQ none;OBJECT IDLETIME none;OBJECT REFCOUNT none;DUMP none
RESTORE z 0 x;RESTORE z 0 x BOGUS;RESTORE z 0 x FREQ 256;RESTORE z 0 x FREQ -1;RESTORE z 0 x FREQ 5 IDLETIME 3
RESTORE z 0 x IDLETIME -1;RESTORE z 0 x IDLETIME 3 FREQ 5;RESTORE z 0 x FREQ x;RESTORE z 0 x IDLETIME;RESTORE z x x;RESTORE z -1 x
RESTORE z 0 x FREQ 1 FREQ 2;RESTORE z 0 x IDLETIME 5 IDLETIME 6`;
    for (const line of lines.split(/[\n;]/).filter((text) => text !== '')) {
      if (/^TTL a/.test(line)) continue;
      await expectSame(line.split(' '));
    }
    await store('a', '1');
    for (const line of ['RESTORE a 0 x', 'RESTORE a x x REPLACE', 'RESTORE a -1 x REPLACE', 'RESTORE a x x'])
      await expectSame(line.split(' '));
    await expectSame(['SCAN', '']);
    await expectSame(['SCAN', ' 0']);
  });

  test('OBJECT ENCODING, REFCOUNT and FREQ of every kind of string', async () => {
    const values = ['0', '-0', '-1', '007', '+1', '1.5', '9999', '10000', '9223372036854775807'];
    values.push(
      '9223372036854775808',
      '-9223372036854775808',
      '-9223372036854775809',
      'text',
      '1e3',
      ' 1',
      '',
    );
    values.push('x'.repeat(44), 'x'.repeat(45), '1'.repeat(20), '1'.repeat(21));
    for (const value of values) {
      for (const raw of value.length < 2 ? [false] : [false, true]) {
        await store('key', value, raw);
        for (const about of ['ENCODING', 'REFCOUNT', 'FREQ']) await expectSame(['OBJECT', about, 'key']);
      }
    }
  });

  test('an LFU policy turns IDLETIME into an error', async () => {
    await store('key', 'value');
    await expectSame(['OBJECT', 'IDLETIME', 'key']);
    await oracle.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
    harness.settings = { ...harness.settings, maxmemoryPolicy: 'allkeys-lfu' };
    await expectSame(['OBJECT', 'IDLETIME', 'key']);
    await expectSame(['OBJECT', 'IDLETIME', 'none']);
    await expectSame(['OBJECT', 'FREQ', 'none']);
    await oracle.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  });

  test('random patterns match the same keys', async () => {
    const random = new Random(testSeed('glob'));
    const rounds = envNumber('VASTO_TEST_ROUNDS', 3000);
    const alphabet = ['a', 'b', 'c', '-', ']', '[', '^', '\\', '*', '?', '\0', '\xff', '\x80', 'é'];
    const word = (letters: readonly string[], lengthMax: number) =>
      Array.from({ length: random.int(0, lengthMax) }, () => random.pick(letters)).join('');
    const keys = new Set(['', 'a', 'ab', ']', '^', '\\', '*']);
    while (keys.size < 120) keys.add(word(alphabet, 6));
    for (const key of keys) await store(key, '1');
    const letters = [...alphabet, '*', '?', '[', '[^', ']', 'a-c', '\\'];
    for (let round = 0; round < rounds; round++) {
      const pattern = word(letters, 7);
      for (const words of [
        ['KEYS', pattern],
        ['SCAN', '0', 'COUNT', '1000', 'MATCH', pattern],
      ]) {
        const [mine, theirs] = await both(words);
        const found = (reply: Reply) =>
          (words[0] === 'KEYS' ? itemsOf(reply) : itemsOf(itemsOf(reply)[1]!)).map(render).sort();
        expect(found(mine), JSON.stringify(words)).toEqual(found(theirs));
      }
    }
  });

  test('DUMP and RESTORE both ways, and LZF to the byte', async () => {
    const random = new Random(testSeed('dump'));
    const rounds = envNumber('VASTO_TEST_ROUNDS', 1500);
    let compressed = 0;
    for (let round = 0; round < rounds; round++) {
      const value = randomValue(random);
      await store('key', value);
      const theirs = (await oracle.command('DUMP', 'key')) as { data: Buffer };
      const mine = harness.reply('DUMP', 'key') as { data: Buffer };
      if (mine.data[1] === 0xc3) compressed++;
      expect(mine.data.equals(theirs.data), JSON.stringify(value)).toBe(true);
      expect(render(harness.reply('RESTORE', 'theirs', '0', theirs.data, 'REPLACE'))).toBe('+OK');
      expect(
        Buffer.from(harness.view.find('theirs')!.value as string, 'latin1').latin1Slice() === value,
      ).toBe(true);
      expect(await oracle.rendered('RESTORE', 'mine', '0', mine.data, 'REPLACE')).toBe('+OK');
      expect((await oracle.text('GET', 'mine')) === value).toBe(true);
      const broken = Buffer.from(theirs.data);
      broken[random.int(0, broken.length - 1)]! ^= 1 << random.int(0, 7);
      await expectSame(['RESTORE', 'broken', '0', broken]);
    }
    expect(compressed).toBeGreaterThan(rounds / 10);
  });

  test('RESTORE and its options', async () => {
    await store('source', 'value');
    const payload = ((await oracle.command('DUMP', 'source')) as { data: Buffer }).data;
    const soon = String(Date.now() + 1_000_000);
    for (const words of [
      ['RESTORE', 'k', '0', payload],
      ['TTL', 'k'],
      ['RESTORE', 'k', '0', payload],
      ['RESTORE', 'k', soon, payload, 'ABSTTL', 'REPLACE', 'IDLETIME', '5000'],
      ['PEXPIRETIME', 'k'],
      ['RESTORE', 'k', '1', payload, 'absttl', 'replace'],
      ['EXISTS', 'k'],
      ['RESTORE', 'k', '100000', payload, 'FREQ', '255'],
      ['TTL', 'k'],
    ])
      await expectSame(words);
    // In one turn: Redis counts whole seconds of a clock that ticks between turns.
    const idle: Words[] = [
      ['RESTORE', 'k', '0', payload, 'REPLACE', 'IDLETIME', '5000'],
      ['OBJECT', 'IDLETIME', 'k'],
    ];
    await oracle.command('MULTI');
    for (const words of idle) await oracle.command(...words);
    const theirs = await oracle.rendered('EXEC');
    harness.nowMs = Date.now();
    const mine = idle.map((words) => harness.reply(...words));
    expect(render({ type: 'array', items: mine })).toBe(theirs);
  });

  test('random commands on few keys', async () => {
    const random = new Random(testSeed('keyspace'));
    const rounds = envNumber('VASTO_TEST_ROUNDS', 20_000);
    const history: string[] = [];
    for (let round = 0; round < rounds; round++) {
      if (random.chance(0.3)) {
        const key = `k${random.int(0, 5)}`;
        await store(key, random.pick(['1', '12345', 'text', 'y'.repeat(60)]), random.chance(0.2));
        history.push(`SET ${key}`);
      }
      const words = randomCommand(random);
      history.push(words.join(' '));
      const [mine, theirs] = await both(words);
      const where = () => history.slice(-20).join('\n');
      if (/^P?TTL$/i.test(words[0]!)) {
        const tolerance = words[0]!.toUpperCase() === 'TTL' ? 1 : CLOCK_TOLERANCE_MS;
        expect(Math.abs(numberOf(mine) - numberOf(theirs)), where()).toBeLessThanOrEqual(tolerance);
      } else if (words[0] === 'RANDOMKEY') {
        expect(mine.type, where()).toBe(theirs.type);
      } else if (words[0] === 'KEYS') {
        expect(itemsOf(mine).map(render), where()).toEqual(itemsOf(theirs).map(render).sort());
      } else expect(render(mine), where()).toBe(render(theirs));
    }
    expect(harness.view.count()).toBe(numberOf(await oracle.command('DBSIZE')));
  });

  function randomCommand(random: Random): string[] {
    const key = () => `k${random.int(0, 5)}`;
    const name = (...words: string[]) => mixCase(random, random.pick(words));
    const options = (...words: string[]) => {
      const count = random.pick([0, 0, 1, 1, 2, 3]);
      return Array.from({ length: count }, () => name(...words));
    };
    switch (random.int(0, 11)) {
      case 0:
        return [
          name('DEL', 'UNLINK', 'EXISTS', 'TOUCH'),
          key(),
          ...(random.chance(0.5) ? [key(), key()] : []),
        ];
      case 1:
        return [name('TYPE', 'PERSIST', 'TTL', 'PTTL'), key()];
      case 2: {
        const spanS = random.pick([random.int(10_000, 1_000_000), random.int(10_000, 1_000_000), 0, -1]);
        const relative = random.chance(0.5);
        const inMs = random.chance(0.5);
        const time = (relative ? spanS : 4_000_000_000 + spanS) * (inMs ? 1000 : 1);
        const command = `${inMs ? 'P' : ''}EXPIRE${relative ? '' : 'AT'}`;
        return [mixCase(random, command), key(), String(time), ...options('NX', 'XX', 'GT', 'LT', 'ZZ')];
      }
      case 3:
        return [name('EXPIREAT'), key(), String(random.int(0, 100)), ...options('NX', 'XX', 'GT', 'LT')];
      case 4:
        return [name('RENAME', 'RENAMENX'), key(), key()];
      case 5:
        return [name('COPY'), key(), key(), ...options('REPLACE', 'REPLACE', 'BOGUS')];
      case 6:
        return [name('COPY'), key(), key(), 'DB', '1', ...options('REPLACE')];
      case 7:
        return [name('MOVE'), key(), '1'];
      case 8:
        return [name('OBJECT'), name('ENCODING', 'FREQ'), key()];
      case 9:
        return random.pick([['KEYS', '*'], ['RANDOMKEY']]);
      case 10:
        return [name('DBSIZE')];
      default:
        return [name('DUMP'), key()];
    }
  }
});

/** Integers around the limits of their encodings, runs, words, noise. */
function randomValue(random: Random): string {
  switch (random.int(0, 4)) {
    case 0: {
      const power = 2 ** random.pick([7, 15, 31, 53]);
      return String(random.pick([-1, 1]) * power + random.int(-2, 2));
    }
    case 1:
      return random.bytes(random.int(0, 30));
    case 2:
      return random.pick(['z', 'ab', '\0']).repeat(random.int(1, 700));
    case 3: {
      let text = '';
      const length = random.int(20, 500);
      while (text.length < length)
        text += random.pick(['alpha', 'beta', 'a', 'bb', '01234', random.bytes(4)]);
      return text;
    }
    default: {
      let text = '';
      const length = random.pick([100, 20_000]);
      while (text.length < length) text += String(random.int(0, 999));
      return text;
    }
  }
}
