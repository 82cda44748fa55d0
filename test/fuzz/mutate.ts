import { encodeCommand } from '../support/client.js';
import type { Random } from '../support/random.js';

/** Commands whose damaged forms cannot ask for much memory or disturb other connections. */
const COMMANDS: readonly (readonly string[])[] = [
  ['PING'],
  ['SET', 'f:1', 'value'],
  ['SET', 'f:2', '12', 'EX', '1000'],
  ['GET', 'f:1'],
  ['MSET', 'f:1', 'a', 'f:2', 'b', 'f:3', 'c'],
  ['MGET', 'f:1', 'f:2', 'f:3', 'f:4'],
  ['INCR', 'f:n'],
  ['INCRBYFLOAT', 'f:x', '1.5'],
  ['DEL', 'f:1', 'f:2'],
  ['EXPIRE', 'f:1', '100'],
  ['TTL', 'f:1'],
  ['GETRANGE', 'f:1', '0', '-1'],
  ['BITCOUNT', 'f:1', '0', '-1', 'BIT'],
  ['BITFIELD', 'f:b', 'INCRBY', 'u8', '0', '1', 'GET', 'u4', '0'],
  ['PFADD', 'f:h', 'a', 'b'],
  ['PFCOUNT', 'f:h'],
  ['SCAN', '0', 'MATCH', 'f:*', 'COUNT', '10'],
  ['HELLO', '3'],
  ['HELLO', '2'],
  ['SELECT', '3'],
  ['MULTI'],
  ['EXEC'],
  ['DISCARD'],
  ['WATCH', 'f:1'],
  ['CLIENT', 'SETNAME', 'fuzz'],
  ['CLIENT', 'INFO'],
  ['CLIENT', 'REPLY', 'SKIP'],
  ['COMMAND', 'COUNT'],
  ['CONFIG', 'GET', 'maxmemory'],
  ['OBJECT', 'ENCODING', 'f:1'],
  ['DUMP', 'f:1'],
  ['LCS', 'f:1', 'f:2', 'IDX'],
  ['ECHO', 'x'.repeat(300)],
];

const INLINES = [
  'PING\r\n',
  'GET f:1\r\n',
  'SET f:1 "a\\x00b"\r\n',
  "ECHO 'it''s'\r\n",
  '\r\n',
  'ECHO "a b" c\n',
];

const LENGTHS = [
  '-1',
  '-2',
  '0',
  '1',
  '2',
  '3',
  '4',
  '5',
  '64',
  '1024',
  '65535',
  '1048576',
  '1048577',
  '536870912',
  '536870913',
  '2147483647',
  '2147483648',
  '4294967296',
  '-2147483648',
  '9223372036854775807',
  '9223372036854775808',
  '99999999999999999999',
  '',
  'a',
  '1a',
  '0x1',
  '1e1',
  '+1',
  ' 1',
  '01',
  '1\0',
  '1.5',
  'NaN',
  'Infinity',
];

const SIGILS = '*$+-:_,#!=(%~>|\r\n\0\xff "\'';

function replaceAt(text: string, at: number, length: number, by: string): string {
  return text.slice(0, at) + by + text.slice(at + length);
}

type Mutation = (r: Random, frame: string) => string;

const MUTATIONS: readonly Mutation[] = [
  // Flipped bits.
  (r, frame) => {
    let out = frame;
    for (let n = r.int(1, 4); n > 0; n--) {
      const at = r.int(0, out.length - 1);
      out = replaceAt(out, at, 1, String.fromCharCode(out.charCodeAt(at) ^ (1 << r.int(0, 7))));
    }
    return out;
  },
  // Cut off, at either end.
  (r, frame) => frame.slice(0, r.int(0, frame.length)),
  (r, frame) => frame.slice(r.int(0, frame.length)),
  // A length that is not one.
  (r, frame) => {
    const lengths = [...frame.matchAll(/[*$](\d+)\r\n/g)];
    if (lengths.length === 0) return frame;
    const hit = r.pick(lengths);
    return replaceAt(frame, (hit.index ?? 0) + 1, hit[1]?.length ?? 0, r.pick(LENGTHS));
  },
  // Another type.
  (r, frame) => replaceAt(frame, r.int(0, frame.length - 1), 1, r.pick([...SIGILS])),
  // Arrays in arrays.
  (r, frame) => `${'*1\r\n'.repeat(r.int(1, 40))}${frame}`,
  (r, frame) => frame.replace('$', `*${r.int(0, 3)}\r\n$`),
  // Bytes more, or bytes gone.
  (r, frame) => replaceAt(frame, r.int(0, frame.length), 0, r.bytes(r.int(1, 8))),
  (r, frame) => replaceAt(frame, r.int(0, frame.length), r.int(1, 6), ''),
  (r, frame) => replaceAt(frame, r.int(0, frame.length), 0, '\0'.repeat(r.int(1, 5))),
  // Inline requests and noise.
  (r, frame) => r.pick(INLINES) + frame,
  (r, frame) => frame + r.bytes(r.int(1, 40)),
  (r) => r.bytes(r.int(1, 120)),
  (r) => `${r.pick(['"', "'", 'ECHO "', "GET 'a"])}${r.bytes(r.int(0, 20))}\r\n`,
  // Line ends.
  (_, frame) => frame.replaceAll('\r\n', '\n'),
  (r, frame) => frame.replace('\r\n', r.pick(['\r', '\n\r', '\r\r\n', ''])),
];

/** Rare ones, for they are long. */
const LONG_MUTATIONS: readonly Mutation[] = [
  (r) => 'x'.repeat(r.int(60_000, 80_000)),
  (r) => `GET ${'y '.repeat(r.int(1000, 30_000))}\r\n`,
  (r) => `*${'9'.repeat(r.int(60_000, 70_000))}`,
  (r, frame) => `*1000\r\n${'$1\r\na\r\n'.repeat(r.int(900, 999))}${frame}`,
];

/** A valid frame with some damage. */
export function mutatedInput(r: Random): string {
  const frame = r.chance(0.9) ? encodeCommand(r.pick(COMMANDS)).toString('latin1') : r.pick(INLINES);
  if (r.chance(0.003)) return r.pick(LONG_MUTATIONS)(r, frame);
  let input = frame;
  for (let n = r.int(1, 2); n > 0 && input.length > 0; n--) input = r.pick(MUTATIONS)(r, input);
  return input;
}

/** The valid commands in one pipeline that leaves nothing behind, for runs at every split. */
export function validPipeline(): string {
  const lasting = COMMANDS.filter(([name]) => name !== 'HELLO' && name !== 'CLIENT');
  const removal = ['DEL', 'f:1', 'f:2', 'f:3', 'f:n', 'f:x', 'f:b', 'f:h'];
  return [...lasting, removal, ['SELECT', '0'], removal]
    .map((c) => encodeCommand(c).toString('latin1'))
    .join('');
}
