import type { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import { encodeCommand, frameOf } from '../cluster/frames.js';
import type { Link } from '../cluster/link.js';
import type { RemoteLinks } from '../cluster/links.js';
import { errorOf } from '../cluster/reply-scanner.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import type { Connection } from './connection.js';
import { callRemote, cannotForward, Whole } from './forwarding.js';
import type { RespServer } from './server.js';

const UNWATCH = encodeCommand(['UNWATCH']);
const TOO_MANY = new CommandError(
  'ERR too many clients of this node watch keys on other stores: EXEC or UNWATCH on some of them',
);

/** Keys that a client watches on another store: there they belong to a connection of its own. */
export class RemoteWatch {
  constructor(
    private readonly links: RemoteLinks,
    readonly link: Link,
  ) {}

  leadsTo(store: string, keyspace: string): boolean {
    const { target } = this.link;
    return target.store === store && target.keyspace === keyspace;
  }

  /** Forgets the watches there; other clients may then have the connection. */
  end(): void {
    if (this.link.isClosed) this.links.release(this.link, false);
    else this.link.send(new Whole(() => this.links.release(this.link, true)), UNWATCH);
  }

  /** EXEC has ended the watches. */
  executed(): void {
    this.links.release(this.link, true);
  }
}

/**
 * WATCH of keys that another store has. The connection's further commands for the keyspace go the same way until
 * the watches end, so that none of them can run before; which is why all replies before have to be in first.
 */
export function watchElsewhere(
  server: RespServer,
  connection: Connection,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
  place: ShardPlace,
): void {
  const { session, writer } = connection;
  const bytes = frameOf(args, frames);
  void connection.afterReplies(async () => {
    const watch = session.remoteWatch ?? begin(server, connection, keyspace, place);
    if (watch instanceof CommandError) {
      writer.error(watch);
      connection.flushWriter();
      return;
    }
    const reply = await callRemote(watch.link, bytes);
    if (errorOf(reply) !== undefined && watch.link.isClosed && session.remoteWatch === watch) {
      watch.end();
      session.remoteWatch = undefined;
    }
    writer.bytes(reply);
    connection.flushWriter();
  });
}

function begin(
  server: RespServer,
  connection: Connection,
  keyspace: Keyspace,
  place: ShardPlace,
): RemoteWatch | CommandError {
  const { session } = connection;
  const refusal = cannotForward(session, keyspace, place);
  if (refusal !== undefined) return refusal;
  if (connection.isClosed) return new CommandError('ERR the client has left');
  const link = server.links.openDedicated(place.store, keyspace.id, session.version, () => {
    session.watchBroken = true;
  });
  if (link === undefined) return TOO_MANY;
  session.remoteWatch = new RemoteWatch(server.links, link);
  return session.remoteWatch;
}
