import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DecoderLimits, RequestDecoder } from '../../../src/resp/decoder.js';
import { encodeCommand } from '../../support/client.js';
import { freePort, haveTool, pause, temporaryDir } from '../../support/environment.js';

const MEGABYTE = 1024 * 1024;

interface Outcome {
  commands: string[][];
  error?: string;
}

interface Decoding {
  limits?: Partial<DecoderLimits>;
  /** Called before a command is taken down. */
  onCommand?: (args: Buffer[], decoder: RequestDecoder, limits: DecoderLimits) => void;
}

function limitsOf(changes: Partial<DecoderLimits> = {}): DecoderLimits {
  return { bulkBytesMax: 512 * MEGABYTE, queryBytesMax: 1024 * MEGABYTE, authenticated: true, ...changes };
}

/** A decoder that takes down what it finds as latin1 text, and checks what its sink is promised. */
function recorder(decoding: Decoding = {}): { decoder: RequestDecoder; outcome: Outcome } {
  const outcome: Outcome = { commands: [] };
  const limits = limitsOf(decoding.limits);
  const decoder: RequestDecoder = new RequestDecoder(
    {
      command(args, frames) {
        expect(outcome.error).toBeUndefined();
        expect(args.length).toBeGreaterThan(0);
        for (const arg of args) {
          if (arg.length === 0) continue;
          expect(arg.buffer).toBe(frames.buffer);
          expect(arg.byteOffset).toBeGreaterThanOrEqual(frames.byteOffset);
          expect(arg.byteOffset + arg.length).toBeLessThanOrEqual(frames.byteOffset + frames.length);
        }
        outcome.commands.push(args.map((arg) => arg.toString('latin1')));
        decoding.onCommand?.(args, decoder, limits);
      },
      protocolError(text) {
        expect(outcome.error).toBeUndefined();
        outcome.error = text;
      },
    },
    limits,
  );
  return { decoder, outcome };
}

function decodePieces(pieces: readonly Buffer[], decoding: Decoding = {}): Outcome {
  const { decoder, outcome } = recorder(decoding);
  for (const piece of pieces) decoder.push(piece);
  return outcome;
}

/** Own memory for every piece, so that no piece can be mended by its neighbour. */
function cut(stream: Buffer, ...cuts: number[]): Buffer[] {
  const ends = [...cuts, stream.length];
  return ends.map((end, index) => Buffer.from(stream.subarray(index === 0 ? 0 : ends[index - 1], end)));
}

/** Decodes a stream whole, split at every byte, and byte by byte: all must agree. */
function decode(text: string | Buffer, decoding: Decoding = {}): Outcome {
  const stream = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  const whole = decodePieces([stream], decoding);
  for (let at = 1; at < stream.length; at++) {
    expect(decodePieces(cut(stream, at), decoding), `split at byte ${at}`).toEqual(whole);
  }
  const bytes = Array.from(stream, (_, index) => index + 1);
  expect(decodePieces(cut(stream, ...bytes), decoding), 'byte by byte').toEqual(whole);
  return whole;
}

function protocolError(problem: string, ...before: string[][]): Outcome {
  return { commands: before, error: `ERR Protocol error: ${problem}` };
}

