import { expect, it } from 'vitest';
import { Row } from '../../../src/types/row.js';
import { decodeRow, RowFormatError } from '../../../src/types/row-codec.js';

it('a row cut within its expiry is refused', () => {
  const whole = Buffer.from('110100000000000000010000018bcfe56800', 'hex');
  decodeRow(new Row('key'), whole);
  for (let length = 10; length < 18; length++)
    expect(() => decodeRow(new Row('key'), whole.subarray(0, length))).toThrow(RowFormatError);
});

it('a row with bits that this format leaves 0 is refused', () => {
  for (const bit of [0x20, 0x40, 0x80]) {
    const bytes = Buffer.from('01000000000000000001', 'hex');
    bytes[0]! |= bit;
    expect(() => decodeRow(new Row('key'), bytes)).toThrow(RowFormatError);
  }
});
