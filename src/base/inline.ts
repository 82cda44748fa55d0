import { Buffer } from 'node:buffer';

/** A command typed as a line of text; the arguments are consecutive views of `frames`. */
export interface InlineCommand {
  readonly args: Buffer[];
  readonly frames: Buffer;
}

const BELL = 7;
const BACKSPACE = 8;
const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const LETTER_X = 120;

/**
 * Splits a line into words as redis-cli's and Redis's inline commands are split: blanks separate, double quotes
 * hold escapes (`\n \r \t \b \a \xHH`, any other character stands for itself), single quotes hold only `\'`.
 * A NUL is a character like any other; Redis would wait for ever on a line that has one.
 *
 * @param line without its line end
 * @returns undefined when a quote is not closed, or is followed by something other than a blank
 */
export function splitInline(line: Buffer): InlineCommand | undefined {
  // Unquoting never lengthens, so the line's length is room enough. Not from Buffer's pool: views are kept.
  const frames = Buffer.allocUnsafeSlow(line.length);
  const args: Buffer[] = [];
  let written = 0;
  let at = skipBlanks(line, 0);
  while (at < line.length) {
    const start = written;
    for (; at < line.length && !endsWord(line[at]!); ) {
      const character = line[at++]!;
      if (character !== DOUBLE_QUOTE && character !== SINGLE_QUOTE) {
        frames[written++] = character;
        continue;
      }
      const quoted = unquote(line, at, character, frames, written);
      if (quoted === undefined) return undefined;
      at = quoted.end;
      written = quoted.written;
      // What closes a quote closes the word.
      break;
    }
    args.push(frames.subarray(start, written));
    at = skipBlanks(line, at);
  }
  return { args, frames: frames.subarray(0, written) };
}

/**
 * Copies what stands between quotes.
 * @param at the first character after the opening quote
 * @returns where to go on in the line and in `target`; undefined when the quotes are unbalanced
 */
function unquote(
  line: Buffer,
  at: number,
  quote: number,
  target: Buffer,
  written: number,
): { end: number; written: number } | undefined {
  while (at < line.length) {
    const character = line[at]!;
    if (character === quote) {
      const next = line[at + 1];
      return next === undefined || isBlank(next) ? { end: at + 1, written } : undefined;
    }
    const escaped = character === BACKSLASH ? line[at + 1] : undefined;
    if (escaped === undefined || (quote === SINGLE_QUOTE && escaped !== SINGLE_QUOTE)) {
      target[written++] = character;
      at++;
      continue;
    }
    const high = escaped === LETTER_X && quote === DOUBLE_QUOTE ? hexDigit(line[at + 2]) : -1;
    const low = high < 0 ? -1 : hexDigit(line[at + 3]);
    target[written++] = low < 0 ? escapedByte(escaped) : high * 16 + low;
    at += low < 0 ? 2 : 4;
  }
  return undefined;
}

/** The byte that backslash and a letter stand for. */
function escapedByte(letter: number): number {
  switch (letter) {
    case 110:
      return LF;
    case 114:
      return CR;
    case 116:
      return TAB;
    case 98:
      return BACKSPACE;
    case 97:
      return BELL;
    default:
      return letter;
  }
}

/** The value of a hexadecimal digit, -1 for anything else. */
function hexDigit(character: number | undefined): number {
  if (character === undefined) return -1;
  if (character >= 48 && character <= 57) return character - 48;
  const lower = character | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function skipBlanks(line: Buffer, at: number): number {
  while (at < line.length && isBlank(line[at]!)) at++;
  return at;
}

/** C's `isspace`. */
function isBlank(character: number): boolean {
  return character === SPACE || (character >= TAB && character <= CR);
}

/** Fewer than the blanks: a vertical tab or form feed inside a word belongs to it, as in Redis. */
function endsWord(character: number): boolean {
  return character === SPACE || character === TAB || character === LF || character === CR;
}