describe('multibulk requests', () => {
  it('decodes commands in order', () => {
    const stream = Buffer.concat([['PING'], ['SET', 'k', 'v'], ['GET', 'k']].map(encodeCommand));
    expect(decode(stream)).toEqual({ commands: [['PING'], ['SET', 'k', 'v'], ['GET', 'k']] });
  });

  it('is binary-safe', () => {
    const every = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
    expect(decode(encodeCommand(['SET', every, '*1\r\n$4\r\nPING\r\n']))).toEqual({
      commands: [['SET', every, '*1\r\n$4\r\nPING\r\n']],
    });
  });

  it('takes empty arguments', () => {
    expect(decode('*3\r\n$0\r\n\r\n$0\r\n\r\n$1\r\nx\r\n')).toEqual({ commands: [['', '', 'x']] });
  });

  it('ignores requests without arguments', () => {
    const ping = '*1\r\n$4\r\nPING\r\n';
    expect(decode(`*0\r\n${ping}*-1\r\n${ping}*-9223372036854775808\r\n${ping}*0\r\n`)).toEqual({
      commands: [['PING'], ['PING'], ['PING']],
    });
  });

  it('does not look at the byte after a CR nor at the bytes after a body', () => {
    expect(decode('*1\r\r$4\rxPINGxx*1\r\n$4\r\nPING\r\n')).toEqual({ commands: [['PING'], ['PING']] });
  });

  it('gives each refusal its text', () => {
    const count = protocolError('invalid multibulk length');
    for (const text of ['', 'abc', '+1', '01', '-0', '1 ', '1\0', '2147483648', '-9223372036854775809']) {
      expect(decode(`*${text}\r\n`), text).toEqual(count);
    }
    const length = protocolError('invalid bulk length');
    for (const text of ['', 'abc', '-1', '04', '-0', '+4', '536870913', '99999999999', '1e3']) {
      expect(decode(`*1\r\n$${text}\r\n`), text).toEqual(length);
    }
    expect(decode('*1\r\nfoo\r\n')).toEqual(protocolError("expected '$', got 'f'"));
    expect(decode('*1\r\n\xff\r\n')).toEqual(protocolError("expected '$', got '\xff'"));
    expect(decode('*1\r\n\r\n')).toEqual(protocolError("expected '$', got '\r'"));
    expect(decode('*1\r\n*1\r\n')).toEqual(protocolError("expected '$', got '*'"));
    expect(decode('*1\r\n:1\r\n')).toEqual(protocolError("expected '$', got ':'"));
  });

  it('delivers what precedes an error, and nothing after it', () => {
    const ping = '*1\r\n$4\r\nPING\r\n';
    expect(decode(`${ping}${ping}*x\r\n${ping}`)).toEqual(
      protocolError('invalid multibulk length', ['PING'], ['PING']),
    );
    expect(decode(`${ping}*1\r\n+4\r\n${ping}`)).toEqual(protocolError("expected '$', got '+'", ['PING']));
  });
});

describe('inline requests', () => {
  it('splits lines into words', () => {
    expect(decode('PING\r\n\r\n \r\n\n  SET  k\tv \nGET k\n')).toEqual({
      commands: [['PING'], ['SET', 'k', 'v'], ['GET', 'k']],
    });
  });

  it('understands quotes and escapes', () => {
    expect(decode('SET "a b" "\\x41\\n\\r\\t\\b\\a\\"\\\\\\q\\xzz"\r\n')).toEqual({
      commands: [['SET', 'a b', 'A\n\r\t\b\x07"\\qxzz']],
    });
    expect(decode(`SET 'it\\'s' 'a\\nb' "" ''\r\n`)).toEqual({
      commands: [['SET', "it's", 'a\\nb', '', '']],
    });
    expect(decode('PI"NG" a\vb "c"\vd\r\n')).toEqual({ commands: [['PING', 'a\vb', 'c', 'd']] });
  });

  it('refuses unbalanced quotes', () => {
    for (const line of ['"foo', "'foo", '"a"b', "'a'b", 'a"', '"\\', "'\\'"]) {
      expect(decode(`PING\n${line}\r\nPING\n`), line).toEqual(
        protocolError('unbalanced quotes in request', ['PING']),
      );
    }
  });

  it('mixes with multibulk requests', () => {
    const get = '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n';
    expect(decode(`${get}PING\n${get}${get}PING x\r\n*0\r\n${get}`)).toEqual({
      commands: [['GET', 'k'], ['PING'], ['GET', 'k'], ['GET', 'k'], ['PING', 'x'], ['GET', 'k']],
    });
  });
});

