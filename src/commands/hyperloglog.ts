import { CommandError } from '../base/command-errors.js';
import { toInt64 } from '../base/numbers.js';
import { estimateCount, HyperLogLog, isHyperLogLog } from '../types/hyperloglog.js';
import { REGISTER_COUNT } from '../types/hyperloglog-sparse.js';
import { type Row, RowFlag, stringValue } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import { allKeys, type CommandDefinition, oneKey, type ShardHandler } from './definition.js';
import { findString } from './string-access.js';

const NOT_A_SKETCH = new CommandError('WRONGTYPE Key is not a valid HyperLogLog string value.');
const CORRUPT = new CommandError('INVALIDOBJ Corrupted HLL object detected');

/** The row of a key that holds a sketch; undefined where there is no key. */
function findSketch(view: ShardView, key: string): Row | undefined | CommandError {
  const row = findString(view, key);
  if (row === undefined || row instanceof CommandError || isHyperLogLog(row.value)) return row;
  return NOT_A_SKETCH;
}

function store(view: ShardView, key: string, row: Row | undefined, sketch: HyperLogLog): void {
  const value = stringValue(sketch.encoded());
  if (row === undefined) view.setString(key, value, 0, undefined, RowFlag.Raw);
  else view.updateString(row, value, RowFlag.Raw);
}

/** Replies 1 if a register changed or the key was made, which happens without elements too. */
const addElements: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findSketch(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const sketch = row === undefined ? HyperLogLog.empty() : HyperLogLog.of(row.value);
  let changed = row === undefined;
  for (let index = 2; index < args.count; index++) {
    const raised = sketch.add(args.bytes(index));
    if (raised === undefined) return reply.error(CORRUPT);
    if (raised) changed = true;
  }
  if (changed) {
    // As in Redis, a sketch made without elements is marked, too, although its cached 0 is right.
    sketch.invalidate();
    store(view, key, row, sketch);
  } else if (row !== undefined && (row.flags & RowFlag.Raw) === 0) {
    view.setFlags(row, RowFlag.Raw);
  }
  reply.integer(changed ? 1 : 0);
};

/** One key's estimate is kept in the sketch until it changes, which is why PFCOUNT writes; of several, the union's is computed. */
const countElements: ShardHandler = ({ view, reply, writable }, args) => {
  const registers = new Uint8Array(REGISTER_COUNT);
  if (args.count > 2) {
    for (let index = 1; index < args.count; index++) {
      const row = findSketch(view, args.text(index));
      if (row === undefined) continue;
      if (row instanceof CommandError) return reply.error(row);
      if (!HyperLogLog.of(row.value).mergeInto(registers)) return reply.error(CORRUPT);
    }
    return reply.integer(estimateCount(registers));
  }
  const key = args.text(1);
  const row = findSketch(view, key);
  if (row === undefined) return reply.integer(0);
  if (row instanceof CommandError) return reply.error(row);
  const sketch = HyperLogLog.of(row.value);
  const cached = sketch.cachedCount();
  if (cached !== undefined) return reply.integer(toInt64(cached));
  if (!sketch.mergeInto(registers)) return reply.error(CORRUPT);
  const count = estimateCount(registers);
  if (writable) {
    sketch.cacheCount(count);
    store(view, key, row, sketch);
  }
  reply.integer(count);
};

/** The destination, if there, is one of the sources. It becomes dense if any of them is, and keeps its expiry. */
const mergeSketches: ShardHandler = ({ view, reply }, args) => {
  const registers = new Uint8Array(REGISTER_COUNT);
  let dense = false;
  for (let index = 1; index < args.count; index++) {
    const row = findSketch(view, args.text(index));
    if (row === undefined) continue;
    if (row instanceof CommandError) return reply.error(row);
    const sketch = HyperLogLog.of(row.value);
    if (sketch.isDense) dense = true;
    if (!sketch.mergeInto(registers)) return reply.error(CORRUPT);
  }
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const target = row === undefined ? HyperLogLog.empty() : HyperLogLog.of(row.value);
  if (dense && !target.toDense()) return reply.error(CORRUPT);
  for (let index = 0; index < REGISTER_COUNT; index++) {
    if (registers[index] !== 0) target.raise(index, registers[index]!);
  }
  target.invalidate();
  store(view, key, row, target);
  reply.ok();
};

export const hyperloglogCommands: readonly CommandDefinition[] = [
  {
    name: 'pfadd',
    arity: -2,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'insert'),
    group: 'hyperloglog',
    since: '2.8.9',
    summary: 'Counts elements in a HyperLogLog sketch; replies 1 if that may have changed its estimate.',
    complexity: 'O(1) an element',
    syntax: 'key [element [element ...]]',
    runs: 'shard',
    run: addElements,
  },
  {
    name: 'pfcount',
    arity: -2,
    flags: ['readonly'],
    keys: allKeys(1, 'RW', 'access'),
    group: 'hyperloglog',
    since: '2.8.9',
    summary: 'Estimates how many different elements a sketch, or several together, have counted.',
    complexity: 'O(1) for one key, O(N) for N keys',
    syntax: 'key [key ...]',
    runs: 'shard',
    run: countElements,
  },
  {
    name: 'pfmerge',
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: [
      { first: 1, last: 1, step: 1, flags: ['RW', 'access', 'insert'] },
      { first: 2, last: -1, step: 1, flags: ['RO', 'access'] },
    ],
    group: 'hyperloglog',
    since: '2.8.9',
    summary: 'Unites sketches into the one at the first key.',
    complexity: 'O(N) for N keys',
    syntax: 'destkey [sourcekey [sourcekey ...]]',
    runs: 'shard',
    run: mergeSketches,
  },
];
