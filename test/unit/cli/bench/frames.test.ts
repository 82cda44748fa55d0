import { describe, expect, it } from 'vitest';
import { decode, ProtocolError, ReplyReader } from '../../../../src/cli/bench/frames.js';

const FRAMES = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':-42\r\n',
  '$5\r\nhe\r\no\r\n',
  '$0\r\n\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n',
  '_\r\n',
  '#t\r\n',
  ',1.5\r\n',
  '=7\r\ntxt:abc\r\n',
  '%1\r\n+a\r\n~2\r\n:1\r\n:2\r\n',
];

function read(chunks: readonly string[]): string[] {
  const replies: string[] = [];
  const reader = new ReplyReader((buffer, start, end) => replies.push(buffer.toString('latin1', start, end)));
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk, 'latin1');
    reader.push(bytes);
    bytes.fill(0x78); // What is held must have been copied.
  }
  return replies;
}

describe('replies', () => {
  it('are cut out whole, byte by byte and in any two parts', () => {
    const stream = FRAMES.join('');
    expect(read([stream])).toEqual(FRAMES);
    expect(read([...stream])).toEqual(FRAMES);
    for (let at = 1; at < stream.length; at++)
      expect(read([stream.slice(0, at), stream.slice(at)])).toEqual(FRAMES);
  });

  it('come without pushes and attributes', () => {
    expect(read(['>2\r\n+message\r\n+x\r\n|1\r\n+ttl\r\n:1\r\n+OK\r\n'])).toEqual(['+OK\r\n']);
  });

  it('of a large value come once it is there', () => {
    const large = `$1000000\r\n${'v'.repeat(1_000_000)}\r\n`;
    const chunks = large.match(/[\s\S]{1,65536}/g)!;
    expect(read([...chunks, '+OK\r\n'])).toEqual([large, '+OK\r\n']);
  });

  it.each(['hello\r\n', '$x\r\n', `${'*1\r\n'.repeat(100)}:1\r\n`])('refuses %j', (text) => {
    expect(() => read([text])).toThrow(ProtocolError);
  });

  it('become values', () => {
    const value = (text: string) => decode(Buffer.from(text), 0);
    expect(FRAMES.map(value)).toEqual([
      'OK',
      'ERR no',
      -42,
      'he\r\no',
      '',
      null,
      null,
      [],
      ['a', null, [1]],
      null,
      't',
      '1.5',
      ...[FRAMES[12]!, FRAMES[13]!].map(value),
    ]);
    expect(value(FRAMES[13]!)).toEqual(['a', [1, 2]]);
  });
});