describe('limits', () => {
  it('bounds lines', () => {
    const digits = '1'.repeat(70_000);
    const texts: [string, string][] = [
      [`*${digits}`, 'too big mbulk count string'],
      [`*1\r\n$${digits}`, 'too big bulk count string'],
      [`*1\r\n${digits}`, 'too big bulk count string'],
      [digits, 'too big inline request'],
    ];
    for (const [text, problem] of texts) {
      const stream = Buffer.from(text);
      for (const pieces of [[stream], cut(stream, 1), cut(stream, 65_536), cut(stream, 30_000, 60_000)]) {
        expect(decodePieces(pieces)).toEqual(protocolError(problem));
      }
    }
    const long = 'x'.repeat(65_536);
    expect(decodePieces([Buffer.from(`${long}\n`)])).toEqual({ commands: [[long]] });
    expect(decodePieces([Buffer.from(`x${long}\n`)])).toEqual(protocolError('too big inline request'));
  });

  it('takes the largest counts and lengths at their word without allocating', () => {
    const { decoder, outcome } = recorder();
    const before = process.memoryUsage();
    decoder.push(Buffer.from('*2147483647\r\n$536870912\r\nabc'));
    const after = process.memoryUsage();
    expect(outcome).toEqual({ commands: [] });
    expect(decoder.pendingBytes).toBe(28);
    expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(16 * MEGABYTE);
  });

  it('bounds arguments by bulkBytesMax', () => {
    const limits = { bulkBytesMax: 10 };
    expect(decode('*1\r\n$10\r\n0123456789\r\n', { limits }).commands).toHaveLength(1);
    expect(decode('*1\r\n$11\r\n0123456789x\r\n', { limits })).toEqual(protocolError('invalid bulk length'));
  });

  it('bounds what one command may take, many small arguments included', () => {
    const limits = { queryBytesMax: 2000 };
    const problem =
      'client-query-buffer-limit of 2000 bytes exceeded; raise it with CONFIG SET client-query-buffer-limit';
    const stream = Buffer.concat([
      encodeCommand(['GET', 'k']),
      encodeCommand(['SET', 'k', 'v'.repeat(2000)]),
    ]);
    expect(decode(stream, { limits })).toEqual(protocolError(problem, ['GET', 'k']));
    expect(decode(encodeCommand(Array(100).fill('')), { limits })).toEqual(protocolError(problem));
    const many = Buffer.concat(Array(100).fill(encodeCommand(['GET', 'k'])));
    expect(decodePieces([many], { limits }).commands).toHaveLength(100);
  });

  it('bounds what may be sent before AUTH', () => {
    const limits = { authenticated: false };
    expect(decode('*11\r\n', { limits })).toEqual(protocolError('unauthenticated multibulk length'));
    expect(decode('*2147483648\r\n', { limits })).toEqual(protocolError('invalid multibulk length'));
    expect(decode('*10\r\n$16385\r\n', { limits })).toEqual(protocolError('unauthenticated bulk length'));
    expect(decode('*10\r\n$16384\r\n', { limits })).toEqual({ commands: [] });
  });

  it('lets AUTH lift the limits of the very next command', () => {
    const limits = { authenticated: false };
    const onCommand: Decoding['onCommand'] = (args, _, live) => {
      if (args[0]?.toString() === 'AUTH') live.authenticated = true;
    };
    const large = ['MSET', ...Array<string>(12).fill('x')];
    const stream = Buffer.concat([['PING'], ['AUTH', 'p'], large, ['PING'], large].map(encodeCommand));
    expect(decode(stream, { limits, onCommand }).commands).toEqual([
      ['PING'],
      ['AUTH', 'p'],
      large,
      ['PING'],
      large,
    ]);
  });
});

