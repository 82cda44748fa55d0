import type { ReplyWriter } from '../base/reply-writer.js';
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
