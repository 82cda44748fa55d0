import type { Maybe } from './wire-types.js';

/** What came is none of the messages it should be. It ends the call that it came by, and nothing else. */
export class WireError extends Error {
  constructor(what: string) {
    super(`malformed message: ${what}`);
    this.name = 'WireError';
  }
}

const ID = /^[0-9a-f]{1,64}$/;
const PORT_MAX = 65_535;

export function exact(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new WireError(`${what} is not a whole number up to 2^53`);
}

export function portOf(value: number, what: string): number {
  if (value > PORT_MAX) throw new WireError(`${what} ${value} is no port`);
  return value;
}

export function idOf(text: string, whose: string): string {
  if (ID.test(text)) return text;
  throw new WireError(`${JSON.stringify(text.slice(0, 80))} is no id of a ${whose}`);
}

export function given<Message>(message: Maybe<Message>, what: string): Message {
  if (message === null || message === undefined) throw new WireError(`there is no ${what} in it`);
  return message;
}

/** Counts of bytes as they are sent: some file systems claim more than numbers can say exactly. */
export function countable(bytes: number): number {
  return Math.min(Math.max(0, Math.round(bytes)), Number.MAX_SAFE_INTEGER);
}
