import type { Buffer } from 'node:buffer';
import { beforeEach, expect, test } from 'vitest';
import { encodePayload } from '../../../src/types/rdb/payload.js';
import { TEXT_BYTES_MAX, valueText } from '../../../src/types/row.js';
import { type Reply, render } from '../../support/reply.js';
import { KeyHarness } from './key-harness.js';

const PAYLOAD = encodePayload({ kind: 'string', value: 'value' });

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
});

function payloadOf(reply: Reply): Buffer {
  if (reply.type !== 'bulk') throw new Error(`no payload: ${render(reply)}`);
  return reply.data;
}

function restore(...words: (string | Buffer)[]): string {
  return render(harness.reply('RESTORE', ...words));
}

test('values of both forms in memory come back', () => {
  for (const value of ['', '12345', 'text', 'ab'.repeat(TEXT_BYTES_MAX), '\0\xff'.repeat(20)]) {
    harness.set('a', value);
    const payload = payloadOf(harness.reply('DUMP', 'a'));
    expect(restore('b', '0', payload, 'REPLACE')).toBe('+OK');
    expect(valueText(harness.view.find('b')!.value)).toBe(value);
  }
  expect(harness.run('DUMP none')).toBe('$-1');
});

test('a restored value shares no memory with the command', () => {
  const value = 'x'.repeat(60) + 'long'.repeat(TEXT_BYTES_MAX);
  const payload = encodePayload({ kind: 'string', value });
  restore('a', '0', payload);
  payload.fill(0);
  expect(valueText(harness.view.find('a')!.value)).toBe(value);
});

test('the ttl counts from now, with ABSTTL from 1970; 0 is none', () => {
  restore('a', '0', PAYLOAD);
  expect(harness.run('TTL a')).toBe(':-1');
  restore('a', '5000', PAYLOAD, 'REPLACE');
  expect(harness.run('PTTL a')).toBe(':5000');
  restore('a', String(harness.nowMs + 7000), PAYLOAD, 'replace', 'absttl');
  expect(harness.run('PTTL a')).toBe(':7000');
  expect(restore('a', String(harness.nowMs), PAYLOAD, 'REPLACE', 'ABSTTL')).toBe('+OK');
  expect(harness.run('EXISTS a')).toBe(':0');
});

test('IDLETIME sets the access time', () => {
  restore('a', '0', PAYLOAD, 'IDLETIME', '100');
  expect(harness.run('OBJECT IDLETIME a')).toBe(':100');
});

test('errors in the order of Redis', () => {
  restore('a', '0', PAYLOAD);
  expect(restore('a', 'x', 'garbage')).toBe('-BUSYKEY Target key name already exists.');
  expect(restore('b', 'x', 'garbage')).toBe('-ERR value is not an integer or out of range');
  expect(restore('b', '-1', 'garbage')).toBe('-ERR Invalid TTL value, must be >= 0');
  expect(restore('b', '0', 'garbage')).toBe('-ERR DUMP payload version or checksum are wrong');
  expect(restore('a', '0', 'garbage', 'BOGUS')).toBe('-ERR syntax error');
  expect(restore('b', '0', PAYLOAD, 'FREQ', '256')).toBe('-ERR Invalid FREQ value, must be >= 0 and <= 255');
  expect(restore('b', '0', PAYLOAD, 'IDLETIME', '-1')).toBe('-ERR Invalid IDLETIME value, must be >= 0');
  expect(restore('b', '0', PAYLOAD, 'IDLETIME', '1', 'FREQ', '1')).toBe('-ERR syntax error');
  harness.settings = { ...harness.settings, protoMaxBulkBytes: 4 };
  expect(restore('b', '0', PAYLOAD)).toBe('-ERR string exceeds maximum allowed size (proto-max-bulk-len)');
});