describe('stop', () => {
  it('delivers nothing more of a run, nor an error behind it', () => {
    const onCommand: Decoding['onCommand'] = (args, decoder) => {
      if (args[0]?.toString() === 'QUIT') decoder.stop();
    };
    const quit = Buffer.concat([['PING'], ['QUIT'], ['PING']].map(encodeCommand));
    expect(decode(quit, { onCommand })).toEqual({ commands: [['PING'], ['QUIT']] });
    const bad = Buffer.concat([encodeCommand(['QUIT']), Buffer.from('*x\r\n')]);
    expect(decode(bad, { onCommand })).toEqual({ commands: [['QUIT']] });
    expect(decode('QUIT\r\nPING\r\n"\r\n', { onCommand })).toEqual({ commands: [['QUIT']] });
  });
});

describe('frames that span chunks', () => {
  it('holds an incomplete frame only', () => {
    const { decoder, outcome } = recorder();
    decoder.push(Buffer.from('*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI'));
    expect(outcome.commands).toHaveLength(1);
    expect(decoder.pendingBytes).toBe(10);
    decoder.push(Buffer.from('NG\r\n'));
    expect(outcome.commands).toHaveLength(2);
    expect(decoder.pendingBytes).toBe(0);
  });

  it('never changes what it handed out', () => {
    const kept: Buffer[] = [];
    const onCommand: Decoding['onCommand'] = (args) => kept.push(...args);
    const { decoder } = recorder({ onCommand });
    for (let round = 0; round < 200; round++) {
      const frame = encodeCommand([`value-${round}`]);
      for (const piece of cut(frame, round % frame.length)) decoder.push(piece);
    }
    expect(kept.map(String)).toEqual(Array.from({ length: 200 }, (_, round) => `value-${round}`));
  });

  it('decodes a value of 64 MB and a million arguments in linear time', () => {
    const large = encodeCommand(['SET', 'k', Buffer.alloc(64 * MEGABYTE, 'v')]);
    const many = encodeCommand(Array<string>(1_000_000).fill('argument'));
    const lengths: number[] = [];
    const decoder = new RequestDecoder(
      {
        command: (args) => lengths.push(args.length),
        protocolError: (text) => expect.unreachable(text),
      },
      limitsOf(),
    );
    for (const stream of [large, many]) {
      for (let at = 0; at < stream.length; at += 65_536) decoder.push(stream.subarray(at, at + 65_536));
    }
    // In quadratic time it would not end before the test's time is over.
    expect(lengths).toEqual([3, 1_000_000]);
  });

  it('keeps little more than the bytes when they come one at a time', () => {
    const { decoder, outcome } = recorder();
    const value = 'v'.repeat(3 * MEGABYTE);
    const stream = encodeCommand(['SET', 'k', value]);
    const before = process.memoryUsage();
    for (let at = 0; at < stream.length - 1; at++) decoder.push(Buffer.from(stream.subarray(at, at + 1)));
    const after = process.memoryUsage();
    expect(decoder.pendingBytes).toBe(stream.length - 1);
    expect(after.rss - before.rss).toBeLessThan(200 * MEGABYTE);
    decoder.push(stream.subarray(-1));
    expect(outcome.commands).toEqual([['SET', 'k', value]]);
  });
});

describe('properties', () => {
  it('decodes any commands under any split', () => {
    const argument = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
    const command = fc.array(argument, { minLength: 1, maxLength: 12 });
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 12 }), cuts, (commands, at) => {
        const stream = Buffer.concat(commands.map(encodeCommand));
        const inside = at.map((place) => place % (stream.length + 1)).sort((a, b) => a - b);
        expect(decodePieces(cut(stream, ...inside))).toEqual({ commands });
      }),
      { numRuns: 500 },
    );
  });

  it('treats garbage alike however it is split', () => {
    const word = fc.constantFrom(
      '*',
      '$',
      '\r\n',
      '\n',
      '1',
      '2',
      '0',
      '-',
      'PING',
      '"',
      "'",
      ' ',
      '\0',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), fc.nat(), (words, place) => {
        const stream = Buffer.from(words.join(''));
        const at = place % (stream.length + 1);
        const bytes = Array.from(stream, (_, index) => index + 1);
        const whole = decodePieces([stream]);
        expect(decodePieces(cut(stream, at))).toEqual(whole);
        expect(decodePieces(cut(stream, ...bytes))).toEqual(whole);
      }),
      { numRuns: 2000 },
    );
  });
});

