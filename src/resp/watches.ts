import { NOBODY } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import type { Session } from './session.js';

/** DISCARD and what follows a failed EXEC: the commands and the watches are forgotten. */
export function dropTransaction(connection: Connection): void {
  connection.session.endTransaction();
  forgetWatches(connection);
}

/** Has the shards forget what the connection watches. */
export function forgetWatches(connection: Connection): void {
  const { session } = connection;
  for (const route of session.watched) tellUnwatch(session, route);
  session.remoteWatch?.end();
  session.endWatches();
}

function tellUnwatch(session: Session, route: ShardRoute): void {
  const tell = () => {
    if (route.closed) return;
    route.owner.batch.begin(NOBODY, session.id, route.shard, 0);
    route.owner.batch.instruct(Instruction.Unwatch);
    route.owner.schedule();
  };
  // That it has to wait for something is no reason to keep what it knows of this client.
  if (route.opening === undefined) tell();
  else void route.opened().then(tell, () => undefined);
}
