import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/base/config.js';
import { ConfigError } from '../../../src/base/config-text.js';
import { VERSION } from '../../../src/base/version.js';
import { run } from '../../../src/cli/program.js';
import { programEnvironment } from '../../support/program-environment.js';

interface Outcome {
  code: number | undefined;
  out: string;
  err: string;
  config: Config | undefined;
}

async function vasto(argv: string[], input = ''): Promise<Outcome> {
  const outcome: Outcome = { code: undefined, out: '', err: '', config: undefined };
  const environment = programEnvironment({
    out: (text: string) => {
      outcome.out += text;
    },
    err: (text: string) => {
      outcome.err += text;
    },
    readInput: () => input,
  });
  const start = async (config: Config) => {
    outcome.config = config;
  };
  outcome.code = await run(argv, environment, { server: start });
  return outcome;
}

describe('vasto', () => {
  it.each([[[]], [['--help']], [['-h']]])('prints help for %j', async (argv) => {
    const { code, out, config } = await vasto(argv);
    expect([code, config]).toEqual([0, undefined]);
    expect(out).toContain('Usage: vasto');
    expect(out).toContain('server ');
    for (const there of ['shell', 'admin', 'bench']) expect(out).toMatch(new RegExp(`^ +${there} `, 'm'));
    for (const later of ['master', 'store', 'gateway']) {
      expect(out).not.toMatch(new RegExp(`^ +${later} `, 'm'));
    }
  });

  it('prints its version', async () => {
    expect(await vasto(['--version'])).toMatchObject({ code: 0, out: `${VERSION}\n` });
  });

  it.each([
    [['serve'], "unknown command 'serve'"],
    [['--port', '1'], "unknown option '--port'"],
  ])('refuses %j', async (argv, message) => {
    const { code, out, err } = await vasto(argv);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(new RegExp(`^vasto: ${message}`));
  });
});

describe('vasto server', () => {
  it('starts with the defaults', async () => {
    const { code, config, out, err } = await vasto(['server']);
    expect([code, out, err]).toEqual([undefined, '', '']);
    expect(config?.values.port).toBe(6379);
    expect(config?.file).toBeUndefined();
  });

  it('takes a file and flags as redis-server does', async () => {
    const words = [
      '--port',
      '7000',
      '--bind',
      '127.0.0.1',
      '-::1',
      '--save',
      '',
      '--slowlog-log-slower-than',
      '-1',
    ];
    const { config } = await vasto(['server', 'conf/vasto.conf', ...words]);
    expect(config?.file).toMatch(/\/conf\/vasto\.conf$/);
    expect(config?.values).toMatchObject({
      port: 7000,
      bind: ['127.0.0.1', '-::1'],
      save: [],
      'slowlog-log-slower-than': -1,
    });
  });

  it.each([[['server', '-', '--hz', '30']], [['server', '--hz', '30', '-']]])(
    'reads standard input for %j',
    async (argv) => {
      const { config } = await vasto(argv, 'port 7001\nhz 20\n');
      expect(config?.values).toMatchObject({ port: 7001, hz: 30 });
    },
  );

  it.each([
    [['server', '--prt', '1'], "vasto: command line: unknown directive 'prt'; did you mean 'port'?\n"],
    [
      ['server', '--port', 'x'],
      "vasto: command line: port x: argument couldn't be parsed into an integer (allowed: an integer from 0 to 65535)\n",
    ],
    [
      ['server', '--port'],
      'vasto: command line: port: wrong number of arguments (allowed: an integer from 0 to 65535)\n',
    ],
    [
      ['server', '-p', '1'],
      "vasto: command line: '-p' is not a directive; directives are written '--name value'\n",
    ],
  ])('refuses %j', async (argv, err) => {
    expect(await vasto(argv)).toEqual({ code: 1, out: '', err, config: undefined });
  });

  it('prints its own help', async () => {
    const { code, out, config } = await vasto(['server', '--help']);
    expect([code, config]).toEqual([0, undefined]);
    expect(out).toContain('vasto server [file] [--name value ...]');
    expect(out).toContain('conf/vasto.conf');
  });

  it('reports a configuration that the start refuses, and passes on any other failure', async () => {
    const silent = programEnvironment();
    const failWith = (error: Error) => run(['server'], silent, { server: () => Promise.reject(error) });
    expect(await failWith(new ConfigError('no'))).toBe(1);
    await expect(failWith(new Error('port in use'))).rejects.toThrow('port in use');
  });
});
