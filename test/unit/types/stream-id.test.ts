import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { estimateEntriesRead } from '../../../src/types/stream-counters.js';
import {
  formatStreamId,
  nextStreamId,
  parseNewStreamId,
  parseStreamId,
  parseStreamRangeEnd,
  previousStreamId,
  resolveNewStreamId,
  STREAM_ID_MAX,
  STREAM_ID_MIN,
  streamId,
  streamIdAt,
  streamIdDistance,
  streamIdMs,
  streamIdSequence,
} from '../../../src/types/stream-id.js';
import type { RawClient } from '../../support/client.js';
import { haveTool } from '../../support/environment.js';
import { Random, testSeed } from '../../support/random.js';
import { itemsOf, mapOf, render, textOf } from '../../support/reply.js';
import { TestServer } from '../../support/server.js';

const MAX = '18446744073709551615';

test('ids hold all 128 bits, and order as numbers', () => {
  const random = new Random(testSeed('stream ids'));
  const part = () => {
    const bits = random.pick([1, 8, 31, 32, 33, 52, 53, 54, 63, 64]);
    return BigInt.asUintN(
      bits,
      (BigInt(random.int(0, 2 ** 32 - 1)) << 32n) | BigInt(random.int(0, 2 ** 32 - 1)),
    );
  };
  for (let round = 0; round < 2000; round++) {
    const [ms, sequence, otherMs, otherSequence] = [part(), part(), part(), part()];
    const id = streamId(ms, sequence);
    expect(id).toHaveLength(16);
    expect(BigInt(streamIdMs(id))).toBe(ms);
    expect(BigInt(streamIdSequence(id))).toBe(sequence);
    expect(formatStreamId(id)).toBe(`${ms}-${sequence}`);
    expect(parseStreamId(formatStreamId(id), 'first')).toBe(id);
    if (ms <= Number.MAX_SAFE_INTEGER) expect(streamId(Number(ms), sequence)).toBe(id);
    const other = streamId(otherMs, otherSequence);
    const whole = (ms << 64n) | sequence;
    const otherWhole = (otherMs << 64n) | otherSequence;
    expect(id < other).toBe(whole < otherWhole);
    expect(streamIdAt(id, streamIdDistance(id, other))).toBe(other);
    const next = nextStreamId(id);
    if (whole === 2n ** 128n - 1n) expect(next).toBeUndefined();
    else {
      expect(formatStreamId(next!)).toBe(`${(whole + 1n) >> 64n}-${BigInt.asUintN(64, whole + 1n)}`);
      expect(previousStreamId(next!)).toBe(id);
    }
  }
});

test('the ends of what there is', () => {
  expect(formatStreamId(STREAM_ID_MIN)).toBe('0-0');
  expect(formatStreamId(STREAM_ID_MAX)).toBe(`${MAX}-${MAX}`);
  expect(nextStreamId(STREAM_ID_MAX)).toBeUndefined();
  expect(previousStreamId(STREAM_ID_MIN)).toBeUndefined();
  expect(parseStreamRangeEnd(`(${MAX}-${MAX}`, 'start')).toBe('empty');
  expect(parseStreamRangeEnd('(0-0', 'stop')).toBe('empty');
  expect(parseStreamRangeEnd('(', 'start')).toBe('malformed');
  expect(parseStreamRangeEnd('(-', 'start')).toBe('malformed');
});

test('new ids by the clock are above the last, though it went backwards', () => {
  const automatic = parseNewStreamId('*')!;
  const last = streamId(5000, 3);
  expect(resolveNewStreamId(automatic, last, 6000)).toBe(streamId(6000, 0));
  expect(resolveNewStreamId(automatic, last, 5000)).toBe(streamId(5000, 4));
  expect(resolveNewStreamId(automatic, last, 1)).toBe(streamId(5000, 4));
  expect(resolveNewStreamId(automatic, STREAM_ID_MAX, 1)).toBeUndefined();
});

const TEXTS = [
  '0',
  '1',
  '5-',
  '-5',
  '5-5',
  '5-*',
  '*',
  '*-1',
  '+',
  '-',
  '--',
  '',
  ' 5-1',
  '5- 1',
  '+5-+1',
  '5-1 ',
].concat(
  [
    '05-01',
    '5-05',
    '5--5',
    '5--05',
    '-0-1',
    '5-1-1',
    'a',
    '5-a',
    '0x5',
    '1e3',
    MAX,
    `${MAX}-${MAX}`,
    `${MAX}0`,
  ],
  [
    `18446744073709551616`,
    `0-${MAX}`,
    `5-18446744073709551616`,
    '0-0',
    '0-*',
    '4-*',
    `${MAX}-*`,
    '5-**',
    '**',
  ],
  ['\t7-\r8', `${'0'.repeat(120)}5-1`, `${'0'.repeat(130)}5-1`, '(5', '(5-5', '((5', '9223372036854775808-1'],
);

