import { describe, expect, test } from 'vitest';
import { Keyspace } from '../../../src/node/keyspaces.js';
import { Attention, Session } from '../../../src/resp/session.js';

function skipping(): Session {
  const session = new Session(1);
  session.replies = 'skip';
  session.set(Attention.Silent, true);
  return session;
}

describe('CLIENT REPLY SKIP', () => {
  test('is over after one command', () => {
    const session = skipping();
    session.nextReply();
    expect(session.replies).toBe('skipping');
    session.nextReply();
    expect(session.replies).toBe('on');
    expect(session.attention & Attention.Silent).toBe(0);
  });

  test('waits for a command that is put back', () => {
    const session = skipping();
    session.nextReply();
    session.putReplyBack();
    session.nextReply();
    expect(session.replies).toBe('skipping');
  });

  test('OFF stays', () => {
    const session = skipping();
    session.replies = 'off';
    session.nextReply();
    session.putReplyBack();
    expect(session.replies).toBe('off');
  });
});

describe('RESET', () => {
  test('undoes what the connection said, but for the library that made it', () => {
    const session = new Session(1);
    session.select(3);
    session.version = 3;
    session.name = 'name';
    session.libraryName = 'library';
    session.noTouch = true;
    session.replies = 'off';
    session.set(Attention.Silent, true);
    session.reset();
    expect(session).toMatchObject({ db: 0, version: 2, name: '', noTouch: false, replies: 'on' });
    expect(session.libraryName).toBe('library');
    expect(session.attention).toBe(0);
  });

  test('is itself skipped by CLIENT REPLY SKIP', () => {
    const session = skipping();
    session.nextReply();
    session.reset();
    expect(session.replies).toBe('skipping');
  });
});

describe('a session at a cluster door', () => {
  test('stays at its keyspace when that is elsewhere, for EXEC that waits, and not when it is no more', () => {
    const session = new Session(1);
    session.bindDoor('orders');
    const keyspace = new Keyspace('0'.repeat(16));
    session.keyspace = keyspace;
    session.forgetRoute();
    expect(session.keyspace).toBe(keyspace);
    keyspace.deleted = true;
    session.forgetRoute();
    expect(session.keyspace).toBeUndefined();
  });
});
