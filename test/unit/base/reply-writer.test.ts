import { describe, expect, it } from 'vitest';
import { CommandError } from '../../../src/base/command-errors.js';
import { ErrorTally } from '../../../src/base/error-tally.js';
import { formatDouble, ReplyWriter, type RespVersion } from '../../../src/base/reply-writer.js';
import { seeded } from '../../support/replay.js';
import { ReplyParser } from '../../support/reply.js';

function written(version: RespVersion, write: (writer: ReplyWriter) => void): string {
  const writer = new ReplyWriter(1);
  writer.version = version;
  write(writer);
  return writer.take().latin1Slice();
}

const CASES: readonly [string, (writer: ReplyWriter) => void, string, string?][] = [
  ['ok', (to) => to.ok(), '+OK\r\n'],
  ['status', (to) => to.simple('PONG'), '+PONG\r\n'],
  ['error', (to) => to.error(new CommandError('ERR no')), '-ERR no\r\n'],
  ['error of lines', (to) => to.error('ERR a\r\nb\nc'), '-ERR a  b c\r\n'],
  ['small integer', (to) => to.integer(7), ':7\r\n'],
  ['integer', (to) => to.integer(-10), ':-10\r\n'],
  ['large integer', (to) => to.integer(-9223372036854775808n), ':-9223372036854775808\r\n'],
  ['empty bulk', (to) => to.bulk(''), '$0\r\n\r\n'],
  ['bulk of bytes', (to) => to.bulk(Buffer.from([0, 255])), '$2\r\n\0\xff\r\n'],
  ['bulk of latin1', (to) => to.bulk('\xe9'), '$1\r\n\xe9\r\n'],
  ['text', (to) => to.text('é'), '$2\r\n\xc3\xa9\r\n'],
  ['nil', (to) => to.nil(), '$-1\r\n', '_\r\n'],
  ['nil array', (to) => to.nilArray(), '*-1\r\n', '_\r\n'],
  ['bulk or nil', (to) => to.bulkOrNil(undefined), '$-1\r\n', '_\r\n'],
  ['bulk or not', (to) => to.bulkOrNil('x'), '$1\r\nx\r\n'],
  ['array', (to) => to.array(100), '*100\r\n'],
  ['map', (to) => to.map(3), '*6\r\n', '%3\r\n'],
  ['set', (to) => to.set(10), '*10\r\n', '~10\r\n'],
  ['double', (to) => to.double(1.5), '$3\r\n1.5\r\n', ',1.5\r\n'],
  ['infinity', (to) => to.double(Number.NEGATIVE_INFINITY), '$4\r\n-inf\r\n', ',-inf\r\n'],
  ['boolean', (to) => to.boolean(true), ':1\r\n', '#t\r\n'],
  ['boolean', (to) => to.boolean(false), ':0\r\n', '#f\r\n'],
  ['verbatim', (to) => to.verbatim('é'), '$2\r\n\xc3\xa9\r\n', '=6\r\ntxt:\xc3\xa9\r\n'],
  ['protocol', (to) => to.bytes(Buffer.from('+x\r\n')), '+x\r\n'],
];

describe('the reply writer', () => {
  it.each(CASES)('encodes %s', (_name, write, resp2, resp3 = resp2) => {
    expect(written(2, write)).toBe(resp2);
    expect(written(3, write)).toBe(resp3);
  });

  it('writes lengths of any number of digits', () => {
    for (const length of [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65_536, 1_000_000]) {
      const value = 'v'.repeat(length);
      expect(written(2, (to) => to.bulk(value))).toBe(`$${length}\r\n${value}\r\n`);
      expect(written(2, (to) => to.array(length))).toBe(`*${length}\r\n`);
    }
  });

  it('counts errors, and goes back to where it was', () => {
    const tally = new ErrorTally();
    const writer = new ReplyWriter(16, tally);
    writer.ok();
    const { position } = writer;
    writer.error('WRONGTYPE x');
    expect(writer.errorCount).toBe(1);
    expect(tally.counts.get('WRONGTYPE')).toBe(1);
    writer.rewind(position);
    writer.integer(5);
    expect(writer.written().latin1Slice()).toBe('+OK\r\n:5\r\n');
  });

  it('hands its memory over and begins afresh', () => {
    const writer = new ReplyWriter(4);
    writer.ok();
    const first = writer.take(0);
    writer.bulk('second reply');
    expect(first.latin1Slice()).toBe('+OK\r\n');
    expect(writer.take().latin1Slice()).toBe('$12\r\nsecond reply\r\n');
    expect(writer.position).toBe(0);
  });

  it('writes replies that a reader takes apart again, whatever its room', () =>
    seeded(60, (random) => {
      const writer = new ReplyWriter(random.int(1, 64));
      const parser = new ReplyParser();
      let replies = 0;
      for (let step = 0; step < 60; step++) {
        const [, write] = random.pick(CASES.filter(([name]) => !['array', 'map', 'set'].includes(name)));
        writer.version = random.chance(0.5) ? 3 : 2;
        if (random.chance(0.3)) {
          writer.array(2);
          writer.bulk(random.bytes(random.int(0, 300)));
        }
        write(writer);
        replies++;
        if (random.chance(0.2)) parser.push(writer.take(random.int(0, 32)));
      }
      parser.push(writer.take());
      for (let reply = 0; reply < replies; reply++) expect(parser.next()).toBeDefined();
      expect(parser.pendingBytes).toBe(0);
    }));
});

describe('doubles', () => {
  it('read back as the same', () =>
    seeded(20, (random) => {
      const view = new DataView(new ArrayBuffer(8));
      for (let step = 0; step < 200; step++) {
        view.setUint32(0, random.int(0, 2 ** 32 - 1));
        view.setUint32(4, random.int(0, 2 ** 32 - 1));
        const value = view.getFloat64(0);
        if (Number.isFinite(value)) expect(Number(formatDouble(value))).toBe(value);
      }
    }));

  it('have exponents of two digits at least', () => {
    expect([1e21, 1e-7, 1.5e300, -0, Number.NaN].map(formatDouble)).toEqual([
      '1e+21',
      '1e-07',
      '1.5e+300',
      '-0',
      'nan',
    ]);
  });
});
