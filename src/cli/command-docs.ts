import { entriesOf, itemsOf, type Reply, textOf } from './reply.js';

/** What a server says of one of its commands. */
export interface CommandDocs {
  /** In capitals, subcommands with a blank. */
  readonly name: string;
  readonly summary: string;
  readonly since: string;
  readonly group: string;
  readonly complexity: string;
  /** Its arguments in the notation of Redis. */
  readonly syntax: string;
  readonly subcommands: readonly CommandDocs[];
}

/** Reads the reply to COMMAND DOCS, in order of the names. */
export function parseCommandDocs(reply: Reply): CommandDocs[] {
  return [...entriesOf(reply)]
    .map(([name, docs]) => docsOf(name.toUpperCase(), docs))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function docsOf(name: string, reply: Reply): CommandDocs {
  const fields = entriesOf(reply);
  const text = (field: string) => textOf(fields.get(field)) ?? '';
  const subcommands = [...entriesOf(fields.get('subcommands'))].map(([full, docs]) =>
    docsOf(full.toUpperCase().replace('|', ' '), docs),
  );
  return {
    name,
    summary: text('summary'),
    since: text('since'),
    group: text('group'),
    complexity: text('complexity'),
    syntax: syntaxOf(fields.get('arguments')),
    subcommands: subcommands.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function syntaxOf(list: Reply | undefined, separator = ' '): string {
  return itemsOf(list).map(argumentText).join(separator);
}

function argumentText(reply: Reply): string {
  const fields = entriesOf(reply);
  const flags = new Set(itemsOf(fields.get('flags')).map((flag) => textOf(flag) ?? ''));
  const type = textOf(fields.get('type'));
  const token = textOf(fields.get('token'));
  let text = textOf(fields.get('display_text')) ?? textOf(fields.get('name')) ?? '';
  if (type === 'pure-token') text = token ?? text;
  else if (type === 'oneof') text = syntaxOf(fields.get('arguments'), '|');
  else if (type === 'block') text = syntaxOf(fields.get('arguments'));
  const isValueOf = token !== undefined && type !== 'pure-token';
  const prefix = isValueOf ? `${token === '' ? '""' : token} ` : '';
  if (flags.has('multiple_token')) text = `${prefix}${text} [${prefix}${text} ...]`;
  else if (flags.has('multiple')) text = `${prefix}${text} [${text} ...]`;
  else text = prefix + text;
  return flags.has('optional') ? `[${text}]` : text;
}

/** The command that words name: `config get` or `set`, in any case. */
export function findDocs(docs: readonly CommandDocs[], words: readonly string[]): CommandDocs | undefined {
  const named = (list: readonly CommandDocs[], name: string) => list.find((each) => each.name === name);
  const command = named(docs, words[0]?.toUpperCase() ?? '');
  if (command === undefined || words.length < 2) return command;
  return named(command.subcommands, words.slice(0, 2).join(' ').toUpperCase()) ?? command;
}

/** As redis-cli prints it. */
export function docsText(docs: CommandDocs): string {
  const lines = [
    '',
    `  ${docs.name}${docs.syntax === '' ? '' : ` ${docs.syntax}`}`,
    `  summary: ${docs.summary}`,
    `  since: ${docs.since}`,
    `  group: ${docs.group}`,
  ];
  if (docs.complexity !== '') lines.push(`  complexity: ${docs.complexity}`);
  const subs = docs.subcommands.map(({ name, syntax, summary }) => `    ${name} ${syntax}\n      ${summary}`);
  if (subs.length > 0) lines.push('  subcommands:', ...subs);
  return `${lines.join('\n')}\n\n`;
}
