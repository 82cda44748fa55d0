import { Buffer } from 'node:buffer';
import { join } from 'node:path';
import { REPLY_STRING_BYTES_MAX } from '../base/limits.js';
import { ManagerError } from '../cluster/manager.js';
import { EXIT } from './admin.js';
import { Refusal } from './admin-actions.js';
import type { ClusterClient } from './cluster-client.js';
import type { CommandDocs } from './command-docs.js';
import { AddressError, endpointText, parseEndpoint } from './endpoint.js';
import type { ProgramEnvironment } from './environment.js';
import type { OpenCluster } from './open-cluster.js';
import type { Reply } from './reply.js';
import { formatForPeople, formatForPrograms, formatText } from './reply-text.js';
import { type ConnectionChoice, ConnectionError } from './resp-connection.js';
import { ShellHistory } from './shell-history.js';
import { type Outcome, ShellRunner } from './shell-runner.js';
import { ShellSession } from './shell-session.js';
import { ShellTerminal } from './shell-terminal.js';
import { printable, printableLines } from './tables.js';
import { masterChoice, SERVER_PORT, serverChoice, type TargetFlags } from './target.js';

export interface ShellFlags extends TargetFlags {
  readonly db?: string;
  readonly resp2?: boolean;
  readonly raw?: boolean;
  readonly history?: string;
}

/** What a shell of any kind is made from. */
interface Setting {
  readonly environment: ProgramEnvironment;
  readonly flags: ShellFlags;
  readonly choice: ConnectionChoice;
  readonly name: string;
  /** The cluster as it is to be reached by this login. */
  readonly cluster: (login: () => ConnectionChoice) => Promise<ClusterClient>;
}

/** @returns the exit code */
export async function runShell(
  environment: ProgramEnvironment,
  open: OpenCluster,
  flags: ShellFlags,
  words: readonly string[],
): Promise<number> {
  try {
    const setting = await settle(environment, open, flags);
    if (words.length > 0) return await runWords(setting, words);
    const { stdin, stdout } = environment;
    return stdin.isTTY && stdout.isTTY ? await converse(setting) : await runPipe(setting);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    environment.err(`vasto shell: ${printableLines(error.message)}\n`);
    if (error instanceof AddressError) return EXIT.usage;
    if (error instanceof ConnectionError) return EXIT.unreachable;
    if (error instanceof Refusal) return EXIT.failed;
    if (!(error instanceof ManagerError)) throw error;
    return error.code === 'UNAVAILABLE' ? EXIT.unreachable : EXIT.failed;
  }
}

async function settle(
  environment: ProgramEnvironment,
  open: OpenCluster,
  flags: ShellFlags,
): Promise<Setting> {
  const { variables } = environment;
  const masterText = flags.master ?? (flags.server === undefined ? variables.VASTO_MASTER : undefined);
  const master = masterText ? masterChoice(masterText, flags, variables) : undefined;
  const openMaster = () => (master === undefined ? undefined : open({ kind: 'master', master }));
  const serverText = flags.server ?? variables.VASTO_SERVER ?? (await storeOf(openMaster())) ?? '';
  const endpoint = parseEndpoint(serverText || `127.0.0.1:${SERVER_PORT}`, SERVER_PORT);
  const name = endpointText(endpoint);
  return {
    environment,
    flags,
    name,
    choice: serverChoice(endpoint, flags, variables, flags.resp2 === true ? 2 : 3),
    // VASTO commands are read as RESP3 has them, whatever the person wants to see.
    cluster: (login) => openMaster() ?? open({ kind: 'server', name, server: { ...login(), protocol: 3 } }),
  };
}

/**
 * The address of a store of the cluster that is up, whichever: through each one all keys are reached.
 * @returns undefined where no cluster is named
 */
async function storeOf(opening: Promise<ClusterClient> | undefined): Promise<string | undefined> {
  const cluster = await opening;
  if (cluster === undefined) return undefined;
  try {
    const store = (await cluster.stores()).find(({ state }) => state === 'up');
    if (store === undefined) throw new ManagerError('IMPOSSIBLE', 'no store of this cluster is up');
    return store.address;
  } finally {
    cluster.close();
  }
}

function formatter({ environment, flags }: Setting): (reply: Reply, isText?: boolean) => Buffer {
  const isRaw = flags.raw ?? environment.stdout.isTTY !== true;
  const format = isRaw ? formatForPrograms : formatForPeople;
  return (reply, isText = false) => (isText ? formatText(reply) : format(reply));
}

function exitCode(outcome: Outcome): number {
  return outcome === 'unreachable' ? EXIT.unreachable : outcome === 'failed' ? EXIT.failed : EXIT.ok;
}

/** A session that nobody watches, and what carries out its lines. */
async function startBatch(setting: Setting): Promise<{ session: ShellSession; runner: ShellRunner }> {
  const { environment, flags } = setting;
  const { stdout, err } = environment;
  const format = formatter(setting);
  const print = (reply: Reply, isText?: boolean) => void stdout.write(format(reply, isText));
  const session: ShellSession = new ShellSession({
    choice: setting.choice,
    name: setting.name,
    openCluster: () => setting.cluster(() => session.login),
    print,
    notice: (text) => err(`${text}\n`),
    reconnects: false,
  });
  session.where = flags.db ?? '0';
  await session.connect();
  const runner = new ShellRunner({
    session,
    print,
    out: (text) => void stdout.write(text),
    err,
    errIsTerminal: environment.errIsTerminal,
    ask: undefined,
    events: { isOn: false },
  });
  return { session, runner };
}

