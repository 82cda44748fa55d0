import { CommandError } from '../../base/command-errors.js';
import type { Session } from '../session.js';

const NAME_REFUSED = new CommandError(
  'ERR Client names cannot contain spaces, newlines or special characters.',
);

/** What a connection says of itself stands in the lines of CLIENT LIST, and must not break them. */
function isPlain(text: string): boolean {
  return /^[!-~]*$/.test(text);
}

/** CLIENT SETNAME; an empty name takes the name away. */
export function setName(session: Session, name: string): CommandError | undefined {
  if (!isPlain(name)) return NAME_REFUSED;
  session.name = name;
  return undefined;
}

/** CLIENT SETINFO, as Redis 7.2 has it. */
export function setInfo(session: Session, attribute: string, value: string): CommandError | undefined {
  const name = attribute.toLowerCase();
  if (name !== 'lib-name' && name !== 'lib-ver')
    return new CommandError(`ERR Unrecognized option '${attribute}'`);
  if (!isPlain(value))
    return new CommandError(`ERR ${attribute} cannot contain spaces, newlines or special characters.`);
  if (name === 'lib-name') session.libraryName = value;
  else session.libraryVersion = value;
  return undefined;
}
