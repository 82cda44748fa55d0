import type { CommandDefinition, ShardHandler, WaitRules } from './definition.js';
import { frontCommands } from './front.js';
import { shardCommands } from './shard-commands.js';

/**
 * A definition with its place in the table, by which it is called across threads.
 * A class, so that all have one shape: properties of commands are read for every request.
 */
export class Command implements CommandDefinition {
  readonly name: string;
  readonly arity: number;
  readonly flags: CommandDefinition['flags'];
  readonly keys: CommandDefinition['keys'];
  readonly group: CommandDefinition['group'];
  readonly since: string;
  readonly summary: string;
  readonly complexity: string;
  readonly syntax: string;
  readonly categories: readonly string[];
  readonly tips: readonly string[];
  readonly runs: CommandDefinition['runs'];
  readonly run: ShardHandler;
  readonly waits: WaitRules | undefined;
  readonly subcommands: readonly CommandDefinition[];
  readonly children = new Map<string, Command>();

  constructor(
    definition: CommandDefinition,
    readonly index: number,
    readonly container: Command | undefined,
  ) {
    this.name = definition.name;
    this.arity = definition.arity;
    this.flags = definition.flags;
    this.keys = definition.keys;
    this.group = definition.group;
    this.since = definition.since;
    this.summary = definition.summary;
    this.complexity = definition.complexity;
    this.syntax = definition.syntax;
    this.categories = definition.categories ?? [];
    this.tips = definition.tips ?? [];
    this.runs = definition.runs;
    this.run = definition.run ?? runsElsewhere;
    this.waits = definition.waits;
    this.subcommands = definition.subcommands ?? [];
  }
}

const runsElsewhere: ShardHandler = () => {
  throw new Error('a command without a handler was sent to a shard');
};

/** All commands and subcommands; the place of each is its `index`. */
export const commandTable: readonly Command[] = build();

const byName = new Map(
  commandTable.filter((command) => command.container === undefined).map((command) => [command.name, command]),
);

/** A command by its name in lower case, subcommands excluded. */
export function findCommand(name: string): Command | undefined {
  return byName.get(name);
}

/** The commands that are not subcommands, in the table's order. */
export function topLevelCommands(): Iterable<Command> {
  return byName.values();
}

function build(): Command[] {
  const table: Command[] = [];
  const add = (definition: CommandDefinition, container: Command | undefined): Command => {
    const command = new Command(definition, table.length, container);
    table.push(command);
    for (const sub of command.subcommands)
      command.children.set(sub.name.slice(sub.name.indexOf('|') + 1), add(sub, command));
    return command;
  };
  for (const definition of [...shardCommands, ...frontCommands]) add(definition, undefined);
  return table;
}
