import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Coordinator, type StartThread } from '../../../../src/cli/bench/coordinator.js';
import { type BenchOptions, benchCommand } from '../../../../src/cli/bench/options.js';
import { phases, threadPlans } from '../../../../src/cli/bench/plan.js';
import { createHistogram } from '../../../../src/cli/bench/recorder.js';
import { drawHistogram, report } from '../../../../src/cli/bench/report.js';
import { type Outcome, summarize } from '../../../../src/cli/bench/result.js';
import { BenchThread } from '../../../../src/cli/bench/thread.js';
import { FakeServer } from './fake-server.js';

/** A thread that is none, so that what is tested is the source and not what was built of it. */
const startHere: StartThread = (plan, post) => {
  const thread = new BenchThread(plan, post);
  return { send: (message) => void thread.handle(message), end: () => undefined };
};

async function parse(words: readonly string[]): Promise<BenchOptions> {
  let options: BenchOptions | undefined;
  const command = benchCommand(async (given) => {
    options = given;
  });
  command.exitOverride().configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  await command.parseAsync(words, { from: 'user' });
  return options!;
}

let server: FakeServer;

beforeEach(async () => {
  server = await FakeServer.start();
});

afterEach(() => server.stop());

async function bench(line: string): Promise<Outcome> {
  const target = line.includes('--server') ? '' : `--server ${server.address}`;
  const words = `${target} --clients 4 --keys 50 --requests 2000 --seed 1`.trim().split(' ');
  const options = await parse([...words, ...line.split(' ').filter((word) => word !== '')]);
  const plans = threadPlans(options);
  const coordinator = new Coordinator(plans, { phase: () => undefined, moment: () => undefined }, startHere);
  await coordinator.run(phases(options));
  const { name: distribution, exponent } = plans[0]!.source.distribution;
  return summarize(options, coordinator, new Date(0), { distribution, exponent });
}

const MIX = '--workload get:5,set:5,mget:1,mset:1,range:1,rmw:1,exists:1,incr:3,insert:1,del:1,ping:1';

