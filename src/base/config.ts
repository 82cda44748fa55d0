import {
  chmodSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  ConfigError,
  type IncludeReader,
  type Line,
  linesOfFlags,
  linesOfText,
  nearestName,
  quoteWord,
  wordsOfFileLine,
} from './config-text.js';
import { Invalid } from './config-values.js';
import {
  DIRECTIVE_BY_NAME,
  DIRECTIVE_NAMES,
  type DirectiveName,
  defaultValues,
  directiveOf,
  type Values,
} from './directives.js';
import { globMatches } from './glob.js';

/** Where a configuration comes from; later ones win over earlier ones. */
export interface ConfigSources {
  /** Path of the configuration file; CONFIG REWRITE writes to it. */
  readonly file?: string | undefined;
  /** More text in the syntax of the file, such as standard input. */
  readonly text?: string | undefined;
  /** Command-line words: `--port 7000 --save ""`. */
  readonly flags?: readonly string[] | undefined;
}

/**
 * Carries out a change that CONFIG SET made. A text in return is a reason to refuse it: then the whole command
 * is undone, and listeners that had accepted are called once more with the two values exchanged.
 */
export type ChangeListener<T> = (value: T, previous: T) => string | undefined;

type MutableValues = Record<DirectiveName, unknown>;

/** Stands in CONFIG GET for a value that nobody is told. */
const CONCEALED = '(hidden)';
const REWRITE_HEADING = '# Written by CONFIG REWRITE';

/**
 * The configuration: values with types, and what CONFIG GET, SET and REWRITE do with them.
 * All text is Unicode; callers with bytes from a client decode them as UTF-8.
 */
export class Config {
  /** The values in force. The object stays the same: it may be kept, and shows changes. */
  readonly values: Values;
  /** Absolute path of the configuration file; undefined without one. */
  readonly file: string | undefined;
  private readonly listeners = new Map<DirectiveName, ChangeListener<unknown>[]>();

  private constructor(values: Values, file: string | undefined) {
    this.values = values;
    this.file = file;
  }

  /**
   * Reads the sources, and the files they include.
   * @throws ConfigError with a message for people: where, which directive, what is wrong, what is allowed
   */
  static load(sources: ConfigSources = {}): Config {
    const file = sources.file === undefined ? undefined : resolve(sources.file);
    const values = defaultValues();
    const lines: Line[] = [];
    if (file !== undefined) lines.push(...linesOfText(readConfigFile(file), file, DISK));
    if (sources.text !== undefined) lines.push(...linesOfText(sources.text, 'standard input', DISK));
    lines.push(...linesOfFlags(sources.flags ?? [], DISK));
    applyLines(lines, values);
    refuseTogether(values);
    return new Config(values, file);
  }

