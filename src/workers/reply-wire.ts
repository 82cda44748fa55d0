import type { ReplyMessage } from './protocol.js';

/*
 * To take an object apart on one thread and put it together on the other costs more than a small reply. So what most
 * messages tell stands behind the replies, at the very end of their memory:
 *
 *   │ replies │ table │ unused │ table's offset │ entries │ whether the batch is done │ 0 to 3 bytes │
 */

const WORD_BYTES = 4;
const WORDS = 3;

/** Room that is to be left behind a reply table. */
export const WIRE_ROOM_BYTES = (WORDS + 1) * WORD_BYTES;

/** A message as it crosses to the front. */
export type WireMessage = ArrayBuffer | ReplyMessage;

/** The message's memory alone, if that can tell all. */
export function toWire(message: ReplyMessage): WireMessage {
  const { buffer, tableOffset, entries, last, slow, logged, blocked, ended } = message;
  const hasNews = slow !== undefined || logged !== undefined || blocked !== undefined || ended !== undefined;
  const at = placeIn(buffer);
  if (hasNews || at < tableOffset + entries * 3 * WORD_BYTES) return message;
  const words = new Int32Array(buffer, at, WORDS);
  words[0] = tableOffset;
  words[1] = entries;
  words[2] = last ? 1 : 0;
  return buffer;
}

export function fromWire(message: WireMessage): ReplyMessage {
  if (!(message instanceof ArrayBuffer)) return message;
  const words = new Int32Array(message, placeIn(message), WORDS);
  return { buffer: message, tableOffset: words[0]!, entries: words[1]!, last: words[2] === 1 };
}

function placeIn(buffer: ArrayBuffer): number {
  return (buffer.byteLength & ~(WORD_BYTES - 1)) - WORDS * WORD_BYTES;
}
