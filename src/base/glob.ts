/**
 * Redis's glob patterns (the rules of `stringmatchlen` in its util.c), compiled once and matched against many texts:
 * `*` any run of bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` a class, `\x` the byte x itself.
 * Pattern and texts are latin1: one character a byte.
 *
 * The matcher is iterative and goes back to the last `*` only, which is enough since an earlier star could only
 * give the later ones less text to choose from. So the time is at most pattern length × text length, however
 * many stars there are; the recursive matcher it replaces is exponential without special care.
 *
 * Corners kept as Redis 7.0 has them on x86:
 * - a class without `]` ends with the pattern; a class may be empty (`[]` nothing, `[^]` any byte);
 * - a range takes the byte behind `-` even if it is `]`, its ends in any order, and compares bytes as signed;
 * - a backslash that ends the pattern is a literal one;
 * - an empty text matches only the empty pattern and `*` itself, not `**`.
 */
export interface Glob {
  /** The literal bytes before the first wildcard, unescaped: every match begins with them. */
  readonly prefix: string;
  /** Whether there is no wildcard at all: then {@link prefix} is the only text that matches. */
  readonly isLiteral: boolean;
  matches(text: string): boolean;
}

/**
 * A parsed pattern. A step is a byte to equal, one of the two wildcards, or `FIRST_CLASS − n` for the n-th class.
 * Classes are bit sets, {@link CLASS_WORDS} words each, in one list: a long pattern may have very many.
 */
interface Steps {
  readonly list: number[];
  readonly classes: number[];
}
const ANY_BYTE = -1;
const ANY_RUN = -2;
const FIRST_CLASS = -3;
const CLASS_WORDS = 8;

const BACKSLASH = 92;
const CARET = 94;
const CLASS_OPEN = 91;
const CLASS_CLOSE = 93;
const HYPHEN = 45;
const QUESTION_MARK = 63;
const STAR = 42;

export function compileGlob(pattern: string): Glob {
  const steps = parseSteps(pattern);
  const { list } = steps;
  const prefix = leadingLiterals(list);
  const isLiteral = prefix.length === list.length;
  if (isLiteral) return { prefix, isLiteral, matches: (text) => text === prefix };
  if (pattern === '*') return { prefix, isLiteral, matches: () => true };
  if (prefix.length > 0 && prefix.length === list.length - 1 && list.at(-1) === ANY_RUN)
    return { prefix, isLiteral, matches: (text) => text.startsWith(prefix) };
  return { prefix, isLiteral, matches: (text) => text.length > 0 && matchSteps(steps, text) };
}

/** Whether a text matches a pattern; for many texts, {@link compileGlob} once. */
export function globMatches(pattern: string, text: string): boolean {
  return compileGlob(pattern).matches(text);
}

/** The literal bytes with which every match of the pattern begins. */
export function literalPrefix(pattern: string): string {
  return compileGlob(pattern).prefix;
}

function leadingLiterals(list: readonly number[]): string {
  let text = '';
  for (const step of list) {
    if (step < 0) break;
    text += String.fromCharCode(step);
  }
  return text;
}

function parseSteps(pattern: string): Steps {
  const list: number[] = [];
  const classes: number[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const code = pattern.charCodeAt(at);
    if (code === STAR) {
      if (list.at(-1) !== ANY_RUN) list.push(ANY_RUN);
    } else if (code === QUESTION_MARK) list.push(ANY_BYTE);
    else if (code === CLASS_OPEN) {
      const members = new Int32Array(CLASS_WORDS);
      at = parseClass(pattern, at + 1, members);
      list.push(FIRST_CLASS - classes.length / CLASS_WORDS);
      classes.push(...members);
    } else if (code === BACKSLASH && at + 1 < pattern.length) list.push(pattern.charCodeAt(++at));
    else list.push(code);
  }
  return { list, classes };
}

/**
 * Fills in the members of the class whose inside begins at `start`.
 * @returns the index of the `]` that ends it, or the pattern's length
 */
function parseClass(pattern: string, start: number, members: Int32Array): number {
  let at = start;
  const negated = pattern.charCodeAt(at) === CARET;
  if (negated) at++;
  while (at < pattern.length) {
    const code = pattern.charCodeAt(at);
    if (code === BACKSLASH && at + 1 < pattern.length) {
      addMember(members, pattern.charCodeAt(at + 1));
      at += 2;
    } else if (code === CLASS_CLOSE) break;
    else if (pattern.charCodeAt(at + 1) === HYPHEN && at + 2 < pattern.length) {
      addRange(members, code, pattern.charCodeAt(at + 2));
      at += 3;
    } else {
      addMember(members, code);
      at++;
    }
  }
  if (negated) for (let word = 0; word < CLASS_WORDS; word++) members[word] = ~members[word]!;
  return at;
}

function addMember(members: Int32Array, byte: number): void {
  members[byte >> 5]! |= 1 << (byte & 31);
}

/** Adds the bytes from one end to the other in the order of C's signed char: 128 … 255, 0 … 127. */
function addRange(members: Int32Array, one: number, other: number): void {
  const signed = (byte: number) => (byte < 128 ? byte : byte - 256);
  const low = Math.min(signed(one), signed(other));
  const high = Math.max(signed(one), signed(other));
  for (let value = low; value <= high; value++) addMember(members, value & 255);
}

function matchSteps({ list, classes }: Steps, text: string): boolean {
  let step = 0;
  let at = 0;
  /** Where to resume when a byte does not match: the step behind the last star, and the text it is tried on. */
  let resumeStep = -1;
  let resumeAt = 0;
  while (at < text.length) {
    const current = list[step];
    if (current === ANY_RUN) {
      resumeStep = ++step;
      resumeAt = at;
      if (step === list.length) return true;
    } else if (current !== undefined && accepts(current, classes, text.charCodeAt(at))) {
      step++;
      at++;
    } else {
      if (resumeStep < 0) return false;
      step = resumeStep;
      at = ++resumeAt;
    }
  }
  if (list[step] === ANY_RUN) step++;
  return step === list.length;
}

function accepts(step: number, classes: readonly number[], code: number): boolean {
  if (step > FIRST_CLASS) return step === code || step === ANY_BYTE;
  const word = classes[(FIRST_CLASS - step) * CLASS_WORDS + (code >> 5)]!;
  return (word & (1 << (code & 31))) !== 0;
}
