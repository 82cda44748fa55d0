import type { Buffer } from 'node:buffer';
import { keyBounds } from '../commands/definition.js';
import type { Command } from '../commands/table.js';
import { keySlot } from './slots.js';

/** The command has no keys. */
export const NO_SLOT = -1;
/** Its keys are in several slots. */
export const SEVERAL_SLOTS = -2;

/**
 * The slot of a command's keys, or {@link NO_SLOT}, or {@link SEVERAL_SLOTS}. It is found from the key specifications
 * alone, so a command whose options are wrong has one, too.
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
  }
  return slot;
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
