import type { KeySpecification } from './definition.js';

/**
 * Reads the notation of a definition's `syntax` into the arguments that COMMAND DOCS tells of:
 *
 *   key             a value: its type follows from its name, and from where the keys of the command are
 *   NX              a word to be written as it is
 *   EX seconds      a word and the values that belong to it: all up to the next word or bracket
 *   [ … ]           may be left out
 *   ( … )           holds together
 *   … | …           one of these
 *   key [key ...]   once or more often; also `[key ...]` for never or more often, and `(…) ...`
 */

export type ArgumentType =
  | 'key'
  | 'string'
  | 'integer'
  | 'double'
  | 'pattern'
  | 'unix-time'
  | 'pure-token'
  | 'oneof'
  | 'block';

export interface SyntaxArgument {
  readonly name: string;
  readonly type: ArgumentType;
  /** The word before it; of a `pure-token`, the whole of it. */
  readonly token?: string;
  /** Which of the command's key specifications finds it. */
  readonly keySpecification?: number;
  readonly optional: boolean;
  readonly multiple: boolean;
  /** Whether each repetition begins with the token again. */
  readonly multipleToken: boolean;
  /** Of `oneof` its alternatives, of `block` its parts. */
  readonly parts: readonly SyntaxArgument[];
}

/** What is known of a command whose syntax is read. */
export interface SyntaxOwner {
  /** Full name: the words of a subcommand come behind both of its names. */
  readonly name: string;
  readonly syntax: string;
  readonly keys: readonly KeySpecification[];
}

/** @throws Error if the syntax is not well-formed: definitions are fixed, and a test reads them all */
export function parseSyntax(owner: SyntaxOwner): SyntaxArgument[] {
  const words = owner.syntax.match(/\.\.\.|[[\]()|]|[^\s[\]()|]+/g) ?? [];
  if (words.length === 0) return [];
  const reader = new Reader(words, owner);
  const choice = reader.choice();
  reader.expectEnd();
  const converted = new Converter(owner).choice(choice, true);
  return converted;
}

// ------------------------------------------------------------------ notation to tree

type Node =
  | { readonly kind: 'word'; readonly word: string; readonly repeated: boolean }
  | { readonly kind: 'bracket' | 'group'; readonly choice: Choice; readonly repeated: boolean };
type Sequence = readonly Node[];
type Choice = readonly Sequence[];

/** Reads words into nodes. `...` marks what it repeats: a whole bracket from within it, else the node before it. */
class Reader {
  private at = 0;

  constructor(
    private readonly words: readonly string[],
    private readonly owner: SyntaxOwner,
  ) {}

  choice(): Choice {
    const sequences: Node[][] = [[]];
    for (;;) {
      const word = this.words[this.at];
      if (word === undefined || word === ']' || word === ')') break;
      this.at++;
      const sequence = sequences[sequences.length - 1]!;
      if (word === '|') sequences.push([]);
      else if (word === '...') this.repeatLast(sequence);
      else sequence.push(this.node(word));
    }
    if (sequences.some((sequence) => sequence.length === 0)) this.fail();
    return sequences;
  }

  expectEnd(): void {
    if (this.at !== this.words.length) this.fail();
  }

  private node(word: string): Node {
    if (word !== '[' && word !== '(') return { kind: 'word', word, repeated: false };
    const closing = word === '[' ? ']' : ')';
    const choice = this.choice();
    if (this.words[this.at++] !== closing) this.fail();
    const repeatsWhole = closing === ']' && this.words[this.at - 2] === '...';
    if (!repeatsWhole) return { kind: closing === ']' ? 'bracket' : 'group', choice, repeated: false };
    return { kind: 'bracket', choice: withoutLastRepetition(choice), repeated: true };
  }

  private repeatLast(sequence: Node[]): void {
    const last = sequence.pop();
    if (last === undefined) this.fail();
    sequence.push({ ...last, repeated: true });
  }

  private fail(): never {
    throw new Error(`malformed syntax of ${this.owner.name}: ${this.owner.syntax}`);
  }
}

/** Of a bracket that ends with `...`, which was taken to be of its last node. */
function withoutLastRepetition(choice: Choice): Choice {
  const last = choice[choice.length - 1]!;
  const node = last[last.length - 1]!;
  return [...choice.slice(0, -1), [...last.slice(0, -1), { ...node, repeated: false }]];
}

// ------------------------------------------------------------------ tree to arguments

const PLAIN = { optional: false, multiple: false, multipleToken: false, parts: [] } as const;

/** Words in capitals, and signs, stand for themselves. */
function isToken(node: Node | undefined): node is Node & { kind: 'word' } {
  return node?.kind === 'word' && !/[a-z]/.test(node.word);
}

class Converter {
  /** Index of the argument that comes next, as long as all before it are always there; then undefined. */
  private position: number | undefined;

  constructor(private readonly owner: SyntaxOwner) {
    this.position = owner.name.includes('|') ? 2 : 1;
  }

  /** @param spread whether a single alternative may be several arguments */
  choice(choice: Choice, spread: boolean): SyntaxArgument[] {
    if (choice.length === 1) {
      const parts = this.sequence(choice[0]!);
      return spread || parts.length === 1 ? parts : [block(parts)];
    }
    const start = this.position;
    const parts = choice.map((sequence) => {
      this.position = undefined;
      return oneOf(this.sequence(sequence));
    });
    const isOneWord = parts.every(({ type }) => type === 'pure-token');
    this.position = start !== undefined && isOneWord ? start + 1 : undefined;
    return [{ ...PLAIN, name: joinedName(parts), type: 'oneof', parts }];
  }

