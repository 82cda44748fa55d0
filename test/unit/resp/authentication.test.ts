import { expect, test } from 'vitest';
import { passwordMatches } from '../../../src/resp/authentication.js';

test.each([
  ['secret', 'default', 'secret', true],
  ['secret', 'default', 'secre', false],
  ['secret', 'default', '', false],
  ['secret', 'other', 'secret', false],
  ['secret', 'DEFAULT', 'secret', false],
  ['', 'default', 'anything', true],
  ['', 'other', '', false],
  ['geheimß', 'default', 'geheimß', true],
])('requirepass %j: %s with %j', (requirepass, user, password, expected) => {
  expect(passwordMatches(requirepass, user, Buffer.from(password))).toBe(expected);
});
