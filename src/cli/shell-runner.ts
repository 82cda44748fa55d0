import { Buffer } from 'node:buffer';
import { splitInline } from '../base/inline.js';
import { ManagerError } from '../cluster/manager.js';
import {
  type AdminContext,
  compact,
  create,
  describe,
  list,
  Refusal,
  remove,
  stores,
  topology,
} from './admin-actions.js';
import { change, tasks } from './admin-changes.js';
import { backup } from './backup/backup.js';
import { restore } from './backup/restore.js';
import { docsText, findDocs } from './command-docs.js';
import { RequestError } from './keyspace-words.js';
import { itemsOf, type Reply } from './reply.js';
import { quoteBytes } from './reply-text.js';
import { ConnectionError } from './resp-connection.js';
import type { ShellSession } from './shell-session.js';
import { pageKeys, parseShellWord, SHELL_WORDS, type ShellWord, wordHelp } from './shell-words.js';
import { printableLines, table } from './tables.js';

export interface RunnerOptions {
  readonly session: ShellSession;
  readonly print: (reply: Reply) => void;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly errIsTerminal: boolean;
  readonly ask: AdminContext['ask'];
  readonly events: { isOn: boolean };
}

/** How a line ended. */
export type Outcome = 'ok' | 'failed' | 'unreachable' | 'quit';

/** Carries out what is typed, whoever types it. */
export class ShellRunner {
  private interruption = new AbortController();

  constructor(private readonly options: RunnerOptions) {}

  line(line: Buffer): Promise<Outcome> {
    const words = splitInline(line)?.args;
    if (words === undefined) {
      this.options.err('Invalid argument(s): a quote is not closed, or something stands right behind one\n');
      return Promise.resolve('failed');
    }
    return words.length === 0 ? Promise.resolve('ok') : this.words(words);
  }

  async words(words: readonly Buffer[]): Promise<Outcome> {
    this.interruption = new AbortController();
    const { signal } = this.interruption;
    const interrupted = new Promise<Outcome>((resolve) => {
      signal.addEventListener('abort', () => resolve('failed'), { once: true });
    });
    return Promise.race([this.attempt(words, signal), interrupted]);
  }

  /** Ctrl-C while something is under way. */
  interrupt(): void {
    this.interruption.abort();
    this.options.session.interrupt();
  }

  private async attempt(words: readonly Buffer[], signal: AbortSignal): Promise<Outcome> {
    try {
      const word = parseShellWord(words.map(String));
      if (word === undefined) {
        const isOk = await this.options.session.run(asServers(words));
        return isOk ? 'ok' : 'failed';
      }
      return await this.word(word, words, signal);
    } catch (error) {
      // That something was given up need not be told, but what has become of it.
      return signal.aborted && !(error instanceof Refusal) ? 'failed' : this.failed(error as Error);
    }
  }

  private failed(error: Error): Outcome {
    const isUnreachable =
      error instanceof ConnectionError || (error instanceof ManagerError && error.code === 'UNAVAILABLE');
    const isExpected =
      isUnreachable ||
      error instanceof ManagerError ||
      error instanceof Refusal ||
      error instanceof RequestError;
    if (!isExpected) throw error;
    this.options.err(`${printableLines(error.message)}\n`);
    return isUnreachable ? 'unreachable' : 'failed';
  }

  private async word(word: ShellWord, words: readonly Buffer[], signal: AbortSignal): Promise<Outcome> {
    const { session, out, events } = this.options;
    switch (word.kind) {
      case 'quit':
        return 'quit';
      case 'clear':
        out('\x1b[H\x1b[2J');
        return 'ok';
      case 'help':
        return this.help(word.words);
      case 'events':
        events.isOn = word.isOn ?? events.isOn;
        out(`events are ${events.isOn ? 'on' : 'off'}\n`);
        return 'ok';
      case 'use':
        return (await session.run([Buffer.from('SELECT'), words[1]!])) ? 'ok' : 'failed';
      case 'prefix':
        return this.listKeys(words[1]!, word.limit, signal);
      case 'dump':
        return this.listKeys(Buffer.alloc(0), Number.POSITIVE_INFINITY, signal);
      default:
        await this.operate(word, signal);
        return 'ok';
    }
  }