describe('a run', () => {
  it.each([
    MIX,
    `${MIX} --threads 3 --pipeline 7`,
    `${MIX} --no-check`,
    '--workload d --pipeline 3',
    '--workload e --distribution zipf:1.3',
    '--workload set --value-size 32-5000 --duration 100ms',
  ])('against a good server is good: %s', async (line) => {
    const { result } = await bench(line);
    expect(result.check.examples).toEqual([]);
    expect(result.errors).toEqual({ total: 0, byCode: {}, examples: [], disconnections: 0 });
    expect(result.ok).toBe(true);
    const sum = Object.values(result.operations).reduce((total, each) => total + each.operations, 0);
    expect(result.total.operations).toBe(sum);
    if (!line.includes('duration')) expect(sum).toBe(2000);
    if (line.includes('check')) expect(result.check.valuesChecked).toBe(0);
    else expect(result.check.valuesChecked).toBeGreaterThan(0);
  });

  it('sends the same commands for the same seed', async () => {
    const names = async () => {
      server.log.length = 0;
      await bench('--workload get:5,mset:3,incr:2 --clients 1 --no-verify');
      return server.log.map((line) => line.split(/[^\w:. ]/)[0]!);
    };
    expect(await names()).toEqual(await names());
  });

  it('keeps to a rate, and counts latency from when an operation was due', async () => {
    const { result } = await bench('--workload get --rate 1000 --requests 300 --clients 1');
    expect(result.elapsedSeconds).toBeGreaterThan(0.29);
    expect(result.elapsedSeconds).toBeLessThan(2);
    let calls = 0;
    server.lie = () => {
      // A pause of 200 ms, in which everybody waits.
      if (++calls === 150) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      return undefined;
    };
    const paused = await bench('--workload get --rate 1000 --requests 300 --clients 1 --no-load');
    // Some 200 operations were due in the pause; a closed loop would have seen one slow operation of 300.
    expect(paused.result.total.latencyUs.p50).toBeGreaterThan(20_000);
  });

  it('deletes what it wrote when asked to', async () => {
    await bench(`${MIX} --clean`);
    expect([...server.data.keys()]).toEqual([]);
  });

  it('tells why it cannot connect', async () => {
    server.lie = () => '-ERR DB index is out of range\r\n';
    await expect(bench('--db 99')).rejects.toThrow(/cannot use .*: ERR DB index is out of range/);
    const { address } = server;
    server.stop();
    await expect(bench(`--server ${address}`)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('a server that lies is found out:', () => {
  const isGet = (words: readonly Buffer[]) =>
    String(words[0]) === 'GET' && !String(words[1]).includes('counter');
  const one = '--clients 1 --workload get:1,set:1';

  /** Lies once, at a moment when the run is well under way; `--no-verify` leaves the finding to the load itself. */
  function lieOnce(when: (words: readonly Buffer[]) => boolean, what: FakeServer['lie']): void {
    let seen = 0;
    server.lie = (words, self) => (when(words) && ++seen === 500 ? what(words, self) : undefined);
  }

  it('a value of another key', async () => {
    lieOnce(isGet, (_words, self) => self.answer([Buffer.from('GET'), Buffer.from('bench:0000000049')]));
    const { result } = await bench(`${one} --no-verify`);
    expect(result).toMatchObject({ ok: false, check: { failures: 1, byProblem: { 'wrong key': 1 } } });
  });

  it('a torn value', async () => {
    const before = new Map<string, Buffer>();
    let torn = 0;
    server.lie = (words, self) => {
      const key = String(words[1]);
      if (String(words[0]) === 'SET' && self.data.has(key)) before.set(key, self.data.get(key)!);
      if (!isGet(words) || !before.has(key) || torn > 0) return undefined;
      torn++;
      const mixed = Buffer.concat([self.data.get(key)!.subarray(0, 50), before.get(key)!.subarray(50)]);
      return Buffer.concat([Buffer.from(`$${mixed.length}\r\n`), mixed, Buffer.from('\r\n')]);
    };
    const { result } = await bench(`${one} --no-verify`);
    expect(result).toMatchObject({ ok: false, check: { failures: 1, byProblem: { torn: 1 } } });
  });

  it('an acknowledged write that was not done', async () => {
    lieOnce(
      (words) => String(words[0]) === 'SET',
      () => '+OK\r\n',
    );
    const { result } = await bench('--clients 1 --workload get:9,set:1 --requests 9000');
    expect(result.ok).toBe(false);
    expect(result.check.byProblem.stale).toBeGreaterThan(0);
  });

  it('the same at the end, by reading all that was written', async () => {
    server.lie = (words) => (String(words[1]) === 'bench:0000000007' ? '+OK\r\n' : undefined);
    const { result } = await bench('--workload set --clients 1 --no-load --requests 500');
    expect(result.check.byProblem).toEqual({ 'unexpected reply': 1 });
    server.lie = (words) =>
      String(words[0]) === 'SET' && String(words[1]) === 'bench:0000000007' ? '+OK\r\n' : undefined;
    expect((await bench('--workload set --clients 1 --requests 500')).result.check.byProblem).toEqual({
      missing: 1,
    });
  });

  it('a key that is gone, but not one that was deleted', async () => {
    lieOnce(isGet, () => '$-1\r\n');
    expect((await bench(`${one} --no-verify`)).result.check.byProblem).toEqual({ missing: 1 });
    server.lie = () => undefined;
    expect((await bench('--workload get:1,set:1,del:1 --pipeline 5')).result.check.byProblem).toEqual({});
  });

  it('a value of another run after a write of this one, unless others may write', async () => {
    await bench('--workload set');
    const old = new Map(server.data);
    server.lie = (words, self) => {
      if (String(words[0]) === 'SET') self.data.set(String(words[1]), old.get(String(words[1]))!);
      return String(words[0]) === 'SET' ? '+OK\r\n' : undefined;
    };
    expect((await bench(`${one} --no-load`)).result.check.byProblem.foreign).toBeGreaterThan(0);
    expect((await bench(`${one} --no-load --shared`)).result.check.failures).toBe(0);
  });

  it('counters that lose or repeat increments', async () => {
    lieOnce(
      (words) => String(words[0]) === 'INCR',
      (words, self) => {
        self.answer(words);
        return self.answer(words);
      },
    );
    const twice = await bench('--workload incr --clients 1');
    expect(twice.result.check).toMatchObject({ failures: 1, byProblem: { counter: 1 } });
    expect(twice.result.check.examples[0]).toMatch(/is \d+, and should be \d+/);
    lieOnce(
      (words) => String(words[0]) === 'INCR',
      (words, self) => `:${String(self.data.get(String(words[1])))}\r\n`,
    );
    expect((await bench('--workload incr --clients 1 --keys 3')).result.check.byProblem.counter).toBe(2);
  });

  it('errors and broken connections are failures that are told, and the run goes on', async () => {
    let seen = 0;
    server.lie = (words) => {
      if (String(words[0]) !== 'SET' || ++seen < 1000) return undefined;
      if (seen % 100 === 0) return '-MISCONF Errors writing to disk\r\n';
      return seen % 333 === 0 ? null : undefined;
    };
    const { result } = await bench('--workload set --pipeline 4 --no-load');
    expect(result.ok).toBe(false);
    expect(result.errors.byCode.MISCONF).toBeGreaterThanOrEqual(8);
    expect(result.errors.disconnections).toBeGreaterThanOrEqual(2);
    expect(result.errors.byCode.LOST).toBeGreaterThanOrEqual(2);
    expect(result.total.operations + result.total.errors).toBe(2000);
    expect(result.check.failures).toBe(0);
    const { MISCONF = 0, LOST = 0 } = result.errors.byCode;
    expect(result.total.errors).toBe(MISCONF + LOST);
  });

  it('a server that falls silent is waited for, and then given up', async () => {
    let seen = 0;
    server.lie = () => (++seen > 300 ? '' : undefined);
    const { result } = await bench(
      '--workload get --no-load --timeout 300ms --duration 700ms --requests 100000',
    );
    expect(result.ok).toBe(false);
    expect(result.errors.examples.join()).toMatch(/no reply within 300 ms/);
  });
});

describe('reports', () => {
  it('have a stable shape as JSON', async () => {
    const { result } = await bench('--workload mixed --requests 500');
    expect(Object.keys(result)).toEqual([
      'format',
      'tool',
      'startedAt',
      'target',
      'load',
      'elapsedSeconds',
      'total',
      'operations',
      'unsent',
      'generatorUtilization',
      'errors',
      'cluster',
      'check',
      'aborted',
      'ok',
    ]);
    expect(result.load.seed).toBe(1);
    expect(Object.keys(result.operations)).toEqual(['get', 'set']);
    const { latencyUs } = result.total;
    expect(Object.keys(latencyUs)).toEqual(['mean', 'min', 'p50', 'p90', 'p99', 'p99_9', 'max']);
    const { min, p50, p90, p99, p99_9, max } = latencyUs;
    expect([min, p50, p90, p99, p99_9, max]).toEqual([min, p50, p90, p99, p99_9, max].sort((a, b) => a - b));
  });

  it('tell people the same', async () => {
    const { result, latencies } = await bench('--workload mixed --requests 500');
    const text = report(result, latencies);
    expect(text).toMatch(
      /workload mixed \(get:90,set:10\), uniform over 50 keys, values of 100 bytes, seed 1/,
    );
    expect(text).toMatch(/│ get +│ +4\d\d │/);
    expect(text).toMatch(/checked \d+ values: all right/);
  });

  it('draw latencies in steps of 1, 2 and 5', () => {
    const histogram = createHistogram();
    histogram.recordValueWithCount(150, 750);
    histogram.recordValueWithCount(450, 250);
    expect(
      drawHistogram(histogram)
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual(['latencies', `≤ 200 µs   75.0 %  ${'█'.repeat(50)}`, `≤ 500 µs   25.0 %  ${'█'.repeat(17)}`]);
  });
});

describe('options', () => {
  it.each([
    '--clients 0',
    '--clients 2 --threads 3',
    '--clients 10000 --pipeline 10000',
    '--value-size 10 --workload set',
    '--value-size 100-50',
    '--distribution zipf:0',
    '--distribution uniform:2',
    '--workload nonsense',
    '--duration soon',
    '--rate 0',
    '--server nowhere',
    '--server host:99999',
    '--cluster a:1 --db 2',
    '--user ada',
    '--cacert file',
    '--resp 4',
    'word',
  ])('refuses %s', async (line) => {
    await expect(parse(line.split(' '))).rejects.toThrow();
  });
});
