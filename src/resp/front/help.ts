import { type FrontHandler, now } from './handlers.js';

/** A handler that lists the subcommands of a command: for each its form, and what it does. */
export function help(
  command: string,
  subcommands: readonly (readonly [form: string, ...does: string[]])[],
): FrontHandler {
  const lines = [
    `${command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`,
    ...subcommands.flatMap(([form, ...does]) => [form, ...does.map((line) => `    ${line}`)]),
    'HELP',
    '    These lines.',
  ];
  return now(({ reply }) => {
    reply.array(lines.length);
    for (const line of lines) reply.simple(line);
  });
}
