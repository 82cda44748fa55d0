import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitInline } from '../../../src/base/inline.js';
import { type Reply, ReplyDecoder, ReplyFormatError } from '../../../src/cli/reply.js';
import { formatForPeople, formatForPrograms, quoteBytes } from '../../../src/cli/reply-text.js';

const CASES: readonly (readonly [wire: string, people: string, raw: string])[] = [
  ['+OK\r\n', 'OK\n', 'OK\n'],
  ['-ERR no\r\n', '(error) ERR no\n', 'ERR no\n\n'],
  [':-9223372036854775808\r\n', '(integer) -9223372036854775808\n', '-9223372036854775808\n'],
  ['$6\r\na"\r\n\0é\r\n'.replace('é', 'z'), '"a\\"\\r\\n\\x00z"\n', 'a"\r\n\0z\n'],
  ['$0\r\n\r\n', '""\n', '\n'],
  ['$-1\r\n', '(nil)\n', '\n'],
  ['_\r\n', '(nil)\n', '\n'],
  ['#t\r\n', '(true)\n', '(true)\n'],
  [',1.5\r\n', '(double) 1.5\n', '1.5\n'],
  ['(12345678901234567890\r\n', '(big number) 12345678901234567890\n', '12345678901234567890\n'],
  ['=6\r\ntxt:a"\r\n', 'a"\n', 'a"\n'],
  ['!5\r\nERR x\r\n', '(error) ERR x\n', 'ERR x\n\n'],
  ['*0\r\n', '(empty array)\n', '\n'],
  ['*-1\r\n', '(nil)\n', '\n'],
  ['%0\r\n', '(empty hash)\n', '\n'],
  ['~0\r\n', '(empty set)\n', '\n'],
  ['*2\r\n+a\r\n*2\r\n:1\r\n:2\r\n', '1) a\n2) 1) (integer) 1\n   2) (integer) 2\n', 'a\n1\n2\n'],
  ['%1\r\n$1\r\nf\r\n*1\r\n:1\r\n', '1# "f" => 1) (integer) 1\n', 'f 1\n'],
  ['%1\r\n$1\r\nf\r\n*2\r\n:1\r\n:2\r\n', '1# "f" => \n   1) (integer) 1\n   2) (integer) 2\n', 'f 1\n2\n'],
  ['~1\r\n:1\r\n', '1~ (integer) 1\n', '1\n'],
  ['|1\r\n+ttl\r\n:1\r\n*2\r\n|1\r\n+x\r\n:2\r\n:3\r\n:4\r\n', '1) (integer) 3\n2) (integer) 4\n', '3\n4\n'],
];

function decode(bytes: Buffer, cuts: readonly number[]): Reply[] {
  const decoder = new ReplyDecoder();
  const replies: Reply[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    replies.push(...decoder.push(bytes.subarray(from, to)));
    from = to;
  }
  return replies;
}

describe('replies', () => {
  it.each(CASES)('%j are decoded and printed as redis-cli prints them', (wire, people, raw) => {
    const bytes = Buffer.from(wire, 'latin1');
    for (const cuts of [[], Array.from({ length: bytes.length - 1 }, (_, index) => index + 1)]) {
      const replies = decode(bytes, cuts);
      expect(replies).toHaveLength(1);
      expect(formatForPeople(replies[0]!).toString('latin1')).toBe(people);
      expect(formatForPrograms(replies[0]!).toString('latin1')).toBe(raw);
    }
  });

  it('come out the same however the bytes are cut', () => {
    const bytes = Buffer.from(CASES.map(([wire]) => wire).join(''), 'latin1');
    const whole = decode(bytes, []);
    expect(whole).toHaveLength(CASES.length);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
        expect(
          decode(
            bytes,
            cuts.sort((a, b) => a - b),
          ),
        ).toEqual(whole);
      }),
    );
  });

  it('with more than nine items are aligned', () => {
    const [reply] = decode(Buffer.from(`*10\r\n${':1\r\n'.repeat(10)}`), []);
    const lines = formatForPeople(reply!).toString().split('\n');
    expect([lines[0], lines[9]]).toEqual([' 1) (integer) 1', '10) (integer) 1']);
  });

  it.each(['hello\r\n', '*x\r\n', '$99999999999\r\n', ':1x\r\n', '*1\r\n'.repeat(200)])(
    '%j is refused',
    (wire) => {
      expect(() => decode(Buffer.from(wire), [])).toThrow(ReplyFormatError);
    },
  );

  it('quote any bytes so that they are read back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const words = splitInline(Buffer.from(quoteBytes(Buffer.from(bytes)), 'latin1'))?.args;
        expect(words).toEqual([Buffer.from(bytes)]);
      }),
    );
  });
});
