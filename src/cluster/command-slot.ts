import { Buffer } from 'node:buffer';
import { keyBounds } from '../commands/definition.js';
import { sortedKeyPrefixes } from '../commands/sort-options.js';
import type { Command } from '../commands/table.js';
import { keySlot } from './slots.js';

/** The command has no keys. */
export const NO_SLOT = -1;
/** Its keys are in several slots. */
export const SEVERAL_SLOTS = -2;

/**
 * The slot of a command's keys, or {@link NO_SLOT}, or {@link SEVERAL_SLOTS}. It is found from the key specifications
 * alone, so a command whose options are wrong has one, too. Keys that SORT makes of elements are in the slot of a pattern's
 * hash tag; where there is none, they may be anywhere.
 * @param args the command's name first; enough of them for its arity
 */
export function commandSlot({ keys }: Command, args: readonly Buffer[]): number {
  if (keys.length === 0) return NO_SLOT;
  let slot = NO_SLOT;
  for (const specification of keys) {
    const { first, last } = keyBounds(specification, args.length, (index) => args[index]!.latin1Slice());
    for (let index = first; index <= last; index += specification.step) {
      const next = keySlot(args[index]!);
      if (slot !== NO_SLOT && next !== slot) return SEVERAL_SLOTS;
      slot = next;
    }
    if (specification.untold && specification.keyword === undefined) {
      const prefixes = sortedKeyPrefixes(args.length, (index) => args[index]!.latin1Slice());
      if (prefixes.some((prefix) => slotOfPrefix(prefix) !== slot)) return SEVERAL_SLOTS;
    }
  }
  return slot;
}

/** The slot of all keys that begin so, if a hash tag tells; else {@link SEVERAL_SLOTS}. */
function slotOfPrefix(prefix: string): number {
  const open = prefix.indexOf('{');
  const close = open < 0 ? -1 : prefix.indexOf('}', open);
  return close > open + 1 ? keySlot(Buffer.from(prefix, 'latin1')) : SEVERAL_SLOTS;
}

/** The slot of several commands together: see {@link commandSlot}. */
export function commonSlot(
  commands: readonly { readonly command: Command; readonly args: readonly Buffer[] }[],
): number {
  let slot = NO_SLOT;
  for (const { command, args } of commands) {
    const next = commandSlot(command, args);
    if (next === NO_SLOT) continue;
    if (next === SEVERAL_SLOTS || (slot !== NO_SLOT && next !== slot)) return SEVERAL_SLOTS;
    slot = next;
  }
  return slot;
}
