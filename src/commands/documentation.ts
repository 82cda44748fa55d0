import type { ReplyWriter } from '../base/reply-writer.js';
import type { CommandGroup } from './definition.js';
import { DIFFERENCES } from './differences.js';
import { parseSyntax, type SyntaxArgument } from './syntax.js';
import type { Command } from './table.js';

/** Writes the map in which COMMAND DOCS tells of a command; its name comes before. */
export function writeCommandDocs(reply: ReplyWriter, command: Command): void {
  const syntax = command.children.size > 0 ? [] : parseSyntax(command);
  reply.map(4 + (syntax.length > 0 ? 1 : 0) + (command.children.size > 0 ? 1 : 0));
  reply.bulk('summary');
  reply.text(command.summary);
  reply.bulk('since');
  reply.bulk(command.since);
  reply.bulk('group');
  reply.bulk(command.group);
  reply.bulk('complexity');
  reply.text(command.complexity);
  if (syntax.length > 0) {
    reply.bulk('arguments');
    writeArguments(reply, syntax);
  }
  if (command.children.size === 0) return;
  reply.bulk('subcommands');
  reply.map(command.children.size);
  for (const child of command.children.values()) {
    reply.bulk(child.name);
    writeCommandDocs(reply, child);
  }
}

function writeArguments(reply: ReplyWriter, list: readonly SyntaxArgument[]): void {
  reply.array(list.length);
  for (const argument of list) writeArgument(reply, argument);
}

function writeArgument(reply: ReplyWriter, argument: SyntaxArgument): void {
  const { name, type, token, keySpecification, parts } = argument;
  const flags: string[] = [];
  if (argument.optional) flags.push('optional');
  if (argument.multiple) flags.push('multiple');
  if (argument.multipleToken) flags.push('multiple_token');
  const extras = [keySpecification !== undefined, token !== undefined, flags.length > 0, parts.length > 0];
  reply.map(2 + extras.filter(Boolean).length);
  reply.bulk('name');
  reply.bulk(name);
  reply.bulk('type');
  reply.bulk(type);
  if (keySpecification !== undefined) {
    reply.bulk('key_spec_index');
    reply.integer(keySpecification);
  }
  if (token !== undefined) {
    reply.bulk('token');
    reply.bulk(token);
  }
  if (flags.length > 0) {
    reply.bulk('flags');
    reply.set(flags.length);
    for (const flag of flags) reply.simple(flag);
  }
  if (parts.length > 0) {
    reply.bulk('arguments');
    writeArguments(reply, parts);
  }
}

/** The lines of a container command's HELP. */
export function helpLines(container: Command): string[] {
  const name = container.name.toUpperCase();
  const lines = [`${name} <subcommand> [argument ...], with these subcommands:`];
  for (const [sub, { syntax, summary }] of [...container.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`${sub.toUpperCase()}${syntax === '' ? '' : ` ${syntax}`}`);
    lines.push(`    ${summary}`);
  }
  return lines;
}

// ------------------------------------------------------------------ docs/COMMANDS.md

const GROUP_TITLES: Readonly<Record<CommandGroup, string>> = {
  string: 'Strings',
  bitmap: 'Bitmaps',
  hyperloglog: 'HyperLogLogs',
  hash: 'Hashes',
  list: 'Lists',
  set: 'Sets',
  'sorted-set': 'Sorted sets',
  geo: 'Places',
  stream: 'Streams',
  generic: 'Keys',
  transactions: 'Transactions',
  connection: 'Connections',
  server: 'Server',
  cluster: 'Cluster',
  vasto: "Vasto's own",
};

const INTRODUCTION = `# Commands

All commands, by group. They take the arguments, and give the replies and errors, of Redis 7.0, where the last column
says nothing else.

In the notation, words in capitals stand for themselves, \`[ ]\` may be left out, \`|\` is a choice, \`( )\` holds together,
and \`...\` means any number of times. The version is that of Redis, or of Vasto for its own commands.

<!-- Written by scripts/commands-doc.mjs from the command table; a test keeps it up to date. -->
`;

/** The page docs/COMMANDS.md. */
export function commandsPage(commands: readonly Command[]): string {
  const sections = Object.entries(GROUP_TITLES).flatMap(([group, title]) => {
    const rows = commands
      .filter((command) => command.group === group)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(tableRow);
    if (rows.length === 0) return [];
    return [
      `## ${title}`,
      '',
      '| Command | Arguments | Since | What it does | Differs from Redis |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
  });
  return [INTRODUCTION, ...sections].join('\n');
}

function tableRow(command: Command): string {
  const cells = [
    `\`${command.name.toUpperCase().replace('|', ' ')}\``,
    command.syntax === '' ? '' : `\`${command.syntax}\``,
    command.since,
    command.summary.replace(/\.$/, ''),
    (DIFFERENCES[command.name] ?? '').replace(/\.$/, ''),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
