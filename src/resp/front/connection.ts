import { wrongArity } from '../../base/command-errors.js';
import { type FrontHandlers, now } from './handlers.js';

export const connectionHandlers: FrontHandlers = {
  ping: now(({ reply }, args) => {
    if (args.count > 2) reply.error(wrongArity('ping'));
    else if (args.count === 2) reply.bulk(args.bytes(1));
    else reply.simple('PONG');
  }),
};
