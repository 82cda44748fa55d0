import { Buffer } from 'node:buffer';

/*
 * Small collections are kept as one latin1 text, as they lie in their rows: one character a byte. Lengths in it are numbers as in
 * binary.ts.
 */

/** A length as {@link writeNumber} writes it. */
export function lengthCharacters(length: number): string {
  let text = '';
  let rest = length;
  for (; rest >= 128; rest >>>= 7) text += String.fromCharCode((rest & 127) | 128);
  return text + String.fromCharCode(rest);
}

/**
 * The same text in memory of its own: V8 keeps all of a text in memory that it has cut a piece of. Members that come from one collection
 * and go to another would hold the first one, long after it has gone.
 */
export function ownText(text: string): string {
  return Buffer.from(text, 'latin1').latin1Slice();
}