/** Requests at which redis-server's reply must be what the decoder says; no command but PING. */
const MALFORMED = [
  ...['*1\r\nfoo\r\n', '*1\r\n\r\n', '*1\r\n\xff\r\n', '*1\r\n*1\r\n', '*1\r\n:4\r\n', '*1\r\n$4 \r\n'],
  ...['*2147483648\r\n', '*abc\r\n', '*\r\n', '*+1\r\n', '*01\r\n', '*-0\r\n', '* 1\r\n', '**\r\n'],
  ...['*-9223372036854775809\r\n', '*99999999999999999999999999999\r\n', '*1.0\r\n', '*0x1\r\n'],
  ...['$-1', '$abc', '$', '$536870913', '$04', '$-0', '$+4', '$18446744073709551617'].map(
    (line) => `*1\r\n${line}\r\n`,
  ),
  `*${'1'.repeat(70_000)}`,
  `*1\r\n$${'1'.repeat(70_000)}`,
  `*1\r\n${'x'.repeat(70_000)}`,
  'x'.repeat(70_000),
  ...['"foo\r\n', "'foo\r\n", '"a"b\r\n', "'a'b\r\n", 'PING "\\', 'PING "\\"\r\n', "PING '\\'\r\n"],
  ...['\r\n\nPING\r\n"\r\n', '*-1\r\nPING\n*x\r\n', '*0\r\nPING\n*x\r\n', '*1\r\r$4\rxPINGxx*x\r\n'],
  ...['*11\r\n$x\r\n', '*10\r\n$16385\r\nx', '*2\r\n$4\r\nPING\r\n$20000\r\n', '\vPING\n"\n', 'PING\r \n"\n'],
];

describe.skipIf(!haveTool('redis-server'))('against redis-server', () => {
  const servers: { port: number; authenticated: boolean; stop(): void }[] = [];

  beforeAll(async () => {
    for (const password of ['', 'secret']) {
      const port = await freePort();
      const flags = [
        '--port',
        String(port),
        '--dir',
        temporaryDir(),
        '--save',
        '',
        '--requirepass',
        password,
      ];
      const child = spawn('redis-server', flags, { stdio: 'ignore' });
      servers.push({ port, authenticated: password === '', stop: () => child.kill('SIGKILL') });
      while ((await exchange(port, 'PING\r\n')) === '') await pause(20);
    }
  });

  afterAll(() => {
    for (const server of servers) server.stop();
  });

  it('replies the same to malformed requests', async () => {
    for (const { port, authenticated } of servers) {
      const ping = authenticated ? '+PONG\r\n' : '-NOAUTH Authentication required.\r\n';
      const replies = await Promise.all(MALFORMED.map((text) => exchange(port, text)));
      for (const [index, text] of MALFORMED.entries()) {
        const { commands, error } = decodePieces([Buffer.from(text, 'latin1')], {
          limits: { authenticated },
        });
        const ours = ping.repeat(commands.length) + (error === undefined ? '' : `-${oneLine(error)}\r\n`);
        expect(ours, JSON.stringify(text.slice(0, 80))).toBe(replies[index]);
      }
    }
  });
});

/** What the reply writer makes of line breaks in an error. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, ' ');
}

/** What a server replies until it closes the connection, or is silent for a while. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let reply = '';
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(300, () => socket.destroy());
    socket.on('data', (chunk) => {
      reply += chunk.toString('latin1');
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(reply));
    socket.write(Buffer.from(text, 'latin1'));
  });
}
