import { type Arguments, ListArguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { globMatches } from '../../base/glob.js';
import type { ReplyWriter } from '../../base/reply-writer.js';
import { helpLines, writeCommandDocs } from '../../commands/documentation.js';
import {
  categoriesOf,
  findKeys,
  hasCountedKeys,
  writeCommandInfo,
  writeFoundKeys,
} from '../../commands/introspection.js';
import { type Command, commandTable, findCommand, topLevelCommands } from '../../commands/table.js';
import { type FrontHandler, type FrontHandlers, now } from './handlers.js';

const INVALID_COMMAND = new CommandError('ERR Invalid command specified');
const INVALID_ARITY = new CommandError('ERR Invalid number of arguments specified for command');
const INVALID_ARGUMENTS = new CommandError('ERR Invalid arguments specified for command');
const NO_KEYS = new CommandError('ERR The command has no key arguments');

/** A command by its full name in any case, `container|sub` for subcommands. */
function findByFullName(name: string): Command | undefined {
  const [container = '', sub] = name.toLowerCase().split('|', 2);
  const command = findCommand(container);
  return sub === undefined ? command : command?.children.get(sub);
}

function* names(args: Arguments): Iterable<string> {
  for (let index = 2; index < args.count; index++) yield args.text(index);
}

function writeAllInfo(reply: ReplyWriter): void {
  const commands = [...topLevelCommands()];
  reply.array(commands.length);
  for (const command of commands) writeCommandInfo(reply, command);
}

const info = now(({ reply }, args) => {
  if (args.count === 2) return writeAllInfo(reply);
  reply.array(args.count - 2);
  for (const name of names(args)) {
    const command = findByFullName(name);
    if (command === undefined) reply.nil();
    else writeCommandInfo(reply, command);
  }
});

const docs = now(({ reply }, args) => {
  const commands =
    args.count === 2
      ? [...topLevelCommands()]
      : [...names(args)].map(findByFullName).filter((command) => command !== undefined);
  reply.map(commands.length);
  for (const command of commands) {
    reply.bulk(command.name);
    writeCommandDocs(reply, command);
  }
});

// ------------------------------------------------------------------ LIST

type CommandTest = (command: Command) => boolean;

function parseFilter(args: Arguments): CommandTest | CommandError {
  if (args.count === 2) return () => true;
  if (args.count !== 5 || args.token(2) !== 'FILTERBY') return SYNTAX_ERROR;
  const value = args.text(4);
  switch (args.token(3)) {
    // There are no modules.
    case 'MODULE':
      return () => false;
    case 'ACLCAT':
      return (command) => categoriesOf(command).includes(value.toLowerCase());
    case 'PATTERN':
      return (command) => globMatches(value.toLowerCase(), command.name);
    default:
      return SYNTAX_ERROR;
  }
}

const list = now(({ reply }, args) => {
  const test = parseFilter(args);
  if (test instanceof CommandError) return reply.error(test);
  const chosen = commandTable.filter(test);
  reply.set(chosen.length);
  for (const command of chosen) reply.bulk(command.name);
});

// ------------------------------------------------------------------ GETKEYS

/** The command that the arguments begin with. */
function findSpelledOut(args: Arguments): Command | undefined {
  const command = findCommand(args.text(0).toLowerCase());
  if (command === undefined || command.children.size === 0 || args.count < 2) return command;
  return command.children.get(args.text(1).toLowerCase());
}

function getKeys(withFlags: boolean): FrontHandler {
  return now(({ reply }, args) => {
    const inner = new ListArguments(
      Array.from({ length: args.count - 2 }, (_, index) => args.bytes(index + 2)),
    );
    const command = findSpelledOut(inner);
    if (command === undefined) return reply.error(INVALID_COMMAND);
    if (command.keys.length === 0) return reply.error(NO_KEYS);
    const { arity } = command;
    if (arity > 0 ? inner.count !== arity : inner.count < -arity) return reply.error(INVALID_ARITY);
    const keys = findKeys(command, inner);
    const isWhole = keys.length > 0 && hasCountedKeys(command, inner);
    if (!isWhole && !command.flags.includes('no_mandatory_keys')) reply.error(INVALID_ARGUMENTS);
    else writeFoundKeys(reply, inner, keys, withFlags);
  });
}

/** COMMAND and its subcommands. */
export const commandHandlers: FrontHandlers = {
  command: now(({ reply }) => writeAllInfo(reply)),
  'command|count': now(({ reply }) => reply.integer([...topLevelCommands()].length)),
  'command|docs': docs,
  'command|getkeys': getKeys(false),
  'command|getkeysandflags': getKeys(true),
  'command|help': now(({ command, reply }) => {
    const help = helpLines(command.container!);
    reply.array(help.length);
    for (const line of help) reply.simple(line);
  }),
  'command|info': info,
  'command|list': list,
};
