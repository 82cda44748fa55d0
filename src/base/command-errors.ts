/**
 * Command errors are values, not exceptions: a parser returns one instead of its result, a handler
 * passes it to the reply writer. The texts are Redis 7.0's, byte for byte, because clients match on them.
 */
export class CommandError {
  constructor(readonly text: string) {}
}

/** A command error that a promise rejects with, so that it can reach the connection. */
export class CommandRejected extends Error {
  constructor(
    readonly reply: CommandError,
    options?: ErrorOptions,
  ) {
    super(reply.text, options);
    this.name = 'CommandRejected';
  }
}

/** What a client is told of something that went wrong while its command waited. */
export function replyOf(error: Error): CommandError {
  return error instanceof CommandRejected ? error.reply : new CommandError(`ERR ${error.message}`);
}

/** Said of a shard that cannot be emptied, because it would take rows of others with its own. */
export const NOT_FLUSHED = new CommandError(
  'TRYAGAIN the shard cannot be emptied while slots go to it or from it: try again when that is over, or abort the change',
);

export const NOT_AN_INTEGER = new CommandError('ERR value is not an integer or out of range');
export const NOT_A_FLOAT = new CommandError('ERR value is not a valid float');
export const SYNTAX_ERROR = new CommandError('ERR syntax error');
export const WRONG_TYPE = new CommandError(
  'WRONGTYPE Operation against a key holding the wrong kind of value',
);
export const NO_SUCH_KEY = new CommandError('ERR no such key');
export const INDEX_OUT_OF_RANGE = new CommandError('ERR index out of range');
export const OVERFLOW = new CommandError('ERR increment or decrement would overflow');
export const NAN_OR_INFINITY = new CommandError('ERR increment would produce NaN or Infinity');
export const STRING_TOO_LONG = new CommandError(
  'ERR string exceeds maximum allowed size (proto-max-bulk-len)',
);

/** @param command the command's full name in lower case, subcommand after `|` */
export function wrongArity(command: string): CommandError {
  return new CommandError(`ERR wrong number of arguments for '${command}' command`);
}

/** @param command the command's name in lower case */
export function invalidExpireTime(command: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${command}' command`);
}

/** What a container command (CONFIG, CLIENT, …) says to a subcommand it does not have. */
export function unknownSubcommand(subcommand: string, container: string): CommandError {
  return new CommandError(
    `ERR unknown subcommand '${quotable(subcommand).slice(0, 128)}'. Try ${container.toUpperCase()} HELP.`,
  );
}

/** Text from a client as Redis quotes it in errors: as C prints it, up to the first NUL. */
export function quotable(text: string): string {
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}