  private async operate(word: ShellWord, stop: AbortSignal): Promise<void> {
    const { session, out, err, errIsTerminal, ask } = this.options;
    const cluster = await session.cluster();
    const context: AdminContext = { cluster, isJson: false, out, err, errIsTerminal, ask, stop };
    switch (word.kind) {
      case 'keyspaces':
        return list(context);
      case 'stores':
        return stores(context);
      case 'topology':
        return topology(context);
      case 'describe':
        return describe(context, word.name);
      case 'compact':
        return compact(context, word.name);
      case 'backup':
        return backup(context, word.name, word.directory, { replaces: false, bytesPerSecond: undefined });
      case 'restore':
        return restore(context, word.directory, word.name, AS_SAVED);
      case 'delete':
        return remove(context, word.name, word.isSure);
      case 'create':
        return create(context, word.request);
      case 'change':
        return change(context, word.request, word.isWaiting);
      case 'tasks':
        return tasks(context);
      default:
        throw new Error(`no action for ${word.kind}`);
    }
  }

  private async help(words: readonly string[]): Promise<Outcome> {
    const { session, out, err } = this.options;
    if (words.length === 0) {
      out(generalHelp());
      return 'ok';
    }
    const word = words[0]!.toLowerCase();
    const own = wordHelp(word);
    if (own !== undefined) {
      out(`\n  ${own.usage}\n  summary: ${own.summary}\n\n`);
      if (own.isCommandToo !== true) return 'ok';
    }
    const docs = await session.docs();
    if (word.startsWith('@')) {
      const group = docs.filter((each) => word === '@all' || each.group === word.slice(1));
      out(
        group.map(({ name, syntax, summary }) => `\n  ${name} ${syntax}\n  summary: ${summary}\n`).join(''),
      );
      if (group.length === 0) err(`no group of commands is called '${word.slice(1)}': ${groupsText(docs)}\n`);
      return group.length === 0 ? 'failed' : 'ok';
    }
    const found = findDocs(docs, words);
    if (found === undefined) err(`no command is called '${words.join(' ')}'\n`);
    else out(docsText(found));
    return found === undefined ? 'failed' : 'ok';
  }

  /** Prints the keys with a prefix and their values, page by page. */
  private async listKeys(prefix: Buffer, limit: number, signal: AbortSignal): Promise<Outcome> {
    const { session, print, out } = this.options;
    if (session.isInTransaction) throw new RequestError('not within MULTI: its commands are only queued');
    let listed = 0;
    let after: Buffer | undefined;
    while (listed < limit && !signal.aborted) {
      const page = pageKeys(limit, listed);
      const position = after === undefined ? [] : ['AFTER', after];
      const options = ['LIMIT', String(page), 'VALUES'];
      const reply = await session.command(['VASTO.PREFIX', prefix, ...position, ...options]);
      if (signal.aborted) break;
      if (reply === undefined || reply.type === 'error') {
        if (reply !== undefined) print(reply);
        return 'failed';
      }
      const rows = rowsOf(reply);
      if (rows.length > 0) out(table(listed === 0 ? ['KEY', 'VALUE'] : ['', ''], rows).replace(/^\n/, ''));
      listed += rows.length;
      const items = itemsOf(reply);
      const last = items[items.length - 2];
      if (rows.length < page || last?.type !== 'bulk') {
        if (listed === 0) out('(no keys)\n');
        return 'ok';
      }
      after = last.data;
    }
    if (!signal.aborted) out(`(the first ${limit}: there may be more)\n`);
    return 'ok';
  }
}

/** Other shards, copies and rates are for `vasto admin restore`. */
const AS_SAVED = { merges: false, renews: false, bytesPerSecond: undefined };

const NOT_TEXT = '(not a string: TYPE tells what it is)';

function rowsOf(reply: Reply): string[][] {
  const items = itemsOf(reply);
  const rows: string[][] = [];
  for (let index = 0; index + 1 < items.length; index += 2)
    rows.push([shown(items[index]!), shown(items[index + 1]!)]);
  return rows;
}

function shown(reply: Reply): string {
  return reply.type === 'bulk' ? quoteBytes(reply.data) : NOT_TEXT;
}

/** `put` is the word that Vasto's shell always had for SET. */
function asServers(words: readonly Buffer[]): readonly Buffer[] {
  return words[0]!.toString().toLowerCase() === 'put' ? [Buffer.from('SET'), ...words.slice(1)] : words;
}

function groupsText(docs: readonly { readonly group: string }[]): string {
  return [...new Set(docs.map(({ group }) => group))].sort().join(', ');
}

function generalHelp(): string {
  const rows = Object.values(SHELL_WORDS).map(({ usage, summary }) => [usage, summary]);
  return [
    'Any command of the server, with words quoted as in redis-cli, and these:\n',
    table(['WORD', 'WHAT IT DOES'], rows),
    'Tab completes commands and keyspaces. Ctrl-C gives up a command, Ctrl-D leaves.\n',
  ].join('\n');
}
