import { Buffer } from 'node:buffer';

/** A configuration that cannot be used; the message is complete, for people. */
export class ConfigError extends Error {
  readonly code = 'CONFIG';
  override name = 'ConfigError';
}

/** One directive as it was written: where, and its words with quotes taken away. */
export interface Line {
  /** `vasto.conf, line 3` or `command line` */
  readonly where: string;
  readonly words: readonly string[];
}

/** Files that include files that include files: no more than this deep, so that a circle ends. */
const INCLUDE_DEPTH_MAX = 16;

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['b', '\b'],
  ['a', '\x07'],
]);

/** What separates words; not `\s`, which has U+00A0 too and so would cut characters of several bytes. */
const SPACE = /[ \t\n\v\f\r]/;

/**
 * The words of one line, by Redis's rules: in `"…"` the escapes `\n \r \t \b \a \xHH` and `\` before any other
 * character; in `'…'` only `\'`; a closing quote ends its word.
 * @returns undefined when a quote is not closed, or a closing quote is not followed by a space
 */
export function splitWords(line: string): string[] | undefined {
  // Bytes rather than characters, because \xHH is a byte and several may make up one character.
  const bytes = Buffer.from(line, 'utf8').toString('latin1');
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (at < bytes.length && SPACE.test(bytes[at]!)) at++;
    if (at >= bytes.length) return words;
    const word = readWord(bytes, at);
    if (word === undefined) return undefined;
    words.push(Buffer.from(word.text, 'latin1').toString('utf8'));
    at = word.end;
  }
}

interface Word {
  readonly text: string;
  /** Index of what follows. */
  readonly end: number;
}

/** The word that begins at `start`; undefined when its quotes do not match. */
function readWord(bytes: string, start: number): Word | undefined {
  let text = '';
  let at = start;
  while (at < bytes.length && !SPACE.test(bytes[at]!)) {
    const character = bytes[at]!;
    if (character !== '"' && character !== "'") {
      text += character;
      at++;
      continue;
    }
    const quoted = character === '"' ? readDoubleQuoted(bytes, at + 1) : readSingleQuoted(bytes, at + 1);
    if (quoted === undefined || (quoted.end < bytes.length && !SPACE.test(bytes[quoted.end]!))) {
      return undefined;
    }
    return { text: text + quoted.text, end: quoted.end };
  }
  return { text, end: at };
}

function readDoubleQuoted(bytes: string, start: number): Word | undefined {
  let text = '';
  let at = start;
  while (at < bytes.length) {
    const character = bytes[at]!;
    if (character === '"') return { text, end: at + 1 };
    if (character !== '\\' || at + 1 >= bytes.length) {
      text += character;
      at++;
      continue;
    }
    const hex = /^x([0-9a-fA-F]{2})/.exec(bytes.slice(at + 1, at + 4));
    if (hex) {
      text += String.fromCharCode(Number.parseInt(hex[1]!, 16));
      at += 4;
    } else {
      const escaped = bytes[at + 1]!;
      text += ESCAPES.get(escaped) ?? escaped;
      at += 2;
    }
  }
  return undefined;
}

function readSingleQuoted(bytes: string, start: number): Word | undefined {
  let text = '';
  let at = start;
  while (at < bytes.length) {
    if (bytes.startsWith("\\'", at)) {
      text += "'";
      at += 2;
    } else if (bytes[at] === "'") return { text, end: at + 1 };
    else text += bytes[at++];
  }
  return undefined;
}

/** `word` as {@link splitWords} reads it back; quoted only where it must be. */
export function quoteWord(word: string): string {
  if (/^[^\s"'\\#\p{Cc}]+$/u.test(word)) return word;
  const escaped = word.replace(/["\\]|\p{Cc}/gu, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;
    return [...Buffer.from(character, 'utf8')].map(hex).join('');
  });
  return `"${escaped}"`;
}

/** The words of one line of a file; none for an empty line or a comment. */
export function wordsOfFileLine(line: string, where: string): string[] {
  if (/^[ \t\n\v\f\r]*(#|$)/.test(line)) return [];
  const words = splitWords(line);
  // The line itself stays out of the message: it may hold a password.
  if (words === undefined) throw new ConfigError(`${where}: a quote is not closed, or has no space after it`);
  return words;
}

/** Finds the files that an `include` names. */
export interface IncludeReader {
  /** @returns path and text of each file, in order; throws {@link ConfigError} when one cannot be read */
  read(path: string, where: string): readonly { path: string; text: string }[];
}

/** The directives of a file's text, with those of the files it includes in their place. */
export function linesOfText(text: string, source: string, includes: IncludeReader, depth = 0): Line[] {
  const lines: Line[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const where = `${source}, line ${index + 1}`;
    const words = wordsOfFileLine(line, where);
    if (words.length === 0) continue;
    if (words[0]!.toLowerCase() !== 'include') {
      lines.push({ where, words });
      continue;
    }
    if (words.length !== 2) throw new ConfigError(`${where}: include takes one path`);
    if (depth === INCLUDE_DEPTH_MAX) {
      throw new ConfigError(`${where}: files include each other more than ${INCLUDE_DEPTH_MAX} deep`);
    }
    for (const file of includes.read(words[1]!, where)) {
      lines.push(...linesOfText(file.text, file.path, includes, depth + 1));
    }
  }
  return lines;
}

/**
 * The directives of command-line flags, as redis-server takes them: `--name` and then its words, up to the next
 * word with `--`. The first word after a name is always its value, so that a value may begin with `--`;
 * only `--save` may stand without one, which means `--save ""`.
 */
export function linesOfFlags(flags: readonly string[], includes: IncludeReader): Line[] {
  const where = 'command line';
  const lines: string[][] = [];
  for (const word of flags) {
    const last = lines.at(-1);
    const needsValue = last !== undefined && last.length === 1 && last[0]!.toLowerCase() !== 'save';
    if (word === '--' && !needsValue) throw new ConfigError(`${where}: '--' names no directive`);
    if (word.startsWith('--') && !needsValue) lines.push([word.slice(2)]);
    else if (last !== undefined) last.push(word);
    else
      throw new ConfigError(`${where}: '${word}' is not a directive; directives are written '--name value'`);
  }
  return lines.flatMap((words): Line[] => {
    const name = words[0]!.toLowerCase();
    if (name === 'save' && words.length === 1) return [{ where, words: [...words, ''] }];
    if (name !== 'include') return [{ where, words }];
    if (words.length !== 2) throw new ConfigError(`${where}: include takes one path`);
    return includes.read(words[1]!, where).flatMap((file) => linesOfText(file.text, file.path, includes, 1));
  });
}

/** The known name nearest to a mistyped one; undefined when none is near. */
export function nearestName(mistyped: string, names: Iterable<string>): string | undefined {
  const word = mistyped.slice(0, 64).toLowerCase();
  let nearest: string | undefined;
  let distanceMin = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(word, name);
    if (distance < distanceMin) {
      distanceMin = distance;
      nearest = name;
    }
  }
  return nearest;
}

/** Letters to insert, remove or replace to make one word of the other. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[right.length]!;
}
