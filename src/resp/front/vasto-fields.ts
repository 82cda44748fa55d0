import type { ReplyWriter } from '../../base/reply-writer.js';

/** The fields of a map that a VASTO command replies with. */
export type Fields = readonly (readonly [name: string, write: (reply: ReplyWriter) => void])[];

export function writeFields(reply: ReplyWriter, fields: Fields): void {
  reply.map(fields.length);
  for (const [name, write] of fields) {
    reply.bulk(name);
    write(reply);
  }
}

export function writeTexts(reply: ReplyWriter, texts: readonly string[]): void {
  reply.array(texts.length);
  for (const text of texts) reply.bulk(text);
}

export function writeNumber(reply: ReplyWriter, number: number | undefined): void {
  if (number === undefined) reply.nil();
  else reply.integer(number);
}
