import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { exchange } from '../support/exchange.js';
import { TestServer } from '../support/server.js';
import { runTool, watchTool } from '../support/tools.js';

describe('the tools of Redis', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start();
    client = await server.connect();
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  /** What redis-cli prints, in its plain form. */
  async function cli(...args: string[]): Promise<string> {
    const { stdout, stderr } = await runTool('redis-cli', ['-p', String(server.port), ...args]);
    return (stdout + stderr).trimEnd();
  }

  describe.skipIf(!haveTool('redis-cli'))('redis-cli', () => {
    test('GET, SET, errors, types', async () => {
      expect(await cli('SET', 'a', 'hello world')).toBe('OK');
      expect(await cli('GET', 'a')).toBe('hello world');
      expect(await cli('--no-raw', 'GET', 'a')).toBe('"hello world"');
      expect(await cli('--no-raw', 'STRLEN', 'a')).toBe('(integer) 11');
      expect(await cli('--no-raw', 'GET', 'nothing')).toBe('(nil)');
      expect(await cli('INCR', 'a')).toBe('ERR value is not an integer or out of range');
      expect(await cli('-3', '--no-raw', 'GET', 'nothing')).toBe('(nil)');
      expect(await cli('-n', '3', 'SET', 'in3', '1')).toBe('OK');
      expect(await cli('-n', '3', 'DBSIZE')).toBe('1');
      expect(await cli('-e', 'NOSUCH')).toMatch(/ERR unknown command 'NOSUCH'/);
    });

    test('commands on standard input, one a line', async () => {
      const { stdout } = await runTool('redis-cli', ['-p', String(server.port)], 'SET b 1\nINCR b\nGET b\n');
      expect(stdout).toBe('OK\n2\n2\n');
    });

    test('--pipe loads much at once', async () => {
      await client.command('FLUSHALL');
      const count = 20_000;
      const load = Buffer.concat(
        Array.from({ length: count }, (_, i) => encodeCommand(['SET', `load:${i}`, i])),
      );
      const { stdout, code } = await runTool('redis-cli', ['-p', String(server.port), '--pipe'], load);
      expect(stdout).toContain(`errors: 0, replies: ${count}`);
      expect(code).toBe(0);
      expect(await cli('DBSIZE')).toBe(String(count));
    });

    test('--pipe counts errors', async () => {
      const load = 'SET load:1 abc\r\nINCR load:1\r\nSET load:1 1\r\n';
      const { stdout } = await runTool('redis-cli', ['-p', String(server.port), '--pipe'], load);
      expect(stdout).toContain('errors: 1, replies: 3');
    });

    test('--scan --pattern', async () => {
      const found = (await cli('--scan', '--pattern', 'load:1999?')).split('\n').sort();
      expect(found).toEqual(Array.from({ length: 10 }, (_, i) => `load:1999${i}`));
      expect((await cli('--scan')).split('\n').length).toBe(20_000);
    });

    test('--bigkeys and --memkeys', async () => {
      await client.command('FLUSHALL');
      await client.command('SET', 'small', 'x');
      await client.command('SET', 'big', 'x'.repeat(10_000));
      expect(await cli('--bigkeys')).toMatch(/Biggest string found '"big"' has 10000 bytes/);
      const memory = await cli('--memkeys');
      expect(memory).toMatch(/Biggest string found '"big"' has \d{5} bytes/);
    });

    test('--stat', async () => {
      const { matched } = watchTool(
        'redis-cli',
        ['-p', String(server.port), '--stat', '-i', '0.1'],
        /\n2 +\S+/,
      );
      expect(await matched).toMatch(/keys\s+mem\s+clients/);
    });

    test('--latency', async () => {
      const output = await cli('--latency', '--raw', '-i', '1');
      expect(output).toMatch(/^\d+ \d+ [\d.]+ \d+$/);
    });

    test('MONITOR shows what others do', async () => {
      const { child, matched } = watchTool(
        'redis-cli',
        ['-p', String(server.port), 'MONITOR'],
        /\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "seen" "a\\"b\\x00\\r\\n"/,
      );
      const writing = setInterval(() => void client.command('SET', 'seen', 'a"b\0\r\n'), 20);
      child.once('close', () => clearInterval(writing));
      await matched;
      clearInterval(writing);
    });

    test('inline commands over a raw socket', async () => {
      expect(await exchange(server.port, 'SET inline "a b"\r\nGET inline\r\nQUIT\r\n')).toBe(
        '+OK\r\n$3\r\na b\r\n+OK\r\n',
      );
    });
  });

  describe.skipIf(!haveTool('redis-benchmark'))('redis-benchmark', () => {
    test.each([['1'], ['16']])('-P %s: PING, SET, GET, INCR, MSET', async (pipeline) => {
      const args = [
        '-p',
        String(server.port),
        '-q',
        '-n',
        '5000',
        '-P',
        pipeline,
        '-t',
        'ping,set,get,incr,mset',
      ];
      const { code, stdout, stderr } = await runTool('redis-benchmark', args);
      expect(code).toBe(0);
      expect(stdout + stderr).not.toMatch(/error|warning/i);
      for (const name of ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'MSET']) {
        expect(stdout).toMatch(new RegExp(`${name}[^\\n]*: [\\d.]+ requests per second`));
      }
    });

    test('random keys and large values', async () => {
      const args = [
        '-p',
        String(server.port),
        '-q',
        '-n',
        '2000',
        '-r',
        '1000',
        '-d',
        '4096',
        '-t',
        'set,get',
        '-3',
      ];
      const { code, stdout } = await runTool('redis-benchmark', args);
      expect(code).toBe(0);
      expect(stdout.match(/requests per second/g)?.length).toBe(2);
    });
  });
});
