import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandOfFrame, encodeCommand, frameOf, splitFrames } from '../../../src/cluster/frames.js';
import { RequestDecoder } from '../../../src/resp/decoder.js';
import { testSeed } from '../../support/random.js';

const SEED = testSeed('frames');
const LIMITS = { bulkBytesMax: 1 << 20, queryBytesMax: 1 << 30, authenticated: true };

/** The bytes of each command as cut out of what the decoder hands over. */
function cut(chunks: readonly Buffer[]): string[] {
  const found: string[] = [];
  const decoder = new RequestDecoder(
    {
      command: (args, frames) => found.push(frameOf(args, frames).toString('latin1')),
      protocolError: (text) => {
        throw new Error(text);
      },
    },
    LIMITS,
  );
  for (const chunk of chunks) decoder.push(chunk);
  return found;
}

describe('frames of commands', () => {
  it('are cut out of a read as they were written', () => {
    const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    const command = fc.array(argument, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 6 }), fc.nat(), (commands, at) => {
        const encoded = commands.map((args) => encodeCommand(args));
        const stream = Buffer.concat(encoded);
        const place = at % stream.length;
        const expected = encoded.map((bytes) => bytes.toString('latin1'));
        expect(cut([stream])).toEqual(expected);
        expect(cut([stream.subarray(0, place), stream.subarray(place)])).toEqual(expected);
        const split = splitFrames(stream);
        expect(split.map(({ bytes }) => bytes.toString('latin1'))).toEqual(expected);
        expect(split.map(({ args }) => args.map(String))).toEqual(commands.map((args) => args.map(String)));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('are made anew for inline commands', () => {
    expect(cut([Buffer.from('SET a "b c"\r\n')])).toEqual(['*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nb c\r\n']);
    expect(cut([Buffer.from('*0\r\n*1\r\n$4\r\nPING\r\nGET a\r\n')])).toEqual([
      '*1\r\n$4\r\nPING\r\n',
      '*2\r\n$3\r\nGET\r\n$1\r\na\r\n',
    ]);
  });

  it('name their commands, subcommands included', () => {
    const nameOf = (...words: string[]) =>
      commandOfFrame({ args: words.map((word) => Buffer.from(word)), bytes: Buffer.alloc(0) })?.name;
    expect(nameOf('gEt', 'a')).toBe('get');
    expect(nameOf('MEMORY', 'usage', 'a')).toBe('memory|usage');
    expect(nameOf('NO', 'a')).toBeUndefined();
  });
});
