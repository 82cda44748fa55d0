import type { Buffer } from 'node:buffer';
import { type Command, findCommand } from '../commands/table.js';

/** Bytes beyond which a name cannot be a command's, and need not be turned into text. */
export const NAME_BYTES_MAX = 64;

/** A power of two. */
const SPELLINGS_MAX = 1024;

/** A command's name as it was written (`GET`, `get`, `Get`, …). */
interface Spelling {
  readonly written: string;
  readonly command: Command;
}

/**
 * The spellings met last, each in the place that its hash gives it: to compare a name's bytes with a spelling takes less
 * time than to make a string of them and look that up.
 */
const spellings: (Spelling | undefined)[] = new Array(SPELLINGS_MAX).fill(undefined);

/** The command that a client's first argument names; subcommands are not looked at. */
export function commandOf(name: Buffer): Command | undefined {
  if (name.length > NAME_BYTES_MAX) return undefined;
  const place = placeOf(name);
  const spelling = spellings[place];
  if (spelling !== undefined && isSpelling(name, spelling.written)) return spelling.command;
  const written = name.latin1Slice();
  const command = findCommand(written.toLowerCase());
  if (command !== undefined) spellings[place] = { written, command };
  return command;
}

function placeOf(name: Buffer): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (31 * hash + name[at]!) & (SPELLINGS_MAX - 1);
  return hash;
}

function isSpelling(name: Buffer, written: string): boolean {
  if (name.length !== written.length) return false;
  for (let at = 0; at < written.length; at++) if (name[at] !== written.charCodeAt(at)) return false;
  return true;
}
