import { describe, expect, test } from 'vitest';
import { Random } from '../support/random.js';
import { type Allowance, type Event, KeyHistory, STRICT, type Verdict } from './ledger.js';
import { ABSENT, KINDS, type Operation, randomOperation, type State, textOfState } from './operations.js';

const SET = (value: string): Operation => ({
  kind: 'string',
  words: ['SET', 'k', value],
  isRead: false,
  apply: () => ({ state: [value], reply: 'OK' }),
});
const INCR: Operation = {
  kind: 'counter',
  words: ['INCR', 'k'],
  isRead: false,
  apply: (state) => {
    const count = String(Number(state[0] ?? 0) + 1);
    return { state: [count], reply: count };
  },
};
const GET: Operation = {
  kind: 'string',
  words: ['GET', 'k'],
  isRead: true,
  apply: (state) => ({ state, reply: textOfState(state) }),
};

let now = 0;

function acknowledged(operation: Operation, reply: string, isOnReplica = false): Event {
  now += 10;
  return {
    operation,
    sentAt: now - 5,
    endedAt: now,
    outcome: { kind: 'acknowledged', reply },
    isOnReplica,
  };
}

function unknown(operation: Operation): Event {
  now += 10;
  const outcome = { kind: 'unknown', message: 'lost' } as const;
  return { operation, sentAt: now - 5, endedAt: now, outcome, isOnReplica: false };
}

/** What is wrong; undefined if nothing is. */
function judge(events: readonly Event[], found: State, allowance: Allowance = STRICT): string | undefined {
  const history = new KeyHistory('k', 'string');
  history.events.push(...events);
  return textOf(history.judge(found, allowance));
}

function textOf(verdict: Verdict): string | undefined {
  expect(verdict.kind).not.toBe('undecided');
  return verdict.kind === 'wrong' ? verdict.text : undefined;
}

/** A fault from the beginning on, of a shard with other copies. */
const FAULT: Allowance = { branchesFrom: 0, mayLose: false, waitsHold: true };

describe('a key of which there is one copy', () => {
  test('is what was acknowledged last', () => {
    const events = [acknowledged(SET('a'), 'OK'), acknowledged(SET('b'), 'OK'), acknowledged(GET, 'b')];
    expect(judge(events, ['b'])).toBeUndefined();
    expect(judge(events, ['a'])).toContain('in the end there is "a"');
    expect(judge(events, ABSENT)).toContain('in the end there is nothing');
  });

  test('may be what a command has made of which nobody knows, also behind later ones, but once', () => {
    const events = [acknowledged(INCR, '1'), unknown(INCR), acknowledged(INCR, '2')];
    expect(judge(events, ['2'])).toBeUndefined();
    expect(judge(events, ['3'])).toBeUndefined();
    expect(judge(events, ['4'])).toContain('in the end there is "4"');
    expect(
      judge([acknowledged(SET('a'), 'OK'), unknown(SET('b')), acknowledged(SET('c'), 'OK')], ['b']),
    ).toBe(undefined);
  });

  test('does not go back', () => {
    expect(judge([acknowledged(INCR, '1'), acknowledged(INCR, '1')], ['1'])).toContain('replied "1"');
    expect(judge([acknowledged(SET('a'), 'OK'), acknowledged(GET, '')], ['a'])).toContain('replied ""');
  });
});

describe('a key of which there are copies, while there is a fault', () => {
  test('may go back, and is what was acknowledged last all the same', () => {
    const events = [acknowledged(INCR, '1'), acknowledged(INCR, '2'), acknowledged(INCR, '2')];
    expect(judge(events, ['2'], FAULT)).toBeUndefined();
    expect(judge(events, ['3'], FAULT)).toContain('in the end there is "3"');
    expect(judge(events, ['1'], FAULT)).toContain('in the end there is "1"');
    const stale = [acknowledged(SET('a'), 'OK'), acknowledged(SET('b'), 'OK'), acknowledged(GET, 'a')];
    expect(judge(stale, ['b'], FAULT)).toBeUndefined();
    expect(judge(stale, ['a'], FAULT)).toContain('in the end there is "a"');
  });

  test('may have lost the last writes where a dead store was replaced', () => {
    const events = [acknowledged(SET('a'), 'OK'), acknowledged(SET('b'), 'OK')];
    expect(judge(events, ['a'], FAULT)).toContain('in the end there is "a"');
    expect(judge(events, ['a'], { ...FAULT, mayLose: true })).toBeUndefined();
    expect(judge(events, ['c'], { ...FAULT, mayLose: true })).toContain('in the end there is "c"');
  });

  test('never goes back behind what WAIT has found on a replica', () => {
    const events = [
      acknowledged(INCR, '1'),
      acknowledged(INCR, '2', true),
      acknowledged(INCR, '3'),
      acknowledged(INCR, '2'),
    ];
    expect(judge(events, ['2'], FAULT)).toContain('replied "2"');
    expect(judge(events, ['2'], { ...FAULT, waitsHold: false })).toBeUndefined();
  });

  test('does not go back to what was replaced before the fault', () => {
    const first = acknowledged(SET('a'), 'OK');
    const events = [first, acknowledged(SET('b'), 'OK'), acknowledged(SET('c'), 'OK')];
    const later: Allowance = { ...FAULT, branchesFrom: now - 5, mayLose: true };
    expect(judge(events, ['b'], later)).toBeUndefined();
    expect(judge(events, ['a'], later)).toContain('in the end there is "a"');
  });
});

test('a key of which too many states are possible is said to be undecided, not right', () => {
  const history = new KeyHistory('k', 'string');
  for (let count = 0; count <= 1000; count++) history.events.push(acknowledged(SET(`${count}`), 'OK'));
  expect(history.judge(['never set'], FAULT)).toMatchObject({ kind: 'wrong' });
  history.events.push(acknowledged(SET('more'), 'OK'), acknowledged(SET('and more'), 'OK'));
  expect(history.judge(['and more'], FAULT)).toEqual({ kind: 'undecided' });
  expect(history.judge(['never set'], FAULT)).toEqual({ kind: 'undecided' });
});

test('what a random session without faults replies is what is expected', () => {
  const random = new Random(7);
  for (const kind of KINDS) {
    const history = new KeyHistory('k', kind);
    let state = ABSENT;
    for (let sequence = 0; sequence < 300; sequence++) {
      const operation = randomOperation(random, kind, 'k', sequence, 0.5);
      const result = operation.apply(state);
      state = result.state;
      history.events.push(acknowledged(operation, result.reply));
    }
    expect(textOf(history.judge(state, STRICT))).toBeUndefined();
    expect(textOf(history.judge([...state, 'more'], STRICT))).toContain('in the end');
    history.settle(state);
    expect(textOf(history.judge(state, STRICT))).toBeUndefined();
  }
});
