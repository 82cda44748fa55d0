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

/** The place behind a length. */
export function lengthEnd(text: string, at: number): number {
  let end = at;
  while (text.charCodeAt(end) >= 128) end++;
  return end + 1;
}

/** A length that stands at a place. */
export function lengthAt(text: string, at: number): number {
  const byte = text.charCodeAt(at);
  if (byte < 128) return byte;
  let length = byte & 127;
  for (let shift = 7, place = at + 1; ; shift += 7, place++) {
    const more = text.charCodeAt(place);
    length |= (more & 127) << shift;
    if (more < 128) return length;
  }
}

/**
 * The place of the entry with a member; −1 where it is none. An entry is some bytes, the length of its member, and its member.
 * @param before how many bytes stand before the length
 */
export function findMember(text: string, member: string, before: number): number {
  const { length } = member;
  const lastCode = length === 0 ? 0 : member.charCodeAt(length - 1);
  for (let at = 0; at < text.length; ) {
    const start = lengthEnd(text, at + before);
    const end = start + lengthAt(text, at + before);
    // Members are often alike but for their ends.
    if (
      end - start === length &&
      (length === 0 || (text.charCodeAt(end - 1) === lastCode && text.startsWith(member, start)))
    )
      return at;
    at = end;
  }
  return -1;
}

/**
 * The same text in memory of its own: V8 keeps all of a text in memory that it has cut a piece of. Members that come from one collection
 * and go to another would hold the first one, long after it has gone.
 */
export function ownText(text: string): string {
  return Buffer.from(text, 'latin1').latin1Slice();
}
