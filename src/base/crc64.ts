/**
 * The CRC of Redis's files and DUMP payloads: CRC-64/REDIS in the catalogue of CRCs
 * (https://reveng.sourceforge.io/crc-catalogue/), polynomial 0xad93d23594c935a9 by David T. Jones, bits reflected,
 * starting from 0, no final inversion. Check value: that of "123456789" is 0xe9c6d914c4b8d9ca.
 *
 * JavaScript has no fast 64-bit integers, so the register is two 32-bit halves, with a table for each.
 */
export interface Crc64 {
  readonly high: number;
  readonly low: number;
}

const POLYNOMIAL_REFLECTED_HIGH = 0x95ac9329;
const POLYNOMIAL_REFLECTED_LOW = 0xac4bc9b5;

const tableHigh = new Int32Array(256);
const tableLow = new Int32Array(256);

for (let byte = 0; byte < 256; byte++) {
  let high = 0;
  let low = byte;
  for (let bit = 0; bit < 8; bit++) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (carry !== 0) {
      high ^= POLYNOMIAL_REFLECTED_HIGH;
      low ^= POLYNOMIAL_REFLECTED_LOW;
    }
  }
  tableHigh[byte] = high;
  tableLow[byte] = low;
}

/** The CRC of the first `length` bytes, as two unsigned halves. */
export function crc64(bytes: Uint8Array, length = bytes.length): Crc64 {
  let high = 0;
  let low = 0;
  for (let at = 0; at < length; at++) {
    const entry = (low ^ bytes[at]!) & 255;
    low = ((low >>> 8) | (high << 24)) ^ tableLow[entry]!;
    high = (high >>> 8) ^ tableHigh[entry]!;
  }
  return { high: high >>> 0, low: low >>> 0 };
}
