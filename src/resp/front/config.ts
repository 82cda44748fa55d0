import type { Arguments } from '../../base/arguments.js';
import { SYNTAX_ERROR } from '../../base/command-errors.js';
import { DIRECTIVE_BY_NAME, type DirectiveName } from '../../base/directives.js';
import { setAuthenticated } from '../authentication.js';
import type { RespServer } from '../server.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { help } from './help.js';

/** Directives that the workers read, too. */
const READ_BY_WORKERS: ReadonlySet<DirectiveName> = new Set([
  'appendfsync',
  'maxmemory',
  'maxmemory-policy',
  'proto-max-bulk-len',
  'slowlog-log-slower-than',
  'latency-monitor-threshold',
  'event-time-drift-max-ms',
  'tombstone-retention-seconds',
  'scan-cursor-timeout-seconds',
  'hash-max-listpack-entries',
  'hash-max-listpack-value',
  'list-max-listpack-size',
  'set-max-intset-entries',
  'set-max-listpack-entries',
  'stream-node-max-bytes',
  'stream-node-max-entries',
  'zset-max-listpack-entries',
  'zset-max-listpack-value',
]);

/** CONFIG GET, SET, RESETSTAT, REWRITE, HELP. The configuration's texts are Unicode; on the wire they are UTF-8. */
export const configHandlers: FrontHandlers = {
  'config|get': inTurn(({ server, reply }, args) => {
    const found = server.config.get(textsFrom(args, 2));
    reply.map(found.length);
    for (const [name, value] of found) {
      reply.text(name);
      reply.text(value);
    }
  }),
  'config|set': inTurn(set),
  'config|resetstat': inTurn(async ({ server, reply }) => {
    await server.resetCounters();
    reply.ok();
  }),
  'config|rewrite': inTurn(({ server, reply }) => {
    const error = server.config.rewrite();
    if (error === undefined) reply.ok();
    else reply.error(onTheWire(error));
  }),
  'config|help': help('CONFIG', [
    ['GET <pattern> [<pattern> ...]', 'The directives whose names match a pattern, with their values.'],
    [
      'SET <directive> <value> [<directive> <value> ...]',
      'Give directives other values: all of them, or none.',
    ],
    ['RESETSTAT', 'Set the counters that INFO shows to zero.'],
    ['REWRITE', 'Bring the configuration file up to date with what is in force.'],
  ]),
};

async function set({ server, reply }: FrontContext, args: Arguments): Promise<void> {
  if (args.count % 2 !== 0) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const texts = textsFrom(args, 2);
  const pairs = Array.from({ length: texts.length / 2 }, (_, index): [string, string] => [
    texts[2 * index]!,
    texts[2 * index + 1]!,
  ]);
  const error = server.config.set(pairs);
  if (error !== undefined) {
    reply.error(onTheWire(error));
    return;
  }
  await carryOut(server, new Set(pairs.map(([name]) => DIRECTIVE_BY_NAME.get(name.toLowerCase())!)));
  reply.ok();
}

/** Tells those who have a copy of what changed. Everybody else reads the configuration whenever it matters. */
async function carryOut(server: RespServer, changed: ReadonlySet<DirectiveName>): Promise<void> {
  const { values } = server.config;
  for (const connection of server.connections.values()) {
    const { limits } = connection;
    limits.bulkBytesMax = values['proto-max-bulk-len'];
    limits.queryBytesMax = values['client-query-buffer-limit'];
    if (values.requirepass === '') setAuthenticated(connection, true);
  }
  if ([...changed].some((name) => READ_BY_WORKERS.has(name))) await server.store.configure();
}

function textsFrom(args: Arguments, first: number): string[] {
  return Array.from({ length: args.count - first }, (_, index) => args.bytes(first + index).toString('utf8'));
}

/** Text as the bytes of its UTF-8 form, one character each: errors are written that way. */
function onTheWire(text: string): string {
  return Buffer.from(text, 'utf8').latin1Slice();
}
