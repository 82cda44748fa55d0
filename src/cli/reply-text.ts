import { Buffer } from 'node:buffer';
import type { AggregateType, Reply } from './reply.js';

/*
 * Replies as redis-cli 7.0 prints them. Text is kept as latin1, one character a byte, until it is written: keys and
 * values may be any bytes.
 */

const NEWLINE = '\n';

/** What stands between number and item: redis-cli tells by it what kind of aggregate it is. */
const SEPARATORS: Readonly<Record<AggregateType, string>> = {
  array: ')',
  push: ')',
  set: '~',
  map: '#',
  attribute: '#',
};

const EMPTY: Readonly<Record<AggregateType, string>> = {
  array: '(empty array)',
  push: '(empty push)',
  set: '(empty set)',
  map: '(empty hash)',
  attribute: '(empty hash)',
};

/** For people: types shown, strings quoted, items numbered and indented. With a line end. */
export function formatForPeople(reply: Reply): Buffer {
  return Buffer.from(peopleText(reply, ''), 'latin1');
}

/** For programs: strings as they are, an item a line. With a line end; errors with two, as redis-cli has them. */
export function formatForPrograms(reply: Reply): Buffer {
  return Buffer.from(rawText(reply) + NEWLINE, 'latin1');
}

/** Commands whose reply is a text of many lines, which redis-cli prints as it is. */
const TEXT_COMMANDS = new Set([
  'info',
  'lolwut',
  'memory doctor',
  'memory malloc-stats',
  'cluster nodes',
  'cluster info',
  'client list',
  'client info',
  'latency doctor',
  'latency graph',
]);

/** Whether the reply to a command is a text of many lines. */
export function repliesText(words: readonly (Buffer | string)[]): boolean {
  const [first = '', second = ''] = words.slice(0, 2).map((word) => String(word).toLowerCase());
  return TEXT_COMMANDS.has(first) || TEXT_COMMANDS.has(`${first} ${second}`);
}

/** A text as it is, with a line end if it has none. */
export function formatText(reply: Reply): Buffer {
  const text = rawText(reply);
  return Buffer.from(text.endsWith(NEWLINE) ? text : text + NEWLINE, 'latin1');
}

function bytesText(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function peopleText(reply: Reply, indent: string): string {
  switch (reply.type) {
    case 'error':
      return `(error) ${bytesText(reply.text)}\n`;
    case 'simple':
      return `${bytesText(reply.text)}\n`;
    case 'integer':
      return `(integer) ${reply.value}\n`;
    case 'double':
      return `(double) ${reply.text}\n`;
    case 'bignum':
      return `(big number) ${reply.text}\n`;
    case 'bulk':
      return `${quoteBytes(reply.data)}\n`;
    case 'verbatim':
      return `${reply.data.toString('latin1')}\n`;
    case 'null':
      return '(nil)\n';
    case 'boolean':
      return reply.value ? '(true)\n' : '(false)\n';
    default:
      return aggregateText(reply.type, reply.items, indent);
  }
}

function aggregateText(type: AggregateType, items: readonly Reply[], indent: string): string {
  if (items.length === 0) return `${EMPTY[type]}\n`;
  const isMap = type === 'map' || type === 'attribute';
  const count = isMap ? items.length / 2 : items.length;
  const width = String(count).length;
  const inner = indent + ' '.repeat(width + 2);
  const lines: string[] = [];
  for (let number = 1; number <= count; number++) {
    const head = `${number === 1 ? '' : indent}${String(number).padStart(width)}${SEPARATORS[type]} `;
    if (isMap) {
      const key = peopleText(items[2 * number - 2]!, inner).slice(0, -1);
      const value = peopleText(items[2 * number - 1]!, inner);
      // What is shown in several lines begins in one of its own.
      const lineBreak = value.indexOf('\n') < value.length - 1 ? `\n${inner}` : '';
      lines.push(`${head}${key} => ${lineBreak}${value}`);
    } else lines.push(head + peopleText(items[number - 1]!, inner));
  }
  return lines.join('');
}

function rawText(reply: Reply): string {
  switch (reply.type) {
    case 'error':
      return `${bytesText(reply.text)}\n`;
    case 'simple':
      return bytesText(reply.text);
    case 'integer':
      return String(reply.value);
    case 'double':
    case 'bignum':
      return reply.text;
    case 'bulk':
    case 'verbatim':
      return reply.data.toString('latin1');
    case 'null':
      return '';
    case 'boolean':
      return reply.value ? '(true)' : '(false)';
    default:
      return rawItems(reply.type, reply.items.map(rawText));
  }
}

function rawItems(type: AggregateType, items: readonly string[]): string {
  if (type !== 'map' && type !== 'attribute') return items.join(NEWLINE);
  const lines: string[] = [];
  for (let index = 0; index < items.length; index += 2) lines.push(`${items[index]} ${items[index + 1]}`);
  return lines.join(NEWLINE);
}

const ESCAPES: Readonly<Record<number, string>> = {
  7: '\\a',
  8: '\\b',
  9: '\\t',
  10: '\\n',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** Bytes in double quotes, in the notation that the shell and redis-cli read back as the same bytes. */
export function quoteBytes(data: Buffer): string {
  let text = '"';
  for (const byte of data) {
    const known = ESCAPES[byte];
    if (known !== undefined) text += known;
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${text}"`;
}
