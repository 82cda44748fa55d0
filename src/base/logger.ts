import { Buffer } from 'node:buffer';
import { openSync, writeSync } from 'node:fs';
import pino from 'pino';
import pinoPretty from 'pino-pretty';
import { ConfigError } from './config-text.js';
import type { Values } from './directives.js';

/** Redis's levels, from the least important; `nothing` logs nothing at all. */
export type LogLevel = Values['loglevel'];

/** Facts that go with a message. An `Error` keeps its message, code, stack and cause. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** The least important messages that are logged; may be changed at any time. */
  level: LogLevel;
  /** What only a developer wants. */
  debug(message: string, fields?: LogFields): void;
  /** What happens often and is seldom worth reading. */
  verbose(message: string, fields?: LogFields): void;
  /** What an operator wants to see in production. */
  notice(message: string, fields?: LogFields): void;
  /** What an operator should act on. */
  warning(message: string, fields?: LogFields): void;
}

/** Takes finished lines, each with its line break. */
export interface LogSink {
  write(lines: string): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `text` is for people, `json` has one object a line. */
  readonly format: Values['log-format'];
  /** Path to append to; empty is standard output. */
  readonly file: string;
  /** Instead of `file`, for tests. */
  readonly sink?: LogSink;
}

const LEVEL_NUMBERS = { debug: 10, verbose: 20, notice: 30, warning: 40 } as const;
const STANDARD_OUTPUT = 1;

/**
 * A logger that writes each line before it returns, so that the last lines before a crash are there; no thread
 * and no transport, so that it works inside one bundled executable.
 * @throws ConfigError when the log file cannot be opened
 */
export function createLogger(options: LoggerOptions): Logger {
  const sink = options.sink ?? fileSink(openLogFile(options.file));
  const logger = pino(
    {
      level: toPino(options.level),
      customLevels: LEVEL_NUMBERS,
      useOnlyCustomLevels: true,
      timestamp: options.format === 'json' ? pino.stdTimeFunctions.isoTime : pino.stdTimeFunctions.epochTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.format === 'json' ? sink : prettySink(sink),
  );
  return {
    get level() {
      return logger.level === 'silent' ? 'nothing' : (logger.level as LogLevel);
    },
    set level(level) {
      logger.level = toPino(level);
    },
    debug: (message, fields) => logger.debug(plain(fields), message),
    verbose: (message, fields) => logger.verbose(plain(fields), message),
    notice: (message, fields) => logger.notice(plain(fields), message),
    warning: (message, fields) => logger.warning(plain(fields), message),
  };
}

/** The logger that a configuration asks for. */
export function loggerFor(values: Values): Logger {
  return createLogger({ level: values.loglevel, format: values['log-format'], file: values.logfile });
}

/** Fields as JSON can say them: an `Error` has no properties of its own that JSON would show. */
function plain(fields: LogFields = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error ? pino.stdSerializers.errWithCause(value) : value,
    ]),
  );
}

function toPino(level: LogLevel): string {
  return level === 'nothing' ? 'silent' : level;
}

function openLogFile(path: string): number {
  if (path === '') return STANDARD_OUTPUT;
  try {
    return openSync(path, 'a', 0o644);
  } catch (error) {
    throw new ConfigError(`can't open the log file: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

/** How often, 1 ms apart, a line is tried again when a slow reader has filled the pipe. */
const ATTEMPTS_MAX = 50;

/**
 * Writes to a file or pipe at once. What cannot be written, because the disk is full or nobody reads, is dropped:
 * a server goes on without its log. pino's own destination ends the process instead.
 */
function fileSink(descriptor: number): LogSink {
  let isFailing = false;
  return {
    write(lines) {
      // After a failure nobody waits again until a line has passed.
      isFailing = !writeWhole(descriptor, Buffer.from(lines), isFailing ? 1 : ATTEMPTS_MAX);
    },
  };
}

/** @returns false when it failed, or when the reader took too long; then a part may have been written */
function writeWhole(descriptor: number, bytes: Buffer, attemptsMax: number): boolean {
  let written = 0;
  for (let attempts = 0; attempts < attemptsMax; ) {
    try {
      written += writeSync(descriptor, bytes, written);
      if (written >= bytes.length) return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
      attempts++;
      if (attempts < attemptsMax) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
  return false;
}

/** Turns pino's JSON lines into `2026-01-31 13:59:59.999 NOTICE: message {"port":6379}`, one line each. */
function prettySink(sink: LogSink): LogSink {
  const prettify = pinoPretty.prettyFactory({
    colorize: false,
    singleLine: true,
    // Errors stay fields like any other: their stacks would take further lines.
    errorLikeObjectKeys: [],
    errorProps: '',
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    customLevels: LEVEL_NUMBERS,
    useOnlyCustomProps: true,
    messageFormat: (log, messageKey) => escapeControls(String(log[messageKey] ?? '')),
  });
  return {
    write: (line) => sink.write(prettify(line)),
  };
}

/** A message on one line: what a client sent cannot forge a line of its own. */
function escapeControls(message: string): string {
  return message.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}
