import type { RawClient } from '../support/client.js';
import { itemsOf, numberOf, type Reply, render, textOf } from '../support/reply.js';

/** One entry of COMMAND, in a form that can be compared: sets are sorted. */
export interface CommandInfo {
  readonly name: string;
  readonly arity: number;
  readonly flags: readonly string[];
  readonly keys: readonly [first: number, last: number, step: number];
  readonly categories: readonly string[];
  readonly tips: readonly string[];
  readonly keySpecifications: readonly string[];
  readonly subcommands: ReadonlyMap<string, CommandInfo>;
}

function sortedTexts(reply: Reply): string[] {
  return itemsOf(reply).map(textOf).sort();
}

/** Entries sorted within each map, and without the notes, which are prose. */
function canonical(reply: Reply): string {
  if (!('items' in reply)) return render(reply);
  if (reply.type !== 'map') {
    const items = reply.items.map(canonical);
    return `[${(reply.type === 'set' ? items.sort() : items).join(' ')}]`;
  }
  const entries: string[] = [];
  for (let i = 0; i < reply.items.length; i += 2) {
    if (render(reply.items[i]!) === '$"notes"') continue;
    entries.push(`${canonical(reply.items[i]!)}=${canonical(reply.items[i + 1]!)}`);
  }
  return `{${entries.sort().join(' ')}}`;
}

export function parseInfo(reply: Reply): CommandInfo {
  const [name, arity, flags, first, last, step, categories, tips, specifications, subcommands] =
    itemsOf(reply);
  return {
    name: textOf(name!),
    arity: numberOf(arity!),
    flags: sortedTexts(flags!),
    keys: [numberOf(first!), numberOf(last!), numberOf(step!)],
    categories: sortedTexts(categories!),
    tips: sortedTexts(tips!),
    keySpecifications: itemsOf(specifications!).map(canonical),
    subcommands: parseTable(subcommands!),
  };
}

export function parseTable(reply: Reply): Map<string, CommandInfo> {
  return new Map(itemsOf(reply).map((item) => [textOf(itemsOf(item)[0]!), parseInfo(item)]));
}

/** What COMMAND says, asked in RESP3. */
export async function commandTable(client: RawClient): Promise<Map<string, CommandInfo>> {
  return parseTable(await client.command('COMMAND'));
}

/** Commands and subcommands in one map, `container|sub` as Redis names them. */
export function flattened(table: ReadonlyMap<string, CommandInfo>): Map<string, CommandInfo> {
  const all = new Map<string, CommandInfo>();
  for (const info of table.values()) {
    all.set(info.name, info);
    for (const [name, sub] of info.subcommands) all.set(name, sub);
  }
  return all;
}
