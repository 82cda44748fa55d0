import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { exchange } from '../support/exchange.js';
import { TestServer } from '../support/server.js';

const PING = '*1\r\n$4\r\nPING\r\n';
/** Redis's limit of an inline request, and of a line that tells a length. */
const LINE_BYTES_MAX = 65_536;

const CASES: Readonly<Record<string, string>> = {
  'valid, then nothing': PING,
  'two in one write': PING + PING,
  'empty multibulk': `*0\r\n${PING}`,
  'multibulk of -1': `*-1\r\n${PING}`,
  'multibulk of -10': `*-10\r\n${PING}`,
  'multibulk length is a word': `*abc\r\n${PING}`,
  'multibulk length is empty': `*\r\n${PING}`,
  'multibulk length with a plus': `*+1\r\n$4\r\nPING\r\n`,
  'multibulk length with a leading zero': `*01\r\n$4\r\nPING\r\n`,
  'multibulk length with a space': `* 1\r\n$4\r\nPING\r\n`,
  'multibulk length of 2^20 + 1': `*1048577\r\n${PING}`,
  'multibulk length of 2^31': `*2147483648\r\n${PING}`,
  'multibulk length of 2^31 - 1': `*2147483647\r\n${PING}`,
  'multibulk length beyond 64 bits': `*99999999999999999999\r\n${PING}`,
  'a word instead of a bulk': `*1\r\nPING\r\n`,
  'x instead of $': '*1\r\nx4\r\nPING\r\n',
  'an array inside': '*2\r\n*1\r\n$4\r\nPING\r\n',
  'an integer inside': '*2\r\n:1\r\n$4\r\nPING\r\n',
  'an empty line inside': '*1\r\n\r\n$4\r\nPING\r\n',
  '0xff instead of $': '*1\r\n\xff4\r\nPING\r\n',
  'bulk length of -1': '*1\r\n$-1\r\n',
  'bulk length is a word': '*1\r\n$abc\r\nPING\r\n',
  'bulk length is empty': '*1\r\n$\r\nPING\r\n',
  'bulk length over 512 MB': '*1\r\n$536870913\r\nPING\r\n',
  'bulk length beyond 64 bits': '*1\r\n$99999999999999999999\r\nPING\r\n',
  'bulk length with a leading zero': '*1\r\n$04\r\nPING\r\n',
  'bulk length with a sign': '*1\r\n$+4\r\nPING\r\n',
  'empty command name': `*1\r\n$0\r\n\r\n${PING}`,
  'other bytes than CRLF behind a bulk': `*1\r\n$4\r\nPINGxx${PING}`,
  'a bulk longer than told': `*1\r\n$4\r\nPINGPONG\r\n${PING}`,
  'error in the middle of a pipeline': `${PING}*1\r\n!\r\n${PING}`,
  'valid commands before an error are answered': `${PING}*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*x\r\n`,
  'truncated frame': '*2\r\n$3\r\nGET\r\n$5\r\nab',
  inline: 'PING\r\n',
  'inline with LF alone': 'PING\nPING\n',
  'inline, empty lines': '\r\n\n\r\nPING\r\n',
  'inline, blanks': '   \r\n  PING  \t  hello  \r\n',
  'inline, double quotes': 'ECHO "a b"\r\n',
  'inline, escapes': 'ECHO "\\x41\\n\\r\\t\\a\\b\\q\\"\\\\"\r\n',
  'inline, bad hex': 'ECHO "\\xzz\\x4"\r\n',
  'inline, single quotes': "ECHO 'a \\'b\\' \\n'\r\n",
  'inline, empty quotes': 'ECHO ""\r\n',
  'inline, unbalanced double': 'ECHO "abc\r\nPING\r\n',
  'inline, unbalanced single': "ECHO 'abc\r\nPING\r\n",
  'inline, text behind a closing quote': 'ECHO "a"b\r\nPING\r\n',
  'inline, quote in the middle of a word': 'ECHO a"b c"\r\n',
  'inline, high bytes': 'ECHO \xff\xfe\r\n',
  'inline, unknown command': 'NOSUCH a b\r\n',
  'inline, a lone bulk': '$4\r\nPING\r\n',
  'inline between frames': `${PING}PING\r\n${PING}`,
  'HTTP POST': `POST / HTTP/1.1\r\n${PING}`,
  'HTTP Host header': `GET a\r\nHost: example.org\r\n${PING}`,
  'too big inline': 'x'.repeat(LINE_BYTES_MAX + 4),
  'inline of just under the limit': `${'x'.repeat(LINE_BYTES_MAX - 100)}\r\n`,
  'too big mbulk count': `*${'1'.repeat(LINE_BYTES_MAX + 4)}`,
  'too big bulk count': `*1\r\n$${'1'.repeat(LINE_BYTES_MAX + 4)}`,
  'QUIT ends the pipeline': `${PING}*1\r\n$4\r\nQUIT\r\n${PING}`,
  'RESP3 types as a command': '%1\r\n+a\r\n+b\r\n_\r\n',
};

/** To a server with a password. */
const UNAUTHENTICATED: Readonly<Record<string, string>> = {
  'no password given': PING,
  'multibulk of 10': `*10\r\n${'$1\r\na\r\n'.repeat(10)}`,
  'multibulk of 11': `*11\r\n${'$1\r\na\r\n'.repeat(11)}`,
  'bulk of 16384': `*2\r\n$4\r\nECHO\r\n$16384\r\n${'x'.repeat(16_384)}\r\n`,
  'bulk of 16385': `*2\r\n$4\r\nECHO\r\n$16385\r\n`,
  'wrong password': encodeCommand(['AUTH', 'wrong']).toString('latin1'),
  'wrong user': encodeCommand(['AUTH', 'nobody', 'secret']).toString('latin1'),
  'right password, then': `${encodeCommand(['AUTH', 'secret']).toString('latin1')}${PING}`,
  'HELLO without AUTH': encodeCommand(['HELLO', '3']).toString('latin1'),
  'HELLO with a wrong password': encodeCommand(['HELLO', '3', 'AUTH', 'default', 'x']).toString('latin1'),
  'unknown command': encodeCommand(['NOSUCH']).toString('latin1'),
  'wrong arity': encodeCommand(['GET']).toString('latin1'),
  'RESET and QUIT are allowed': 'RESET\r\nQUIT\r\n',
};

describe.skipIf(!haveTool('redis-server')).each([
  ['', CASES, { flags: [] }],
  ['unauthenticated: ', UNAUTHENTICATED, { flags: ['--requirepass', 'secret'], password: 'secret' }],
])('%sprotocol errors byte for byte', (_, cases, options) => {
  let subject: TestServer;
  let oracle: TestServer;

  beforeAll(async () => {
    oracle = await TestServer.start({ kind: 'redis', ...options });
    subject = await TestServer.start(options);
  });

  afterAll(async () => {
    await Promise.all([oracle.stop(), subject.stop()]);
  });

  test.each(Object.entries(cases))('%s', async (_, input) => {
    const [mine, theirs] = await Promise.all([exchange(subject.port, input), exchange(oracle.port, input)]);
    expect(mine).toBe(theirs);
  });
});
