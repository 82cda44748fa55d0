import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { managerErrorOf } from '../../../src/master/status.js';

it.each([
  ['connect ECONNREFUSED 127.0.0.1:8278', 'connect ECONNREFUSED 127.0.0.1:8278'],
  ['Failed to connect (2026-01-02T03:04:05.678Z)', 'Failed to connect'],
])('what gRPC says of a connection is the same each time: %s', (said, expected) => {
  const details = `No connection established. Last error: ${said}. Resolution note: `;
  const error = Object.assign(new Error(details), { code: status.UNAVAILABLE, details });
  expect(managerErrorOf(error, '127.0.0.1:8278').message).toBe(expected);
});
