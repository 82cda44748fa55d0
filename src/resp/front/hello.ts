import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { parseInt64 } from '../../base/numbers.js';
import type { ReplyWriter, RespVersion } from '../../base/reply-writer.js';
import { REDIS_VERSION } from '../../base/version.js';
import { passwordMatches, setAuthenticated } from '../authentication.js';
import { Attention, type Session } from '../session.js';
import { setName } from './client-attributes.js';
import { type FrontContext, type FrontHandlers, now } from './handlers.js';

const NO_PASSWORD_SET = new CommandError(
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
);
const WRONG_PASSWORD = new CommandError('WRONGPASS invalid username-password pair or user is disabled.');
const NOT_A_VERSION = new CommandError('ERR Protocol version is not an integer or out of range');
const NO_SUCH_VERSION = new CommandError('NOPROTO unsupported protocol version');
const HELLO_NEEDS_AUTH = new CommandError(
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
);

/** AUTH and HELLO. */
export const helloHandlers: FrontHandlers = {
  auth: now((context, args) => {
    const { server, connection, reply } = context;
    if (args.count > 3) return reply.error(SYNTAX_ERROR);
    const hasUser = args.count === 3;
    if (!hasUser && server.config.values.requirepass === '') return reply.error(NO_PASSWORD_SET);
    const user = hasUser ? args.text(1) : 'default';
    if (!passwordMatches(server.config.values.requirepass, user, args.bytes(hasUser ? 2 : 1)))
      return reply.error(WRONG_PASSWORD);
    setAuthenticated(connection, true);
    reply.ok();
  }),
  hello: now((context, args) => {
    const { session, reply } = context;
    const version = args.count > 1 ? parseVersion(args.text(1)) : session.version;
    if (version instanceof CommandError) return reply.error(version);
    const refusal = applyOptions(context, args);
    if (refusal !== undefined) return reply.error(refusal);
    if (session.attention & Attention.Unauthenticated) return reply.error(HELLO_NEEDS_AUTH);
    if (version !== session.version) loseRemoteWatch(session);
    session.version = version;
    reply.version = version;
    introduce(reply, session);
  }),
};

/** A link speaks one version, so what is watched over it is lost: EXEC will fail. */
function loseRemoteWatch(session: Session): void {
  if (session.remoteWatch === undefined) return;
  session.remoteWatch.end();
  session.remoteWatch = undefined;
  session.watchBroken = true;
}

function parseVersion(text: string): RespVersion | CommandError {
  const version = parseInt64(text);
  if (version === undefined) return NOT_A_VERSION;
  return version === 2 || version === 3 ? version : NO_SUCH_VERSION;
}

/** Carries out the options, one after the other: what comes before an error has happened. */
function applyOptions(
  { server, connection, session }: FrontContext,
  args: Arguments,
): CommandError | undefined {
  for (let index = 2; index < args.count; index++) {
    const option = args.token(index);
    const following = args.count - 1 - index;
    if (option === 'AUTH' && following >= 2) {
      if (!passwordMatches(server.config.values.requirepass, args.text(index + 1), args.bytes(index + 2)))
        return WRONG_PASSWORD;
      setAuthenticated(connection, true);
      index += 2;
    } else if (option === 'SETNAME' && following >= 1) {
      const refusal = setName(session, args.text(++index));
      if (refusal !== undefined) return refusal;
    } else return new CommandError(`ERR Syntax error in HELLO option '${args.text(index)}'`);
  }
  return undefined;
}

function introduce(reply: ReplyWriter, session: Session): void {
  reply.map(7);
  reply.bulk('server');
  reply.bulk('redis');
  reply.bulk('version');
  reply.bulk(REDIS_VERSION);
  reply.bulk('proto');
  reply.integer(session.version);
  reply.bulk('id');
  reply.integer(session.id);
  reply.bulk('mode');
  reply.bulk(session.door === '' ? 'standalone' : 'cluster');
  reply.bulk('role');
  reply.bulk('master');
  reply.bulk('modules');
  reply.array(0);
}
