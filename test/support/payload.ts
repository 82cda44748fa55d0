import { crc64 } from '../../src/base/crc64.js';

/** A payload of these bytes with a right footer. */
export function sealedPayload(body: readonly number[] | Buffer, version = 10): Buffer {
  const payload = Buffer.concat([Buffer.from(body), Buffer.of(version, 0), Buffer.alloc(8)]);
  const { high, low } = crc64(payload, payload.length - 8);
  payload.writeUInt32LE(low, payload.length - 8);
  payload.writeUInt32LE(high, payload.length - 4);
  return payload;
}
