import type { Arguments } from '../base/arguments.js';
import { DIRECTIVE_BY_NAME, directiveOf } from '../base/directives.js';
import type { Command } from '../commands/table.js';

/** What stands in place of an argument that others must not read. */
export const REDACTED = '(redacted)';

const NOTHING: ReadonlySet<number> = new Set();

/** Places of the arguments that are passwords: neither SLOWLOG nor MONITOR may show them. */
export function secretArguments(command: Pick<Command, 'name'>, args: Arguments): ReadonlySet<number> {
  if (command.name === 'auth') return range(1, args.count);
  if (command.name === 'hello') return secretsOfHello(args);
  if (command.name === 'config|set') return secretsOfConfigSet(args);
  if (command.name === 'vasto.peer') return secretsOfPeer(args);
  return NOTHING;
}

function range(from: number, end: number): Set<number> {
  return new Set(Array.from({ length: end - from }, (_, index) => from + index));
}

/** HELLO version AUTH user password …: both, as Redis does. */
function secretsOfHello(args: Arguments): ReadonlySet<number> {
  for (let index = 2; index < args.count; index++)
    if (args.token(index) === 'AUTH') return range(index + 1, Math.min(index + 3, args.count));
  return NOTHING;
}

/** VASTO.PEER cluster keyspace … SECRET secret …: whatever follows each SECRET, lest one be shown by a word too many. */
function secretsOfPeer(args: Arguments): ReadonlySet<number> {
  const secrets = new Set<number>();
  for (let index = 1; index + 1 < args.count; index++)
    if (args.token(index) === 'SECRET') secrets.add(index + 1);
  return secrets;
}

function secretsOfConfigSet(args: Arguments): ReadonlySet<number> {
  const secrets = new Set<number>();
  for (let index = 2; index + 1 < args.count; index += 2) {
    const directive = DIRECTIVE_BY_NAME.get(args.text(index).toLowerCase());
    if (directive !== undefined && directiveOf(directive).secret) secrets.add(index + 1);
  }
  return secrets;
}