  /**
   * CONFIG GET: directives that match any of the patterns, in any case, each once. A pattern without wildcards
   * is a name, and comes back as it was written.
   */
  get(patterns: readonly string[]): [name: string, value: string][] {
    const found = new Map<string, [string, string]>();
    for (const pattern of patterns) {
      const lower = pattern.toLowerCase();
      const isGlob = /[[*?]/.test(pattern);
      const names = isGlob
        ? [...DIRECTIVE_BY_NAME.keys()].filter((name) => globMatches(lower, name))
        : [lower];
      for (const name of names) {
        const directive = DIRECTIVE_BY_NAME.get(name);
        if (directive === undefined || found.has(name)) continue;
        found.set(name, [isGlob ? name : pattern, shownValue(this.values, directive)]);
      }
    }
    return [...found.values()];
  }

  /**
   * CONFIG SET: all of the pairs, or none of them.
   * @returns undefined when done, otherwise the error reply's text
   */
  set(pairs: readonly (readonly [name: string, value: string])[]): string | undefined {
    const names = findSettable(pairs);
    if (typeof names === 'string') return names;
    const values = this.values as MutableValues;
    const previous = { ...values };
    for (const [index, [written, text]] of pairs.entries()) {
      const reason = setWords(this.values, names[index]!, wordsOfSetting(names[index]!, text));
      if (reason === undefined) continue;
      Object.assign(values, previous);
      return setFailed(written, reason.text);
    }
    const refused = this.notify(names, previous);
    if (refused === undefined) return undefined;
    const written = pairs[names.indexOf(refused.name)]![0];
    return setFailed(written, refused.reason);
  }

  /** Has `listener` carry out changes of one directive that CONFIG SET makes. */
  onChange<Name extends DirectiveName>(name: Name, listener: ChangeListener<Values[Name]>): void {
    const listeners = this.listeners.get(name) ?? [];
    listeners.push(listener as ChangeListener<unknown>);
    this.listeners.set(name, listeners);
  }

  /**
   * Has the files that directives name read again, as CONFIG SET of their values would.
   * @returns undefined when done, otherwise which directive's file could not be used and why; then all is as before
   */
  reread(): string | undefined {
    const names = DIRECTIVE_NAMES.filter((name) => directiveOf(name).rereads);
    const refused = this.notify(names, { ...(this.values as MutableValues) });
    return refused === undefined ? undefined : `${refused.name}: ${refused.reason}`;
  }

  /**
   * CONFIG REWRITE: brings the file it was started with up to date. Lines that still say what is in force stay
   * as they are, others are replaced where they stand, and what the file does not mention goes to its end.
   * The file is replaced at once, so a crash leaves the old or the new one.
   * @returns undefined when done, otherwise the error reply's text
   */
  rewrite(): string | undefined {
    if (this.file === undefined) return 'ERR The server is running without a config file';
    try {
      const text = readIfPresent(this.file);
      const rewritten = rewriteText(text, this.file, this.values);
      if (rewritten !== text) replaceFile(this.file, rewritten);
      return undefined;
    } catch (error) {
      return `ERR Rewriting config file: ${reasonOf(error)}`;
    }
  }

  /** Calls the listeners of what changed; on a refusal everything is as before. */
  private notify(
    names: readonly DirectiveName[],
    previous: Readonly<MutableValues>,
  ): { name: DirectiveName; reason: string } | undefined {
    const values = this.values as MutableValues;
    const accepted: { name: DirectiveName; listener: ChangeListener<unknown> }[] = [];
    for (const name of new Set(names)) {
      const isSame = formatValue(this.values, name) === formatValue(previous as Values, name);
      if (isSame && !directiveOf(name).rereads) continue;
      for (const listener of this.listeners.get(name) ?? []) {
        const reason = listener(values[name], previous[name]);
        if (reason === undefined) {
          accepted.push({ name, listener });
          continue;
        }
        const changed = { ...values };
        Object.assign(values, previous);
        for (const undo of accepted.reverse()) undo.listener(previous[undo.name], changed[undo.name]);
        return { name, reason };
      }
    }
    return undefined;
  }
}

function setFailed(written: string, reason: string): string {
  return `ERR CONFIG SET failed (possibly related to argument '${written}') - ${reason}`;
}

/** The directives that the pairs name, or the error text of the first that cannot be set. */
function findSettable(pairs: readonly (readonly [string, string])[]): DirectiveName[] | string {
  const names: DirectiveName[] = [];
  const seen = new Set<string>();
  for (const [written] of pairs) {
    const known = written.toLowerCase();
    const name = DIRECTIVE_BY_NAME.get(known);
    if (name === undefined) return `ERR Unknown option or number of arguments for CONFIG SET - '${written}'`;
    if (directiveOf(name).immutable) return setFailed(written, "can't set immutable config");
    if (seen.has(known)) return setFailed(written, 'duplicate parameter');
    seen.add(known);
    names.push(name);
  }
  return names;
}

/** CONFIG SET's one argument as words; two spaces have an empty word between them, as in Redis. */
function wordsOfSetting(name: DirectiveName, text: string): string[] {
  return directiveOf(name).kind.splits ? text.split(' ') : [text];
}

/** Why a value was not taken; `isRefusal` when it is well-formed but cannot be served. */
interface Reason {
  readonly text: string;
  readonly isRefusal: boolean;
}

/**
 * Gives a directive the value that `words` say.
 * @param addsUp whether an earlier line of the same sources gave the directive a value
 */
function setWords(
  values: Values,
  name: DirectiveName,
  words: readonly string[],
  addsUp = false,
): Reason | undefined {
  const { kind, refuse } = directiveOf(name);
  const current: unknown = values[name];
  const value = kind.parse(words, current);
  if (value instanceof Invalid) return { text: value.reason, isRefusal: false };
  const refusal = refuse?.(value);
  if (refusal !== undefined) return { text: refusal, isRefusal: true };
  (values as MutableValues)[name] = addsUp && kind.combine ? kind.combine(current, value) : value;
  return undefined;
}

/** Gives `values` what the lines say, in order. */
function applyLines(lines: readonly Line[], values: Values): void {
  const seen = new Set<DirectiveName>();
  for (const { where, words } of lines) {
    const written = words[0]!;
    const name = DIRECTIVE_BY_NAME.get(written.toLowerCase());
    if (name === undefined) throw new ConfigError(`${where}: ${unknownDirective(written)}`);
    const reason = setWords(values, name, words.slice(1), seen.has(name));
    seen.add(name);
    if (reason === undefined) continue;
    const shown = directiveOf(name).secret ? [written, '(hidden)'] : words.map(quoteWord);
    const setting = shown.join(' ');
    const allowed = reason.isRefusal ? '' : ` (allowed: ${directiveOf(name).kind.allowed})`;
    throw new ConfigError(`${where}: ${setting}: ${reason.text}${allowed}`);
  }
}

/** Refuses values that are right each by itself but not together. */
function refuseTogether(values: Values): void {
  if (values['cluster-enabled'] && values['cluster-port'].length === 0)
    throw new ConfigError(
      'cluster-enabled yes: which port is to speak the Redis Cluster protocol? Add cluster-port PORT [KEYSPACE]; ' +
        'the directive port stays that of clients without cluster support',
    );
}

function unknownDirective(written: string): string {
  const [name, ...rest] = written.split('=');
  if (rest.length > 0 && DIRECTIVE_BY_NAME.has(name!.toLowerCase())) {
    return `unknown directive '${name}=…'; write the value as a word of its own: '${name} ${rest.join('=')}'`;
  }
  const nearest = nearestName(written, DIRECTIVE_BY_NAME.keys());
  return `unknown directive '${written}'${nearest === undefined ? '' : `; did you mean '${nearest}'?`}`;
}

function formatValue(values: Values, name: DirectiveName): string {
  return directiveOf(name).kind.format(values[name]);
}

/** What CONFIG GET tells of a value. */
function shownValue(values: Values, name: DirectiveName): string {
  const value = formatValue(values, name);
  return directiveOf(name).concealed && value !== '' ? CONCEALED : value;
}

/** The text of a file that says `values`, made from the text it has. */
function rewriteText(text: string, file: string, values: Values): string {
  const stale = staleDirectives(text, file, values);
  const replaced = new Set<DirectiveName>();
  const kept: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const written = wordsOfFileLine(line, `${file}, line ${index + 1}`)[0]?.toLowerCase();
    const name = written === undefined ? undefined : DIRECTIVE_BY_NAME.get(written);
    if (name === undefined || !stale.includes(name)) kept.push(line);
    else if (!replaced.has(name)) {
      replaced.add(name);
      kept.push(...linesSaying(values, name));
    }
  }
  const inPlace = kept.join('\n');
  // What the file never said, or what a file that it includes says otherwise.
  const missing = staleDirectives(inPlace, file, values);
  if (missing.length === 0) return inPlace;
  const ending = inPlace === '' || inPlace.endsWith('\n') ? '' : '\n';
  const heading = inPlace.includes(REWRITE_HEADING) ? [] : ['', REWRITE_HEADING];
  const appended = missing.flatMap((name) => {
    const forget = directiveOf(name).kind.combine ? [`${name} ""`] : [];
    return [...forget, ...linesSaying(values, name)];
  });
  return `${inPlace}${ending}${[...heading, ...appended, ''].join('\n')}`;
}

