import { describe, expect, test } from 'vitest';
import type { KeySpecification } from '../../../src/commands/definition.js';
import { parseSyntax, type SyntaxArgument } from '../../../src/commands/syntax.js';
import { commandTable } from '../../../src/commands/table.js';

/** One line: `name:type=TOKEN ?+* #key {parts}`; `?` optional, `+` multiple, `*` with the token each time. */
function brief(argument: SyntaxArgument): string {
  const { name, type, token, optional, multiple, multipleToken, keySpecification, parts } = argument;
  return [
    `${name}:${type}${token === undefined ? '' : `=${token}`}`,
    `${optional ? '?' : ''}${multiple ? '+' : ''}${multipleToken ? '*' : ''}`,
    keySpecification === undefined ? '' : `#${keySpecification}`,
    parts.length === 0 ? '' : `{${parts.map(brief).join('; ')}}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function parsed(syntax: string, keys: readonly KeySpecification[] = [], name = 'test'): string {
  return parseSyntax({ name, syntax, keys }).map(brief).join(' | ');
}

const KEY: readonly KeySpecification[] = [{ first: 1, last: 1, step: 1, flags: ['RO'] }];

describe('parseSyntax', () => {
  test.each([
    ['', ''],
    ['message', 'message:string'],
    ['[message]', 'message:string ?'],
    ['index', 'index:integer'],
    ['pattern', 'pattern:pattern'],
    ['unix-time-seconds', 'unix-time-seconds:unix-time'],
    ['ON | OFF', 'on_off:oneof {on:pure-token=ON; off:pure-token=OFF}'],
    ['[LEN] [IDX]', 'len:pure-token=LEN ? | idx:pure-token=IDX ?'],
    ['[COUNT count] [TYPE type]', 'count:integer=COUNT ? | type:string=TYPE ?'],
    ['[username] password', 'username:string ? | password:string'],
    ['[AUTH username password]', 'username_password:block=AUTH ? {username:string; password:string}'],
    ['[EX seconds | KEEPTTL]', 'seconds_keepttl:oneof ? {seconds:integer=EX; keepttl:pure-token=KEEPTTL}'],
    ['TYPE (A | B)', 'a_b:oneof=TYPE {a:pure-token=A; b:pure-token=B}'],
    ['(A | B) value', 'a_b:oneof {a:pure-token=A; b:pure-token=B} | value:string'],
    [
      '[start [end [BYTE | BIT]]]',
      'start_end_byte_bit:block ? {start:integer; end_byte_bit:block ? ' +
        '{end:integer; byte_bit:oneof ? {byte:pure-token=BYTE; bit:pure-token=BIT}}}',
    ],
  ])('%s', (syntax, expected) => {
    expect(parsed(syntax)).toBe(expected);
  });

  test.each([
    ['element [element ...]', 'element:string +'],
    ['[element [element ...]]', 'element:string ?+'],
    ['[element ...]', 'element:string ?+'],
    ['a b [a b ...]', 'a_b:block + {a:string; b:string}'],
    ['PREFIX prefix [PREFIX prefix ...]', 'prefix:string=PREFIX +*'],
    ['[PREFIX prefix [PREFIX prefix ...]]', 'prefix:string=PREFIX ?+*'],
    ['[GET type offset [GET type offset ...]]', 'type_offset:block=GET ?+* {type:string; offset:integer}'],
    ['[ID client-id [client-id ...]]', 'client-id:integer=ID ?+'],
    ['[A x | B y ...]', 'x_y:oneof ?+ {x:string=A; y:string=B}'],
    ['(a | b) ...', 'a_b:oneof + {a:string; b:string}'],
  ])('repetition: %s', (syntax, expected) => {
    expect(parsed(syntax)).toBe(expected);
  });

  test('keys are found by the specification, not by their name', () => {
    expect(parsed('key [AFTER key]', KEY)).toBe('key:key #0 | key:string=AFTER ?');
    expect(parsed('key value [key value ...]', [{ first: 1, last: -1, step: 2, flags: ['OW'] }])).toBe(
      'key_value:block + {key:key #0; value:string}',
    );
    const two: readonly KeySpecification[] = [
      { first: 2, last: 2, step: 1, flags: ['OW'] },
      { first: 3, last: -1, step: 1, flags: ['RO'] },
    ];
    expect(parsed('(AND | OR) destkey source [source ...]', two)).toBe(
      'and_or:oneof {and:pure-token=AND; or:pure-token=OR} | destkey:key #0 | source:key + #1',
    );
    expect(parsed('key', [{ first: 2, last: 2, step: 1, flags: ['RO'] }], 'object|encoding')).toBe(
      'key:key #0',
    );
  });

  test('types by command', () => {
    expect(parsed('key increment', KEY, 'incrby')).toBe('key:key #0 | increment:integer');
    expect(parsed('key increment', KEY, 'incrbyfloat')).toBe('key:key #0 | increment:double');
  });

  test.each(['[', ']', 'a )', '( a', '[a ...', '| a', 'a |', '...', '[]'])('refuses %s', (syntax) => {
    expect(() => parsed(syntax)).toThrow(/malformed syntax of test/);
  });

  test.each(commandTable.map(({ name, syntax, keys }) => ({ name, syntax, keys })))(
    'reads the syntax of $name',
    (command) => {
      expect(() => parseSyntax(command)).not.toThrow();
    },
  );
});
