import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLogger, type Logger, type LoggerOptions } from '../../../src/base/logger.js';

function capture(options: Partial<LoggerOptions>): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const sink = { write: (text: string) => void lines.push(text) };
  return { logger: createLogger({ level: 'notice', format: 'text', file: '', sink, ...options }), lines };
}

function logEach(logger: Logger): void {
  logger.debug('d');
  logger.verbose('v');
  logger.notice('n');
  logger.warning('w');
}

describe('createLogger', () => {
  it('writes one line for people, with the fields behind the message', () => {
    const { logger, lines } = capture({});
    logger.notice('Ready', { port: 6379, path: 'a b' });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] NOTICE: Ready \{"port":6379,"path":"a b"\}\n$/,
    );
  });

  it('writes one JSON object a line', () => {
    const { logger, lines } = capture({ format: 'json' });
    logger.warning('Two\nlines', { port: 1 });
    expect(lines[0]!.endsWith('\n')).toBe(true);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'warning', msg: 'Two\nlines', port: 1 });
  });

  it('logs from its level upwards, and the level may change', () => {
    const { logger, lines } = capture({});
    const words = (): string =>
      lines
        .splice(0)
        .map((line) => /: (\w)/.exec(line.slice(26))![1])
        .join('');
    logEach(logger);
    expect(words()).toBe('nw');
    for (const [level, expected] of [
      ['debug', 'dvnw'],
      ['verbose', 'vnw'],
      ['warning', 'w'],
      ['nothing', ''],
    ] as const) {
      logger.level = level;
      expect(logger.level).toBe(level);
      logEach(logger);
      expect(words()).toBe(expected);
    }
  });

  it('keeps a message, and an error, on one line', () => {
    const { logger, lines } = capture({});
    logger.warning('forged\n[2026-01-01 00:00:00.000] NOTICE: line\u001b[31m', {
      err: new Error('outer', { cause: new Error('inner') }),
      other: new TypeError('second'),
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]!.trimEnd()).not.toMatch(/\p{Cc}/u);
    expect(lines[0]).toContain('forged\\n[2026');
    for (const part of ['outer', 'inner', 'TypeError', 'second']) expect(lines[0]).toContain(part);
  });

  it('appends to a file before it returns', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vasto-log-'));
    const file = join(folder, 'vasto.log');
    for (const message of ['first', 'second']) {
      createLogger({ level: 'notice', format: 'json', file }).notice(message);
    }
    const messages = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(messages).toEqual(['first', 'second']);
    rmSync(folder, { recursive: true });
  });

  it.runIf(existsSync('/dev/full'))('goes on when the disk is full', () => {
    const logger = createLogger({ level: 'notice', format: 'text', file: '/dev/full' });
    for (let count = 0; count < 100; count++) logger.notice('lost');
  });

  it('says when the file cannot be opened', () => {
    expect(() => createLogger({ level: 'notice', format: 'text', file: '/nonexistent/x.log' })).toThrow(
      /^can't open the log file: ENOENT/,
    );
  });
});