async function runWords(setting: Setting, words: readonly string[]): Promise<number> {
  const { session, runner } = await startBatch(setting);
  try {
    return exitCode(await runner.words(words.map((word) => Buffer.from(word))));
  } finally {
    session.close();
  }
}

async function runPipe(setting: Setting): Promise<number> {
  const { session, runner } = await startBatch(setting);
  let code: number = EXIT.ok;
  try {
    for await (const line of linesOf(setting.environment.stdin)) {
      const outcome = await runner.line(line);
      if (outcome === 'quit') break;
      if (outcome !== 'ok') code = exitCode(outcome);
      // What follows may need what could not be done.
      if (outcome === 'unreachable') break;
    }
    return code;
  } finally {
    session.close();
  }
}

const LF = 10;

/** Lines as bytes, since words may be any; the last one needs no end. */
export async function* linesOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    let rest = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    for (let end = rest.indexOf(LF); end >= 0; end = rest.indexOf(LF)) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]);
      parts = [];
      bytes = 0;
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
    bytes += rest.length;
    if (bytes > REPLY_STRING_BYTES_MAX) throw new ConnectionError('a line of the input is too long');
  }
  if (bytes > 0) yield Buffer.concat(parts);
}

function promptOf(session: ShellSession, name: string): string {
  if (!session.isConnected) return 'not connected> ';
  const where = session.where === '0' ? '' : `[${printable(session.where)}]`;
  return `${name}${where}${session.isInTransaction ? '(TX)' : ''}> `;
}

/** A person at a terminal. */
async function converse(setting: Setting): Promise<number> {
  const { environment, flags, name } = setting;
  const { stdout } = environment;
  const format = formatter(setting);
  let terminal: ShellTerminal | undefined;
  const show = (data: string | Buffer) => {
    if (terminal === undefined) stdout.write(data);
    else terminal.print(data);
  };
  const print = (reply: Reply, isText?: boolean) => show(format(reply, isText));
  // How far something has come may stand where it is written.
  const notice = (text: string) => show(`\r\x1b[K${printableLines(text)}\n`);
  const session: ShellSession = new ShellSession({
    choice: setting.choice,
    name,
    openCluster: () => setting.cluster(() => session.login),
    print,
    notice,
    connected: () => terminal?.refresh(),
    reconnects: true,
  });
  session.where = flags.db ?? '0';
  await session.connect().catch((error: unknown) => {
    if (!(error instanceof Refusal)) throw error;
    notice(error.message);
  });
  const events = { isOn: true };
  const known = new Known(session);
  const runner = new ShellRunner({
    session,
    print,
    out: show,
    err: show,
    errIsTerminal: true,
    ask: (question) => terminal!.ask(question),
    events,
  });
  terminal = new ShellTerminal({
    input: environment.stdin,
    output: stdout,
    history: new ShellHistory(historyPath(setting), notice),
    prompt: () => promptOf(session, name),
    completable: () => known,
    onLine: async (line) => (await runner.line(line)) === 'quit',
    onInterrupt: () => runner.interrupt(),
  });
  const stopWatching = await watch(session, events, notice, known);
  try {
    await terminal.run();
    return EXIT.ok;
  } finally {
    stopWatching();
    session.close();
  }
}

function historyPath({ environment: { variables, home }, flags }: Setting): string {
  return flags.history ?? variables.VASTO_HISTORY ?? (home ? join(home, '.vasto_history') : '');
}

/** What completion knows; it looks for what it lacks when it is asked. */
class Known {
  keyspaces: readonly string[] = [];
  stores: readonly string[] = [];
  private loaded: readonly CommandDocs[] = [];
  private isLoading = false;

  constructor(private readonly session: ShellSession) {
    this.load();
  }

  get docs(): readonly CommandDocs[] {
    this.load();
    return this.loaded;
  }

  private load(): void {
    if (this.isLoading || this.loaded.length > 0) return;
    this.isLoading = true;
    this.session
      .docs()
      .then(
        (docs) => {
          this.loaded = docs;
        },
        () => {
          // Completion does without, and asks again; `help` says why there is none.
        },
      )
      .finally(() => {
        this.isLoading = false;
      });
  }
}

/** How long a cluster may be silent before that is told, milliseconds. */
const DOUBT_MS = 1500;

async function watch(
  session: ShellSession,
  events: { readonly isOn: boolean },
  notice: (text: string) => void,
  known: Known,
): Promise<() => void> {
  let isWatched = true;
  let doubt: NodeJS.Timeout | undefined;
  const cluster = await session.cluster();
  const stop = cluster.watch({
    topology: ({ keyspaces, stores }) => {
      known.keyspaces = keyspaces.map(({ name }) => name);
      known.stores = stores.map(({ address }) => address);
    },
    event: (text, atMs) => {
      if (events.isOn) notice(`* ${new Date(atMs).toLocaleTimeString('en-GB')} ${text}`);
    },
    connected: (isConnected) => {
      clearTimeout(doubt);
      if (isConnected && !isWatched) {
        isWatched = true;
        if (events.isOn) notice('* the cluster is watched again');
      } else if (!isConnected)
        // What is back at once need not be told, nor that the server itself is lost.
        doubt = setTimeout(() => {
          if (!session.isConnected || !events.isOn) return;
          isWatched = false;
          notice('* the cluster cannot be watched at present');
        }, DOUBT_MS);
    },
  });
  return () => {
    clearTimeout(doubt);
    stop();
  };
}
