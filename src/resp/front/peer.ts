import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { MOVED_CODE } from '../../cluster/link.js';
import { setAuthenticated } from '../authentication.js';
import { Attention } from '../session.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';

const NOT_A_PEER = new CommandError('ERR VASTO.COUNTS is for other nodes of the cluster');

const NOT_BY_CLUSTER_DOOR = new CommandError(
  'ERR nodes come in by the plain door: the directive port, or tls-port',
);

/** The commands of other nodes. VASTO.ON is the dispatcher's. */
export const peerHandlers: FrontHandlers = {
  'vasto.peer': now((context, args) => {
    const refusal = letIn(context, args);
    if (refusal === undefined) {
      context.reply.ok();
      return;
    }
    const { connection, reply } = context;
    reply.error(refusal);
    if (!connection.mustBePeer) return;
    connection.flushWriter();
    connection.closeAfterReplies();
  }),
  'vasto.counts': inTurn(counts),
};

interface PeerOptions {
  readonly secret: string | undefined;
  /** Id of the store that the node is; '' of a gateway. */
  readonly store: string;
}

function parseOptions(args: Arguments): PeerOptions | CommandError {
  let secret: string | undefined;
  let store = '';
  for (let index = 3; index < args.count; index += 2) {
    const option = args.token(index);
    if (index + 1 === args.count) return SYNTAX_ERROR;
    if (option === 'SECRET') secret = args.bytes(index + 1).toString('utf8');
    else if (option === 'STORE') store = args.text(index + 1);
    else return SYNTAX_ERROR;
  }
  return { secret, store };
}

/** Makes the connection a node's. @returns why that cannot be */
function letIn({ server, connection, session }: FrontContext, args: Arguments): CommandError | undefined {
  const options = parseOptions(args);
  if (options instanceof CommandError) return options;
  if (session.door !== '') return NOT_BY_CLUSTER_DOOR;
  const isAuthenticated = (session.attention & Attention.Unauthenticated) === 0;
  const refusal = server.peers.refusal({
    socket: connection.socket,
    secret: options.secret,
    isAuthenticated,
  });
  if (refusal !== undefined) return new CommandError(`NOAUTH ${refusal}`);
  const { keyspaces } = server.store;
  const { clusterId } = keyspaces.topology;
  const given = args.text(1);
  if (given !== clusterId && given !== '' && clusterId !== '')
    return new CommandError(`ERR this store belongs to cluster ${clusterId}, not to ${given.slice(0, 64)}`);
  const keyspace = keyspaces.withId(args.text(2));
  if (keyspace === undefined)
    return new CommandError(`${MOVED_CODE} this store knows no keyspace ${args.text(2).slice(0, 64)}`);
  setAuthenticated(connection, true);
  if (!session.isPeer) server.peerConnections++;
  const store = /^[0-9a-f]{8,40}$/.test(options.store) ? options.store : '';
  session.bindPeer(keyspace, store);
  session.name = `peer-${store === '' ? 'gateway' : store.slice(0, 8)}`;
  return undefined;
}

async function counts({ server, session, reply }: FrontContext): Promise<void> {
  const { keyspace, isPeer } = session;
  if (!isPeer || keyspace === undefined) {
    reply.error(NOT_A_PEER);
    return;
  }
  const reports = (await server.store.report(true)).flatMap(({ shards }) => shards);
  const found = keyspace.places.flatMap(({ shard, local }) => {
    const report = reports.find((each) => each.shard === local?.shard);
    return report === undefined ? [] : [{ shard, report }];
  });
  reply.array(found.length);
  for (const { shard, report } of found) {
    reply.array(4);
    for (const each of [shard, report.keys, report.expiring, Math.round(report.averageTtlMs)])
      reply.integer(each);
  }
}
