import { describe, expect, test } from 'vitest';
import { ListArguments } from '../../../../src/base/arguments.js';
import { CommandError } from '../../../../src/base/command-errors.js';
import { matchesFilter, parseKillFilter } from '../../../../src/resp/front/client-filter.js';

function parse(line: string) {
  const parsed = parseKillFilter(ListArguments.of('client', 'kill', ...line.split(' ')));
  return parsed instanceof CommandError ? parsed.text : parsed;
}

const ME = { address: '1.1.1.1:1', localAddress: '2.2.2.2:2', session: { id: 1 } };
const OTHER = { address: '1.1.1.1:9', localAddress: '2.2.2.2:2', session: { id: 2 } };

describe('CLIENT KILL', () => {
  test.each([
    ['id x', 'ERR client-id should be greater than 0'],
    ['id 0', 'ERR client-id should be greater than 0'],
    ['type x', "ERR Unknown client type 'x'"],
    ['user x', "ERR No such user 'x'"],
    ['skipme x', 'ERR syntax error'],
    ['id', 'ERR syntax error'],
    ['bogus x', 'ERR syntax error'],
  ])('refuses %s', (line, error) => {
    expect(parse(line)).toBe(error);
  });

  test.each([
    ['type normal', false, true],
    ['type normal skipme no', true, true],
    ['skipme no id 1', true, false],
    ['id 1', false, false],
    ['laddr 2.2.2.2:2', false, true],
    ['addr 1.1.1.1:9 user default', false, true],
    ['addr 1.1.1.1:9 id 3', false, false],
    ['TYPE Pubsub SKIPME NO', false, false],
  ])('%s', (line, me, other) => {
    const filter = parse(line);
    if (typeof filter === 'string') throw new Error(filter);
    expect([ME, OTHER].map((candidate) => matchesFilter(filter, candidate, 1))).toEqual([me, other]);
  });
});
