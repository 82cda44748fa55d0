import { expect, it } from 'vitest';
import { FrameArguments } from '../../../src/base/arguments.js';
import { BatchWriter, openBatch } from '../../../src/workers/batch.js';
import {
  BATCH_HEADER_WORDS,
  BatchFlag,
  Instruction,
  SEGMENT_HEADER_WORDS,
} from '../../../src/workers/protocol.js';
import type { Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';

interface Item {
  readonly code: number;
  readonly args: readonly string[];
  readonly value?: number;
}

interface Segment {
  readonly receiver: string;
  readonly clientId: number;
  readonly shard: number;
  readonly flags: number;
  readonly items: Item[];
}

/** What a worker reads in a batch. */
function readBatch(memory: ArrayBuffer): Omit<Segment, 'receiver'>[] {
  const batch = openBatch(memory);
  const { words } = batch;
  const args = new FrameArguments();
  let at = BATCH_HEADER_WORDS;
  const segments: Omit<Segment, 'receiver'>[] = [];
  for (let index = 0; index < batch.segments; index++) {
    const items: Item[] = [];
    const [clientId, shard, flags, count] = [words[at]!, words[at + 1]!, words[at + 3]!, words[at + 4]!];
    at += SEGMENT_HEADER_WORDS;
    for (let item = 0; item < count; item++) {
      const code = words[at]!;
      args.point(batch.bytes, words, at + 2, words[at + 1]!);
      if (code < Instruction.Reply) items.push({ code, args: [], value: words[at + 2]! });
      else items.push({ code, args: Array.from({ length: args.count }, (_, each) => args.text(each)) });
      at += 2 + 2 * args.count;
    }
    segments.push({ clientId, shard, flags, items });
  }
  expect(at).toBe(words.length);
  return segments;
}

/** Some commands whose arguments are views of one buffer, with gaps between them, as the decoder makes them. */
function frames(
  random: Random,
  lengthMax: number,
): { buffer: Buffer; commands: string[][]; views: Buffer[][] } {
  const commands = Array.from({ length: random.int(1, 5) }, () =>
    Array.from({ length: random.int(1, 6) }, () => random.bytes(random.int(0, lengthMax))),
  );
  const memory = Buffer.from(
    `before${commands.map((args) => args.map((arg) => `$$${arg}`).join('')).join('*')}`,
    'latin1',
  );
  // A chunk is often a part of a larger buffer.
  const buffer = random.chance(0.5) ? memory.subarray(3) : memory;
  let at = 6 - (memory.length - buffer.length);
  const views = commands.map((args, index) => {
    if (index > 0) at++;
    return args.map((arg) => {
      at += 2 + arg.length;
      return buffer.subarray(at - arg.length, at);
    });
  });
  return { buffer, commands, views };
}

function fill(writer: BatchWriter<string>, random: Random, index: number): Segment {
  const segment: Segment = {
    receiver: `r${index}`,
    clientId: random.int(0, 2 ** 31 - 1),
    shard: random.int(0, 1000),
    flags: random.int(0, 7),
    items: [],
  };
  writer.begin(segment.receiver, segment.clientId, segment.shard, segment.flags);
  for (let count = random.int(0, 6); count > 0; count--) {
    const choice = random.int(0, 9);
    if (choice < 2) {
      const value = random.int(0, 2 ** 31 - 1);
      const code = random.pick([
        Instruction.UseShard,
        Instruction.UseTarget,
        Instruction.Unwatch,
        Instruction.Flush,
      ]);
      writer.instruct(code, value);
      segment.items.push({ code, args: [], value });
    } else if (choice < 4) {
      const reply = random.bytes(random.int(1, 50));
      writer.addReply(Buffer.from(reply, 'latin1'));
      segment.items.push({ code: Instruction.Reply, args: [reply] });
    } else {
      const { buffer, commands, views } = frames(random, random.chance(0.01) ? 20_000 : 30);
      views.forEach((args, at) => {
        const code = random.int(0, 300);
        writer.add(code, args, buffer);
        segment.items.push({ code, args: commands[at]! });
        if (random.chance(0.1)) {
          writer.addReply(Buffer.from('+OK\r\n'));
          segment.items.push({ code: Instruction.Reply, args: ['+OK\r\n'] });
        }
      });
    }
  }
  return segment;
}

it('a batch comes out as it went in, batch after batch', () =>
  seeded(25, (random) => {
    const writer = new BatchWriter<string>();
    for (let round = 0; round < 4; round++) {
      expect(writer.isEmpty).toBe(true);
      const segments = Array.from({ length: random.int(0, 30) }, (_, index) => fill(writer, random, index));
      const flushes = random.chance(0.3);
      if (flushes) writer.markFlushes();
      expect(writer.isEmpty).toBe(segments.length === 0);
      expect(writer.receivers).toEqual(segments.map((segment) => segment.receiver));
      const { byteLength } = writer;
      const memory = writer.take();
      expect(memory.byteLength).toBe(byteLength);
      expect(openBatch(memory).flags).toBe(flushes ? BatchFlag.Flushes : 0);
      expect(readBatch(memory)).toEqual(segments.map(({ receiver: _, ...rest }) => rest));
    }
  }));

it('the bytes of a read cross once, however many commands they hold', () => {
  const writer = new BatchWriter<string>();
  const chunk = Buffer.alloc(10_000, 'x');
  writer.begin('r', 1, 1, 0);
  for (let at = 0; at < 10_000; at += 100) writer.add(1, [chunk.subarray(at, at + 100)], chunk);
  expect(writer.byteLength).toBeLessThan(10_000 + 4 * 500);
});

it('a large argument crosses, and its memory is given back', () => {
  const writer = new BatchWriter<string>();
  const large = Buffer.alloc(40 << 20, 'vasto');
  writer.begin('r', 1, 1, 0);
  writer.add(
    5,
    [Buffer.from(''), large].map((part) => (part.length === 0 ? large.subarray(7, 7) : part)),
    large,
  );
  const memory = writer.take();
  const batch = openBatch(memory);
  expect(batch.bytes.equals(large)).toBe(true);
  expect((Reflect.get(writer, 'bytes') as Buffer).length).toBeLessThan(1 << 20);
  // The memory is the batch's own: it can be transferred, and the writer goes on.
  const moved = structuredClone(memory, { transfer: [memory] });
  writer.begin('s', 2, 2, 0);
  writer.add(6, [large.subarray(0, 3)], large.subarray(0, 3));
  expect(readBatch(writer.take())).toEqual([
    { clientId: 2, shard: 2, flags: 0, items: [{ code: 6, args: ['vas'] }] },
  ]);
  expect(moved.byteLength).toBeGreaterThan(40 << 20);
});
