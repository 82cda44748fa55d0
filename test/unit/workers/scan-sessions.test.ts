import { describe, expect, it } from 'vitest';
import { ScanSessions } from '../../../src/workers/scan-sessions.js';
import { seeded } from '../../support/replay.js';

const IDLE_MS = 60_000;
const SESSIONS_MAX = 65_536;

function begin(scans: ScanSessions, nowMs = 0): number {
  const opened = scans.open('0', nowMs)!;
  expect(opened.after).toBeUndefined();
  return opened.session;
}

describe('a scan cursor', () => {
  it('leads behind the key it was saved with, time and again', () => {
    const scans = new ScanSessions(7, IDLE_MS);
    const session = begin(scans);
    let cursor = scans.save(session, 'key0');
    for (let step = 1; step < 50; step++) {
      expect(scans.open(cursor, step)).toEqual({ session, after: `key${step - 1}` });
      cursor = scans.save(session, `key${step}`);
      expect(cursor).toMatch(/^[1-9]\d*$/);
    }
  });

  it('may be used again as long as the one behind it was not', () => {
    const scans = new ScanSessions(7, IDLE_MS);
    const session = begin(scans);
    const first = scans.save(session, 'a');
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(scans.open(first, 1)).toEqual({ session, after: 'a' });
      scans.save(session, 'b');
    }
    expect(scans.open(first, 1)?.after).toBe('a');
    const second = scans.save(session, 'b');
    expect(scans.open(second, 1)?.after).toBe('b');
    const third = scans.save(session, 'c');
    expect(scans.open(first, 1)).toBeUndefined();
    expect(scans.open(second, 1)?.after).toBe('b');
    scans.save(session, 'c');
    expect(scans.open(third, 1)?.after).toBe('c');
  });

  it('is unknown when it never was one, or its session is closed', () => {
    const scans = new ScanSessions(7, IDLE_MS);
    const session = begin(scans);
    const cursor = scans.save(session, 'a');
    for (const wrong of [
      '1',
      '18446744073709551615',
      '-1',
      'x',
      '',
      `${cursor}0`,
      `${Number(cursor) + 1}`,
      '1.5',
    ])
      expect(scans.open(wrong, 1)).toBeUndefined();
    scans.close(session);
    expect(scans.open(cursor, 1)).toBeUndefined();
    expect(() => scans.save(session, 'b')).toThrow('not open');
    const other = scans.save(begin(scans), 'a');
    scans.clear();
    expect(scans.open(other, 1)).toBeUndefined();
  });

  it('of before a restart is unknown', () => {
    const cursor = ((scans) => scans.save(begin(scans), 'a'))(new ScanSessions(1000, IDLE_MS));
    const later = new ScanSessions(2_000_000, IDLE_MS);
    begin(later);
    expect(later.open(cursor, 1)).toBeUndefined();
  });

  it('counts through all steps of a session and all sessions of a shard', () => {
    const scans = new ScanSessions(2 ** 31 - 2, IDLE_MS);
    const sessions = [begin(scans), begin(scans), begin(scans)];
    expect(new Set(sessions).size).toBe(3);
    for (const session of sessions) expect(session).toBeGreaterThan(0);
    const session = sessions[0]!;
    let cursor = '';
    for (let step = 0; step < 2 ** 20 + 10; step++) cursor = scans.save(session, `k${step}`);
    expect(scans.open(cursor, 0)?.after).toBe(`k${2 ** 20 + 9}`);
    expect(Number.isSafeInteger(Number(cursor))).toBe(true);
  });
});

describe('a scan that is left', () => {
  it('is kept for its time, and forgotten behind it when others begin', () => {
    const scans = new ScanSessions(7, IDLE_MS);
    const idle = scans.save(begin(scans, 0), 'a');
    const busy = begin(scans, 0);
    const cursor = scans.save(busy, 'b');
    begin(scans, IDLE_MS - 1);
    expect(scans.open(cursor, IDLE_MS - 1)?.after).toBe('b');
    begin(scans, IDLE_MS);
    expect(scans.open(idle, IDLE_MS)).toBeUndefined();
    expect(scans.open(cursor, IDLE_MS)?.after).toBe('b');
  });

  it('is the first to go when there are too many', () => {
    const scans = new ScanSessions(7, IDLE_MS);
    const first = scans.save(begin(scans), 'a');
    const second = scans.save(begin(scans), 'b');
    for (let count = 2; count < SESSIONS_MAX; count++) begin(scans);
    expect(scans.open(first, 0)?.after).toBe('a');
    begin(scans);
    expect(scans.open(first, 0)?.after).toBe('a');
    expect(scans.open(second, 0)).toBeUndefined();
    for (let count = 0; count < 200; count++) begin(scans);
    expect(Reflect.get(scans, 'sessions')).toHaveProperty('size', SESSIONS_MAX);
  });
});

it('a whole scan gives every key that stays exactly once, whatever else comes and goes', () =>
  seeded(50, (random) => {
    const scans = new ScanSessions(random.int(0, 2 ** 30), IDLE_MS);
    const staying = new Set(Array.from({ length: 60 }, () => random.bytes(2)));
    const keys = new Set(staying);
    const found: string[] = [];
    for (let cursor = '0'; ; ) {
      // A lost reply: the client asks again.
      for (let attempt = random.int(0, 2); attempt >= 0; attempt--) {
        const { session, after } = scans.open(cursor, 0)!;
        const behind = [...keys]
          .filter((key) => after === undefined || key > after)
          .sort((a, b) => (a < b ? -1 : 1));
        const step = behind.slice(0, random.int(1, 10));
        const more = step.length < behind.length;
        if (attempt > 0 && cursor !== '0') {
          if (more) scans.save(session, step.at(-1)!);
          continue;
        }
        found.push(...step);
        if (!more) {
          expect(found.filter((key) => staying.has(key)).toSorted()).toEqual([...staying].toSorted());
          return;
        }
        cursor = scans.save(session, step.at(-1)!);
        attempt = 0;
      }
      for (let change = 0; change < 5; change++) {
        const key = random.bytes(2);
        if (!staying.has(key)) keys.add(key);
        const other = random.pick([...keys]);
        if (!staying.has(other)) keys.delete(other);
      }
    }
  }));
