import { type Command, InvalidArgumentError, Option } from 'commander';
import { MASTER_PORT } from '../cluster/manager.js';
import { AddressError, type Endpoint, endpointText, parseEndpoint } from './endpoint.js';
import type { ConnectionChoice, TlsChoice } from './resp-connection.js';

export const SERVER_PORT = 6379;

/** Environment variables that say what flags may say, for scripts and for what must not be seen in a list of processes. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** What flags of admin and shell say about whom to talk to. */
export interface TargetFlags {
  readonly master?: string;
  readonly server?: string;
  readonly user?: string;
  readonly password?: string;
  readonly tls?: boolean;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecure?: boolean;
  readonly secretFile?: string;
  readonly timeout?: number;
}

/** How to reach masters over gRPC. */
export interface MasterChoice {
  /** As host:port. */
  readonly addresses: readonly string[];
  readonly tls: TlsChoice | undefined;
  readonly secret: string | undefined;
  readonly secretFile: string | undefined;
  /** For what stores themselves are asked, where they have passwords and no secret to know nodes by. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly timeoutMs: number;
}

export type Target =
  | { readonly kind: 'master'; readonly master: MasterChoice }
  | { readonly kind: 'server'; readonly server: ConnectionChoice; readonly name: string };

const TIMEOUT_SECONDS = 5;

/** Adds the flags that {@link TargetFlags} holds. */
export function addTargetOptions(command: Command): Command {
  return command
    .option('--master <host:port>', `masters, several separated by commas (VASTO_MASTER)`)
    .option('--server <host:port>', 'a server instead; for Unix sockets its path (VASTO_SERVER)')
    .option('--user <name>', 'user name for --server')
    .option('--password <text>', 'password for --server (VASTO_PASSWORD)')
    .option('--secret-file <file>', 'file with the secret of the cluster (VASTO_CLUSTER_SECRET)')
    .option('--tls', 'speak TLS')
    .option('--cacert <file>', 'certificates of the authorities to trust')
    .option('--cert <file>', 'certificate to show')
    .option('--key <file>', 'private key of --cert')
    .option('--insecure', 'with --server: take any certificate')
    .addOption(
      new Option('--timeout <seconds>', `for being reached (default: ${TIMEOUT_SECONDS})`).argParser(seconds),
    );
}

export function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > 86_400)
    throw new InvalidArgumentError('It must be a number of seconds.');
  return value;
}

export function timeoutMsOf({ timeout }: Pick<TargetFlags, 'timeout'>): number {
  return Math.round((timeout ?? TIMEOUT_SECONDS) * 1000);
}

function tlsOf({ tls, cacert, cert, key, insecure }: TargetFlags): TlsChoice | undefined {
  return tls === true ? { cacert, cert, key, insecure: insecure === true } : undefined;
}

/** @throws AddressError */
export function masterChoice(text: string, flags: TargetFlags, variables: Variables): MasterChoice {
  const addresses = text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => endpointText(parseEndpoint(word, MASTER_PORT, false)));
  if (addresses.length === 0) throw new AddressError(text, 'host:port');
  return {
    addresses,
    tls: tlsOf(flags),
    secret: variables.VASTO_CLUSTER_SECRET,
    secretFile: flags.secretFile,
    user: flags.user,
    password: flags.password ?? variables.VASTO_PASSWORD,
    timeoutMs: timeoutMsOf(flags),
  };
}

/** @throws AddressError */
export function serverChoice(
  endpoint: Endpoint,
  flags: TargetFlags,
  variables: Variables,
  protocol: 2 | 3 = 3,
): ConnectionChoice {
  return {
    endpoint,
    user: flags.user,
    password: flags.password ?? variables.VASTO_PASSWORD,
    tls: tlsOf(flags),
    protocol,
    timeoutMs: timeoutMsOf(flags),
  };
}

/** Whom admin talks to: a flag before a variable, a master before a server. @throws AddressError */
export function adminTarget(flags: TargetFlags, variables: Variables): Target {
  const fromVariables = flags.master === undefined && flags.server === undefined ? variables : {};
  const master = flags.master ?? fromVariables.VASTO_MASTER;
  const server = flags.server ?? (master === undefined ? fromVariables.VASTO_SERVER : undefined);
  if (server === undefined || server === '')
    return { kind: 'master', master: masterChoice(master || `127.0.0.1:${MASTER_PORT}`, flags, variables) };
  const endpoint = parseEndpoint(server, SERVER_PORT);
  return { kind: 'server', server: serverChoice(endpoint, flags, variables), name: endpointText(endpoint) };
}