/** The directives of which a file with this text would not give the value in force. */
function staleDirectives(text: string, file: string, values: Values): DirectiveName[] {
  const said = defaultValues();
  applyLines(linesOfText(text, file, DISK), said);
  return DIRECTIVE_NAMES.filter((name) => formatValue(said, name) !== formatValue(values, name));
}

function linesSaying(values: Values, name: DirectiveName): string[] {
  const lines = directiveOf(name).kind.lines(values[name]);
  return lines.map((words) => [name, ...words.map(quoteWord)].join(' '));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function readConfigFile(path: string, where?: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const place = where === undefined ? '' : `${where}: `;
    throw new ConfigError(`${place}can't read configuration file '${path}': ${reasonOf(error)}`);
  }
}

function readIfPresent(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** Includes from disk. The last part of a path may be a pattern; then it names any number of files, sorted. */
const DISK: IncludeReader = {
  read(path, where) {
    const pattern = basename(path);
    if (!/[[*?]/.test(pattern)) return [{ path, text: readConfigFile(path, where) }];
    const folder = dirname(path);
    return namesIn(folder, where)
      .filter((name) => globMatches(pattern, name) && (pattern.startsWith('.') || !name.startsWith('.')))
      .sort()
      .map((name) => join(folder, name))
      .map((found) => ({ path: found, text: readConfigFile(found, where) }));
  },
};

function namesIn(folder: string, where: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw new ConfigError(`${where}: can't list '${folder}': ${reasonOf(error)}`);
  }
}

/** Puts `text` in the place of a file, links followed, mode kept: a crash in between leaves the old one. */
function replaceFile(path: string, text: string): void {
  const before = statSync(path, { throwIfNoEntry: false });
  const target = before === undefined ? path : realpathSync(path);
  const temporary = `${target}.${process.pid}.rewrite`;
  try {
    // Closed to others until it is complete: it may hold a password.
    writeFileSync(temporary, text, { mode: 0o600, flush: true });
    chmodSync(temporary, before === undefined ? 0o644 : before.mode & 0o777);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

const AUTOMATIC_MEMORY_BYTES_MAX = 2 * 1024 ** 3;

/** Bytes that caches and memtables may take together: `maxmemory`, or what 0 stands for on this machine. */
export function memoryBudgetBytes(values: Values, machineBytes: number): number {
  if (values.maxmemory > 0) return values.maxmemory;
  return Math.min(Math.floor(machineBytes / 4), AUTOMATIC_MEMORY_BYTES_MAX);
}

/** Worker threads to start: `workers`, or what 0 stands for on a machine of so many cores. */
export function workerCount(values: Values, cores: number): number {
  return values.workers > 0 ? values.workers : Math.max(1, cores - 1);
}
