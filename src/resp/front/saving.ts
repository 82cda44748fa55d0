import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';

const IN_PROGRESS = new CommandError('ERR Background save already in progress');
const REWRITE_IN_PROGRESS = new CommandError('ERR Background append only file rewriting already in progress');
const FAILED = new CommandError('ERR');

/** Commands that have data reach the disk: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE. */
export const savingHandlers: FrontHandlers = {
  lastsave: inTurn(({ server, reply }) => reply.integer(server.saver.lastSaveSeconds)),
  save: inTurn(async ({ server, reply }) => {
    if (server.saver.inProgress) reply.error(IN_PROGRESS);
    else if (await server.saver.save()) reply.ok();
    else reply.error(FAILED);
  }),
  bgsave: inTurn(saveInBackground),
  // There is no file to rewrite: the log is cut as its rows reach table files. What a caller wants is data on disk.
  bgrewriteaof: inTurn(({ server, reply }) => {
    if (server.saver.inProgress) {
      reply.error(REWRITE_IN_PROGRESS);
      return;
    }
    void server.saver.save();
    reply.simple('Background append only file rewriting started');
  }),
};

function saveInBackground({ server, reply }: FrontContext, args: Arguments): void {
  if (args.count > 2 || (args.count === 2 && args.token(1) !== 'SCHEDULE')) reply.error(SYNTAX_ERROR);
  else if (server.saver.inProgress) reply.error(IN_PROGRESS);
  else {
    void server.saver.save();
    reply.simple('Background saving started');
  }
}
