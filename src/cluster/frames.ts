import { Buffer } from 'node:buffer';
import { type Command, findCommand } from '../commands/table.js';

/*
 * Commands as bytes. A command that goes on to another node goes as its client wrote it, where that can be: the bytes
 * of a read are cut at its ends, not made anew.
 */

const CR_LF = Buffer.from('\r\n');
const ASTERISK = 42;
const DOLLAR = 36;
const LF = 10;

/**
 * A command's bytes, ready to be sent.
 * @param frames the buffer that the arguments are views of, as the decoder handed it over: whole RESP frames, or the
 *   bare words of an inline command
 */
export function frameOf(args: readonly Buffer[], frames: Buffer): Buffer {
  const first = args[0]!;
  // Before the first argument of a RESP frame stands its header.
  if (first.byteOffset === frames.byteOffset) return encodeCommand(args);
  const base = frames.byteOffset;
  let start = first.byteOffset - base - 3;
  while (frames[start] !== DOLLAR) start--;
  start -= 3;
  while (frames[start] !== ASTERISK) start--;
  const last = args[args.length - 1]!;
  return frames.subarray(start, last.byteOffset - base + last.length + 2);
}

/** Encodes a command as RESP. */
export function encodeCommand(args: readonly (Buffer | string)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`, 'latin1')];
  for (const each of args) {
    const bytes = typeof each === 'string' ? Buffer.from(each, 'latin1') : each;
    parts.push(Buffer.from(`$${bytes.length}\r\n`, 'latin1'), bytes, CR_LF);
  }
  return Buffer.concat(parts);
}

/** One command among others. */
export interface Frame {
  readonly bytes: Buffer;
  readonly args: readonly Buffer[];
}

/** Takes commands apart that are whole and well-formed. */
export function splitFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  let at = 0;
  const readNumber = (): number => {
    const end = bytes.indexOf(LF, at);
    const value = Number(bytes.latin1Slice(at + 1, end - 1));
    at = end + 1;
    return value;
  };
  while (at < bytes.length) {
    const start = at;
    const args: Buffer[] = [];
    for (let left = readNumber(); left > 0; left--) {
      const length = readNumber();
      args.push(bytes.subarray(at, at + length));
      at += length + 2;
    }
    frames.push({ bytes: bytes.subarray(start, at), args });
  }
  return frames;
}

/** What a frame's command is; undefined if there is none of its name. */
export function commandOfFrame({ args }: Frame): Command | undefined {
  const command = findCommand(args[0]!.latin1Slice().toLowerCase());
  if (command === undefined || command.children.size === 0 || args.length < 2) return command;
  return command.children.get(args[1]!.latin1Slice().toLowerCase()) ?? command;
}