describe.skipIf(!haveTool('redis-server'))('stream ids against redis-server', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
    client = await server.connect();
  });

  afterAll(() => server.stop());

  test.each(TEXTS)('%j alone', async (text) => {
    await client.command('DEL', 's');
    await client.command('XGROUP', 'CREATE', 's', 'other', '0', 'MKSTREAM');
    const reply = await client.rendered('XGROUP', 'CREATE', 's', 'g', text);
    const id = parseStreamId(text, 'first');
    if (id === undefined) {
      expect(reply).toBe('-ERR Invalid stream ID specified as stream command argument');
      return;
    }
    expect(reply).toBe('+OK');
    const groups = itemsOf(await client.command('XINFO', 'GROUPS', 's'));
    expect(textOf(mapOf(groups[0]!).get('last-delivered-id')!)).toBe(formatStreamId(id));
  });

  test('as ends of ranges', async () => {
    await client.command('DEL', 's');
    const ids = ['0-1', '1-0', '5-0', '5-1', '5-5', `5-${MAX}`, '6-0', `${MAX}-1`, `${MAX}-${MAX}`];
    for (const id of ids) expect(await client.text('XADD', 's', id, 'f', 'v')).toBe(id);
    const texts = [...TEXTS, ...ids, ...ids.map((id) => `(${id}`), '(0-0'];
    for (const text of texts)
      for (const end of ['start', 'stop'] as const) {
        const bound = parseStreamRangeEnd(text, end);
        const range = end === 'start' ? [text, '+'] : ['-', text];
        const reply = await client.command('XRANGE', 's', ...range);
        if (bound === 'malformed')
          expect([text, render(reply)]).toEqual([
            text,
            '-ERR Invalid stream ID specified as stream command argument',
          ]);
        else if (bound === 'empty')
          expect([text, render(reply)]).toEqual([
            text,
            `-ERR invalid ${end === 'start' ? 'start' : 'end'} ID for the interval`,
          ]);
        else {
          const inside = ids.filter((id) => {
            const each = parseStreamId(id, 'first')!;
            return end === 'start' ? each >= bound : each <= bound;
          });
          expect([text, itemsOf(reply).map((entry) => textOf(itemsOf(entry)[0]!))]).toEqual([text, inside]);
        }
      }
  });

  test.each(['0-0', '4-9', '5-5', `5-${MAX}`, `${MAX}-7`])('of new entries behind %s', async (last) => {
    const lastId = parseStreamId(last, 'first')!;
    for (const text of TEXTS) {
      // By the clock, which is tested without the server.
      if (text === '*') continue;
      await client.command('DEL', 's');
      await client.command('XGROUP', 'CREATE', 's', 'g', '0', 'MKSTREAM');
      expect(await client.rendered('XSETID', 's', last)).toBe('+OK');
      const reply = await client.command('XADD', 's', text, 'f', 'v');
      const wanted = parseNewStreamId(text);
      const id = wanted && resolveNewStreamId(wanted, lastId, 0);
      if (id !== undefined) expect([text, render(reply)]).toEqual([text, `$"${formatStreamId(id)}"`]);
      else
        expect([text, reply.type === 'error' && reply.text.startsWith('ERR Invalid stream ID')]).toEqual([
          text,
          wanted === undefined,
        ]);
    }
  });

  test('entries read are estimated alike', async () => {
    const random = new Random(testSeed('entries read'));
    for (let round = 0; round < 60; round++) {
      await client.command('DEL', 's');
      await client.command('XGROUP', 'CREATE', 's', 'made', '0', 'MKSTREAM');
      const count = random.int(0, 5);
      for (let index = 1; index <= count; index++)
        await client.command('XADD', 's', `${index * 2}-0`, 'f', 'v');
      for (let index = 1; index <= count; index++)
        if (random.chance(0.3)) await client.command('XDEL', 's', `${index * 2}-0`);
      for (let group = 0; group <= count * 2 + 1; group++) {
        await client.command('XGROUP', 'DESTROY', 's', 'g');
        const id = `${group}-0`;
        await client.command('XGROUP', 'CREATE', 's', 'g', id);
        const info = mapOf(await client.command('XINFO', 'STREAM', 's'));
        const first = info.get('first-entry')!;
        const totals = {
          length: Number(render(info.get('length')!).slice(1)),
          firstId:
            first.type === 'null' ? STREAM_ID_MIN : parseStreamId(textOf(itemsOf(first)[0]!), 'first')!,
          lastId: parseStreamId(textOf(info.get('last-generated-id')!), 'first')!,
          maxDeletedId: parseStreamId(textOf(info.get('max-deleted-entry-id')!), 'first')!,
          entriesAdded: Number(render(info.get('entries-added')!).slice(1)),
        };
        const lag = mapOf(itemsOf(await client.command('XINFO', 'GROUPS', 's'))[0]!).get('lag')!;
        const read = estimateEntriesRead(totals, parseStreamId(id, 'first')!);
        const own = read === undefined ? '$-1' : `:${totals.entriesAdded - read}`;
        expect([id, totals, own]).toEqual([id, totals, render(lag)]);
      }
    }
  });
});
