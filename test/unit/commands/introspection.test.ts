import { describe, expect, test } from 'vitest';
import { ListArguments } from '../../../src/base/arguments.js';
import { ReplyWriter } from '../../../src/base/reply-writer.js';
import {
  categoriesOf,
  findKeys,
  flagsOf,
  keyRange,
  writeCommandInfo,
} from '../../../src/commands/introspection.js';
import { type Command, commandTable } from '../../../src/commands/table.js';

function command(name: string): Command {
  const found = commandTable.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

describe('what COMMAND derives', () => {
  test.each([
    ['get', 'read string fast'],
    ['set', 'write string slow'],
    ['del', 'keyspace write slow'],
    ['keys', 'keyspace read slow dangerous'],
    ['flushdb', 'keyspace write slow dangerous'],
    ['ping', 'fast connection'],
    ['client', 'slow'],
    ['client|kill', 'admin slow dangerous connection'],
    ['command|docs', 'slow connection'],
    ['multi', 'fast transaction'],
    ['object', 'slow'],
    ['object|encoding', 'keyspace read slow'],
    ['wait', 'slow connection'],
    ['monitor', 'admin slow dangerous'],
  ])('ACL categories of %s', (name, expected) => {
    expect(categoriesOf(command(name)).join(' ')).toBe(expected);
  });

  test('flags come in the order of Redis', () => {
    expect(flagsOf(command('client|kill'))).toEqual(['admin', 'noscript', 'loading', 'stale']);
    expect(flagsOf(command('auth'))).toEqual([
      'noscript',
      'loading',
      'stale',
      'fast',
      'no_auth',
      'allow_busy',
    ]);
  });

  test('several key specifications join to one range', () => {
    const keys = (first: number, last: number, step = 1) => ({ first, last, step, flags: [] });
    expect(keyRange([])).toEqual({ first: 0, last: 0, step: 0, movable: false });
    expect(keyRange([keys(1, -1, 2)])).toMatchObject({ first: 1, last: -1, step: 2, movable: false });
    expect(keyRange([keys(1, 1), keys(2, 2)])).toMatchObject({ first: 1, last: 2, step: 1, movable: false });
    expect(keyRange([keys(2, 2), keys(3, -1)])).toMatchObject({ first: 2, last: -1, movable: false });
    expect(keyRange([keys(1, 1), keys(3, 3)])).toMatchObject({ first: 1, last: 1, movable: true });
  });

  test.each([
    ['mset a 1 b 2', '1 3'],
    ['del a b c', '1 2 3'],
    ['bitop and d x y', '2 3 4'],
    ['object encoding k', '2'],
    ['rename a b', '1 2'],
  ])('keys of %s', (line, expected) => {
    const args = ListArguments.of(...line.split(' '));
    const name = args.text(0) === 'object' ? `object|${args.text(1)}` : args.text(0);
    expect(
      findKeys(command(name), args)
        .map(({ index }) => index)
        .join(' '),
    ).toBe(expected);
  });

  test.each([
    ['set k v', 'OW update'],
    ['set k v EX 1 get', 'RW access update'],
    ['bitfield k', 'RO access'],
    ['bitfield k GET u8 0', 'RO access'],
    ['bitfield k GET u8 0 incrby u8 0 1', 'RW access update'],
  ])('what %s does to its key', (line, expected) => {
    const args = ListArguments.of(...line.split(' '));
    expect(findKeys(command(args.text(0)), args)[0]?.flags.join(' ')).toBe(expected);
  });

  test('the reply about a command', () => {
    const reply = new ReplyWriter();
    writeCommandInfo(reply, command('echo'));
    expect(reply.written().toString('latin1').replaceAll('\r\n', ' ')).toBe(
      '*10 $4 echo :2 *3 +loading +stale +fast :0 :0 :0 *2 +@fast +@connection *0 *0 *0 ',
    );
    const resp3 = new ReplyWriter();
    resp3.version = 3;
    writeCommandInfo(resp3, command('get'));
    expect(resp3.written().toString('latin1').replaceAll('\r\n', ' ')).toBe(
      '*10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~1 %3 $5 flags ~2 +RO +access ' +
        '$12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 ' +
        '$9 find_keys %2 $4 type $5 range $4 spec %3 $7 lastkey :0 $7 keystep :1 $5 limit :0 ~0 ',
    );
  });
});
