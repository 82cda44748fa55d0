import { Buffer } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Connection } from './connection.js';
import { Attention } from './session.js';

/** The only user there is. */
const USER = 'default';

function digest(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/**
 * Whether user and password are right. The time it takes says nothing of the password.
 * @param requirepass '' lets every password pass
 */
export function passwordMatches(requirepass: string, user: string, password: Uint8Array): boolean {
  const isRight = timingSafeEqual(digest(password), digest(Buffer.from(requirepass, 'utf8')));
  return user === USER && (requirepass === '' || isRight);
}

/** Lets the connection run commands, or has it give the password first. */
export function setAuthenticated(connection: Connection, authenticated: boolean): void {
  connection.limits.authenticated = authenticated;
  connection.session.set(Attention.Unauthenticated, !authenticated);
}
