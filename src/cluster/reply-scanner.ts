import type { Buffer } from 'node:buffer';
import { REPLY_LINE_BYTES_MAX, REPLY_NESTING_MAX } from '../base/limits.js';

/** What came is not RESP, or not as Redis would send it. The stream it came from is of no use any more. */
export class ReplyFormatError extends Error {
  constructor(what: string) {
    super(`a reply cannot be read: ${what}`);
    this.name = 'ReplyFormatError';
  }
}

const CR = 13;
const LF = 10;
const MINUS = 45;
const DIGIT_0 = 48;
/** More digits than a length or a count can have. */
const DIGITS_MAX = 15;

/** How the reply behind a type byte goes on. */
const Form = { Unknown: 0, Line: 1, Body: 2, Elements: 3, Pairs: 4, Attribute: 5 } as const;

const FORMS = new Uint8Array(256);
for (const type of '+-:,#(_') FORMS[type.charCodeAt(0)] = Form.Line;
for (const type of '$=!') FORMS[type.charCodeAt(0)] = Form.Body;
for (const type of '*~>') FORMS[type.charCodeAt(0)] = Form.Elements;
FORMS['%'.charCodeAt(0)] = Form.Pairs;
FORMS['|'.charCodeAt(0)] = Form.Attribute;

/**
 * Finds where replies end, RESP2 and RESP3, in a stream cut anywhere. It keeps counts and no bytes: what a value is,
 * and whether it is well-formed inside, is for who reads it.
 */
export class ReplyScanner {
  /** First byte of the reply at hand, or of the last one when none is. */
  type = 0;
  /** Elements that each open aggregate still waits for, outermost first. */
  private readonly open: number[] = [];
  private depth = 0;
  /** Bytes of a bulk still to come, CRLF included. */
  private bodyLeft = 0;
  /** Type byte of the line at hand; 0 between lines. */
  private lineType = 0;
  private lineBytes = 0;
  private hasCr = false;
  private value = 0;
  private digits = 0;
  private isNegative = false;
  private begun = false;

  /** Whether the stream stands between two replies. */
  get atRest(): boolean {
    return !this.begun;
  }

  /**
   * Goes on to the end of the reply at hand.
   * @returns where it ends in the chunk; −1 if the chunk ends first
   * @throws ReplyFormatError
   */
  next(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    while (at < length) {
      if (this.bodyLeft > 0) {
        const there = length - at;
        if (this.bodyLeft > there) {
          this.bodyLeft -= there;
          return -1;
        }
        at += this.bodyLeft;
        this.bodyLeft = 0;
      } else {
        at = this.readLine(chunk, at);
        if (at < 0) return -1;
        if (!this.endLine()) continue;
      }
      if (this.endElement()) {
        this.begun = false;
        return at;
      }
    }
    return -1;
  }

  /** @returns where the line at hand ends; −1 if the chunk ends first */
  private readLine(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    if (this.lineType === 0) this.beginLine(chunk[at++]!);
    if (!this.hasCr) {
      at = FORMS[this.lineType] === Form.Line ? this.skipText(chunk, at) : this.readNumber(chunk, at);
      if (at === length) return -1;
      // What stands here is CR.
      this.hasCr = true;
      at++;
    }
    if (at === length) return -1;
    if (chunk[at] !== LF) throw new ReplyFormatError('a line without end');
    return at + 1;
  }

  private beginLine(type: number): void {
    if (FORMS[type] === Form.Unknown) throw new ReplyFormatError(`no type begins with byte ${type}`);
    if (!this.begun) {
      this.begun = true;
      this.type = type;
    }
    this.lineType = type;
    this.lineBytes = 0;
    this.hasCr = false;
    this.value = 0;
    this.digits = 0;
    this.isNegative = false;
  }

  /** @returns where CR stands, or the chunk's end */
  private skipText(chunk: Buffer, from: number): number {
    const cr = chunk.indexOf(CR, from);
    const end = cr < 0 ? chunk.length : cr;
    this.lineBytes += end - from;
    if (this.lineBytes > REPLY_LINE_BYTES_MAX) throw new ReplyFormatError('a line without end');
    return end;
  }

  /** @returns where CR stands, or the chunk's end */
  private readNumber(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    for (; at < length; at++) {
      const byte = chunk[at]!;
      if (byte === CR) return at;
      if (byte === MINUS && this.digits === 0 && !this.isNegative) this.isNegative = true;
      else if (byte >= DIGIT_0 && byte <= DIGIT_0 + 9 && this.digits < DIGITS_MAX) {
        this.value = this.value * 10 + (byte - DIGIT_0);
        this.digits++;
      } else throw new ReplyFormatError('a length that is no number');
    }
    return at;
  }

  /** @returns whether the element that the line begins is complete */
  private endLine(): boolean {
    const form = FORMS[this.lineType]!;
    this.lineType = 0;
    if (form === Form.Line) return true;
    if (this.digits === 0 || (this.isNegative && this.value !== 1))
      throw new ReplyFormatError('a length that is no number');
    if (this.isNegative) return true;
    if (form === Form.Body) {
      this.bodyLeft = this.value + 2;
      return false;
    }
    // An attribute stands before what it belongs to: together they are one element.
    const elements =
      form === Form.Elements ? this.value : form === Form.Pairs ? this.value * 2 : this.value * 2 + 1;
    if (elements === 0) return true;
    if (this.depth === REPLY_NESTING_MAX)
      throw new ReplyFormatError(`more than ${REPLY_NESTING_MAX} levels deep`);
    this.open[this.depth++] = elements;
    return false;
  }

  /** Counts an element that is complete. @returns whether the whole reply is */
  private endElement(): boolean {
    while (this.depth > 0) {
      if (--this.open[this.depth - 1]! > 0) return false;
      this.depth--;
    }
    return true;
  }
}

/**
 * The elements of an array, set or push; of a map its keys and values in turn.
 * @param reply one whole reply
 * @returns undefined for any other reply, nil included
 */
export function elementsOf(reply: Buffer): Buffer[] | undefined {
  const form = FORMS[reply[0]!]!;
  if ((form !== Form.Elements && form !== Form.Pairs) || reply[1] === MINUS) return undefined;
  const scanner = new ReplyScanner();
  const elements: Buffer[] = [];
  let at = reply.indexOf(LF) + 1;
  while (at < reply.length) {
    const end = scanner.next(reply, at);
    if (end < 0) throw new ReplyFormatError('an aggregate that is cut off');
    elements.push(reply.subarray(at, end));
    at = end;
  }
  return elements;
}

/** The bytes of a bulk or simple string; undefined for any other reply, nil included. */
export function stringOf(reply: Buffer): Buffer | undefined {
  const type = reply[0];
  if (type === 0x2b) return reply.subarray(1, reply.length - 2);
  if (type !== 0x24 || reply[1] === MINUS) return undefined;
  return reply.subarray(reply.indexOf(LF) + 1, reply.length - 2);
}

/** The value of an integer reply; undefined for any other. */
export function integerOf(reply: Buffer): number | undefined {
  return reply[0] === 0x3a ? Number(reply.latin1Slice(1, reply.length - 2)) : undefined;
}

/** The text of an error reply, without its `-`; undefined for any other. */
export function errorOf(reply: Buffer): string | undefined {
  if (reply[0] === MINUS) return reply.latin1Slice(1, reply.length - 2);
  return reply[0] === 0x21 ? reply.latin1Slice(reply.indexOf(LF) + 1, reply.length - 2) : undefined;
}
