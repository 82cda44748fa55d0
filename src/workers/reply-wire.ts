import type { ReplyMessage } from './protocol.js';

/*
 * To take an object apart on one thread and put it together on the other costs more than a small reply. So what most
 * messages tell stands behind the replies, at the very end of their memory:
 *
 *   │ replies │ table │ unused │ logged │ table's offset │ entries │ flags │ 0 to 3 bytes │
 *
 * `logged` is what one shard has logged: its number, and that of its last record, the high word first. Where nothing was
 * logged, which the flags tell, it is unused, too. Who has a second copy writes with every batch.
 */

const WORD_BYTES = 4;
const WORDS = 6;

const Flag = { Last: 1, Logged: 2 } as const;

/** Numbers in ReplyMessage.logged of one shard. */
const LOGGED_NUMBERS = 2;
const WORD_VALUES = 2 ** 32;

/** Room that is to be left behind a reply table. */
export const WIRE_ROOM_BYTES = (WORDS + 1) * WORD_BYTES;

/** A message as it crosses to the front. */
export type WireMessage = ArrayBuffer | ReplyMessage;

/** The message's memory alone, if that can tell all. */
export function toWire(message: ReplyMessage): WireMessage {
  const { buffer, tableOffset, entries, last, slow, logged, blocked, ended } = message;
  const hasNews = slow !== undefined || blocked !== undefined || ended !== undefined;
  const at = placeIn(buffer);
  if (hasNews || at < tableOffset + entries * 3 * WORD_BYTES) return message;
  if (logged !== undefined && logged.length !== LOGGED_NUMBERS) return message;
  const words = new Int32Array(buffer, at, WORDS);
  if (logged !== undefined) {
    const [shard, sequence] = logged as [number, number];
    words[0] = shard;
    words[1] = Math.floor(sequence / WORD_VALUES);
    words[2] = sequence;
  }
  words[3] = tableOffset;
  words[4] = entries;
  words[5] = (last ? Flag.Last : 0) | (logged === undefined ? 0 : Flag.Logged);
  return buffer;
}

export function fromWire(message: WireMessage): ReplyMessage {
  if (!(message instanceof ArrayBuffer)) return message;
  const words = new Int32Array(message, placeIn(message), WORDS);
  const flags = words[5]!;
  const replies = {
    buffer: message,
    tableOffset: words[3]!,
    entries: words[4]!,
    last: (flags & Flag.Last) !== 0,
  };
  if ((flags & Flag.Logged) === 0) return replies;
  return { ...replies, logged: [words[0]!, words[1]! * WORD_VALUES + (words[2]! >>> 0)] };
}

function placeIn(buffer: ArrayBuffer): number {
  return (buffer.byteLength & ~(WORD_BYTES - 1)) - WORDS * WORD_BYTES;
}