  private sequence(sequence: Sequence): SyntaxArgument[] {
    const found: SyntaxArgument[] = [];
    for (let at = 0; at < sequence.length; ) {
      const node = sequence[at]!;
      const repetition = lengthOfRepetition(sequence, at);
      if (repetition > 0) {
        found.push(this.repeated(sequence.slice(at, at + repetition)));
        at += repetition + 1;
      } else if (isToken(node)) {
        const values = valuesBehind(sequence, at + 1);
        found.push(this.withToken(node, sequence.slice(at + 1, at + 1 + values)));
        at += 1 + values;
      } else {
        found.push(this.single(node));
        at++;
      }
    }
    return found;
  }

  private repeated(sequence: Sequence): SyntaxArgument {
    const argument = oneOf(this.sequence(sequence));
    this.position = undefined;
    return { ...argument, multiple: true, multipleToken: argument.token !== undefined };
  }

  private withToken(node: Node & { kind: 'word' }, values: Sequence): SyntaxArgument {
    const { word, repeated } = node;
    if (this.position !== undefined) this.position++;
    if (values.length === 0)
      return { ...PLAIN, name: word.toLowerCase(), type: 'pure-token', token: word, multiple: repeated };
    return { ...oneOf(this.sequence(values)), token: word };
  }

  private single(node: Node): SyntaxArgument {
    if (node.kind === 'word') {
      const argument = this.value(node.word);
      if (node.repeated) this.position = undefined;
      return { ...argument, multiple: node.repeated };
    }
    const optional = node.kind === 'bracket';
    if (optional && !node.repeated) {
      const [argument] = this.choice(node.choice, false);
      this.position = undefined;
      return { ...argument!, optional: true };
    }
    const [argument] = this.choice(node.choice, false);
    if (!node.repeated) return argument!;
    this.position = undefined;
    const multipleToken = argument!.token !== undefined;
    return { ...argument!, optional, multiple: true, multipleToken };
  }

  private value(name: string): SyntaxArgument {
    const at = this.position;
    if (this.position !== undefined) this.position++;
    const keySpecification = at === undefined ? -1 : this.owner.keys.findIndex((keys) => coversKey(keys, at));
    if (keySpecification >= 0) return { ...PLAIN, name, type: 'key', keySpecification };
    return { ...PLAIN, name, type: TYPES_BY_COMMAND[this.owner.name]?.[name] ?? typeOfName(name) };
  }
}

function coversKey({ first, last, step, keyword }: KeySpecification, at: number): boolean {
  return keyword === undefined && at >= first && (last < 0 || at <= last) && (at - first) % step === 0;
}

/** How many nodes from `at` on the node behind them repeats, as in `key value [key value ...]`; 0 when none does. */
function lengthOfRepetition(sequence: Sequence, at: number): number {
  for (let end = at + 1; end < sequence.length; end++) {
    const node = sequence[end]!;
    if (node.kind !== 'bracket' || !node.repeated || node.choice.length !== 1) continue;
    const [inner] = node.choice;
    if (JSON.stringify(inner) === JSON.stringify(sequence.slice(at, end))) return end - at;
  }
  return 0;
}

/** How many nodes belong to a token before them. */
function valuesBehind(sequence: Sequence, from: number): number {
  let end = from;
  while (end < sequence.length) {
    const node = sequence[end]!;
    const endsRepetition =
      node.kind === 'bracket' && lengthOfRepetition(sequence, end - 1) === 1 && end > from;
    if (isToken(node) || (node.kind === 'bracket' && !endsRepetition)) break;
    end++;
  }
  return end - from;
}

function oneOf(parts: readonly SyntaxArgument[]): SyntaxArgument {
  return parts.length === 1 ? parts[0]! : block(parts);
}

function block(parts: readonly SyntaxArgument[]): SyntaxArgument {
  return { ...PLAIN, name: joinedName(parts), type: 'block', parts };
}

const NAME_LENGTH_MAX = 64;

function joinedName(parts: readonly SyntaxArgument[]): string {
  const name = parts.map((part) => part.name).join('_');
  return name.length <= NAME_LENGTH_MAX ? name : (parts[0]?.name ?? '');
}

/** Names of values that are whole numbers wherever they occur. */
const INTEGER_NAMES = new Set(
  (
    'seconds milliseconds offset start end count cursor ttl db destination-db index index1 index2 increment ' +
    'decrement timeout numreplicas protover client-id min-match-len bit port frequency size len limit version ' +
    'length microseconds nanoseconds samples delay'
  ).split(' '),
);

/** Names of values that are numbers with a fraction wherever they occur. */
const DOUBLE_NAMES = new Set([
  'number',
  'score',
  'weight',
  'longitude',
  'latitude',
  'radius',
  'width',
  'height',
]);

function typeOfName(name: string): ArgumentType {
  if (name.startsWith('unix-time')) return 'unix-time';
  if (name === 'pattern') return 'pattern';
  if (DOUBLE_NAMES.has(name)) return 'double';
  return INTEGER_NAMES.has(name) ? 'integer' : 'string';
}

/** Where a name means something else than it does elsewhere. */
const TYPES_BY_COMMAND: Readonly<Record<string, Readonly<Record<string, ArgumentType>>>> = {
  incrbyfloat: { increment: 'double' },
  setbit: { value: 'integer' },
  bitfield: { value: 'integer' },
  bzpopmin: { timeout: 'double' },
  bzpopmax: { timeout: 'double' },
  bzmpop: { timeout: 'double' },
  blpop: { timeout: 'double' },
  brpop: { timeout: 'double' },
  blmove: { timeout: 'double' },
  brpoplpush: { timeout: 'double' },
  blmpop: { timeout: 'double' },
};
