import type { Arguments } from '../../base/arguments.js';
import { CommandError } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { help } from './help.js';

const COUNT_DEFAULT = 10;
const BAD_COUNT = new CommandError('ERR count should be greater than or equal to -1');

/** SLOWLOG GET, LEN, RESET, HELP. */
export const slowlogHandlers: FrontHandlers = {
  'slowlog|get': inTurn(get),
  'slowlog|len': inTurn(({ server, reply }) => reply.integer(server.slowLog.length)),
  'slowlog|reset': inTurn(({ server, reply }) => {
    server.slowLog.clear();
    reply.ok();
  }),
  'slowlog|help': help('SLOWLOG', [
    [
      'GET [<count>]',
      'The last <count> slow commands, newest first (10 unless given; -1 is all): id, Unix time,',
      "microseconds, arguments, the client's address, the client's name.",
    ],
    ['LEN', 'The number of entries.'],
    ['RESET', 'Forget all entries.'],
  ]),
};

function get({ server, reply, command }: FrontContext, args: Arguments): void {
  if (args.count > 3) {
    reply.error(
      `ERR unknown subcommand or wrong number of arguments for '${args.text(1)}'. Try ${command.container!.name.toUpperCase()} HELP.`,
    );
    return;
  }
  const count = args.count === 3 ? parseInteger(args.text(2)) : COUNT_DEFAULT;
  if (count === undefined || count < -1) {
    reply.error(BAD_COUNT);
    return;
  }
  const entries = server.slowLog.latest(count === -1 ? Number.POSITIVE_INFINITY : count);
  reply.array(entries.length);
  for (const entry of entries) {
    reply.array(6);
    reply.integer(entry.id);
    reply.integer(entry.unixSeconds);
    reply.integer(entry.microseconds);
    reply.array(entry.arguments.length);
    for (const argument of entry.arguments) reply.bulk(argument);
    reply.bulk(entry.address);
    reply.bulk(entry.clientName);
  }
}
