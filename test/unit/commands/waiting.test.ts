import { describe, expect, test } from 'vitest';
import { findCommand } from '../../../src/commands/table.js';
import { mayWait, waitDeadline, withTimeout } from '../../../src/commands/waiting.js';

const NOW_MS = 1_700_000_000_000;

function parse(text: string) {
  const args = text.split(' ').map((word) => Buffer.from(word, 'latin1'));
  return { command: findCommand(args[0]!.latin1Slice())!, args };
}

describe('the timeout of a command that may wait', () => {
  test.each([
    ['blpop a b 1.5', 1500, 'blpop a b 0.25'],
    ['brpoplpush a b 0', 0, 'brpoplpush a b 0.25'],
    ['blmpop 2 1 3 left', 2000, 'blmpop 0.25 1 3 left'],
    ['blpop a nothing', 0, 'blpop a 0.25'],
    ['bzpopmin a -1', 0, 'bzpopmin a 0.25'],
    ['xread block 20 streams s $', 20, 'xread block 250 streams s $'],
    ['xread BLOCK 0 count 3 Block 30 streams block 9', 30, 'xread BLOCK 0 count 3 Block 250 streams block 9'],
    [
      'xreadgroup group block block block 5 streams s >',
      5,
      'xreadgroup group block block block 250 streams s >',
    ],
  ])('%s', (text, timeoutMs, later) => {
    const { command, args } = parse(text);
    expect(mayWait(command, args)).toBe(true);
    expect(waitDeadline(command, args, NOW_MS)).toBe(timeoutMs === 0 ? 0 : NOW_MS + timeoutMs);
    expect(
      withTimeout(command, args, 250)
        .map((each) => each.latin1Slice())
        .join(' '),
    ).toBe(later);
    expect(args.map((each) => each.latin1Slice()).join(' ')).toBe(text);
  });

  test.each([
    'get a',
    'xread streams block 0',
    'xread count block 5 streams s $',
    'xread count 1 block',
    'xread constructor 1',
  ])('%s has none', (text) => {
    const { command, args } = parse(text);
    expect(mayWait(command, args)).toBe(false);
  });
});
