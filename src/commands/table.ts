import type { CommandDefinition } from './definition.js';
import { frontCommands } from './front.js';
import { shardCommands } from './shard-commands.js';

/** A definition with its place in the table, by which it is called across threads. */
export interface Command extends CommandDefinition {
  readonly index: number;
  readonly container: Command | undefined;
  readonly children: ReadonlyMap<string, Command>;
}

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
    const children = new Map<string, Command>();
    const command: Command = { ...definition, index: table.length, container, children };
    table.push(command);
    for (const sub of definition.subcommands ?? [])
      children.set(sub.name.slice(sub.name.indexOf('|') + 1), add(sub, command));
    return command;
  };
  for (const definition of [...shardCommands, ...frontCommands]) add(definition, undefined);
  return table;
}
