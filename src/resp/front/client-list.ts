import type { Connection } from '../connection.js';
import { Attention, type Session } from '../session.js';

/** What only the connection that asks is measured for: its own command, which runs. */
interface Running {
  readonly connection: Connection;
  readonly argumentBytes: number;
}

/** The line of CLIENT LIST for a connection, in the format of Redis 7.2. */
export function clientLine(connection: Connection, running: Running, nowMs: number): string {
  const { session } = connection;
  const argumentBytes = connection === running.connection ? running.argumentBytes : 0;
  const queuedBytes = (session.queued ?? []).reduce((sum, { args }) => sum + byteLength(args), 0);
  const bufferBytes = connection.writer.written().buffer.byteLength;
  const inputBytes = connection.pendingInputBytes;
  const outputBytes = connection.queuedOutputBytes;
  const fields = {
    id: session.id,
    addr: connection.address,
    laddr: connection.localAddress,
    fd: fileDescriptor(connection),
    name: session.name,
    age: Math.floor((nowMs - session.createdAtMs) / 1000),
    idle: Math.max(0, Math.floor((nowMs - session.lastCommandAtMs) / 1000)),
    flags: flagsOf(connection),
    // Tools read a number here.
    db: session.db ?? (session.door === '' ? -1 : 0),
    ...(session.db === undefined ? { keyspace: session.selection } : {}),
    sub: 0,
    psub: 0,
    ssub: 0,
    multi: session.queued?.length ?? -1,
    qbuf: inputBytes,
    'qbuf-free': 0,
    'argv-mem': argumentBytes,
    'multi-mem': queuedBytes,
    rbs: bufferBytes,
    rbp: bufferBytes,
    obl: connection.writer.position,
    oll: outputBytes > 0 ? 1 : 0,
    omem: outputBytes,
    'tot-mem': inputBytes + argumentBytes + queuedBytes + bufferBytes + outputBytes,
    events: `${connection.socket.isPaused() ? '' : 'r'}${outputBytes > 0 ? 'w' : ''}`,
    cmd: session.lastCommand?.name ?? 'NULL',
    user: session.user,
    redir: -1,
    resp: session.version,
    'lib-name': session.libraryName,
    'lib-ver': session.libraryVersion,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

function byteLength(args: readonly Uint8Array[]): number {
  return args.reduce((sum, argument) => sum + argument.length, 0);
}

/** The letters for what is out of the ordinary, in Redis's order. */
function flagsOf(connection: Connection): string {
  const { session } = connection;
  const letters: readonly (readonly [boolean, string])[] = [
    [(session.attention & Attention.Monitor) !== 0, 'O'],
    [session.queued !== undefined, 'x'],
    [connection.blocking?.isBlocked === true, 'b'],
    [isDirty(session), 'd'],
    [session.closing, 'c'],
    [connection.socket.remoteAddress === undefined, 'U'],
    [session.noEvict, 'e'],
    [session.noTouch, 'T'],
  ];
  const flags = letters.map(([holds, letter]) => (holds ? letter : '')).join('');
  return flags === '' ? 'N' : flags;
}

/** Whether EXEC is known to fail. That a watched key has changed, only its shard knows until then. */
function isDirty(session: Session): boolean {
  return session.watchBroken;
}

/** Node.js has the number, but no public name for it. */
function fileDescriptor({ socket }: Connection): number {
  const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
