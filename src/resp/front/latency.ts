import type { Arguments } from '../../base/arguments.js';
import type { ReplyWriter } from '../../base/reply-writer.js';
import { type Command, findCommand } from '../../commands/table.js';
import type { LatencyEvent } from '../latency-monitor.js';
import type { RespServer } from '../server.js';
import { commandsUsed, cumulativeHistogram, totalsOf } from '../statistics.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { help } from './help.js';
import { drawSparkline } from './sparkline.js';

/** LATENCY LATEST, HISTORY, GRAPH, RESET, DOCTOR, HISTOGRAM, HELP. */
export const latencyHandlers: FrontHandlers = {
  'latency|latest': inTurn(({ server, reply }) => {
    const events = server.latency.events();
    reply.array(events.length);
    for (const { name, samples, worstMs } of events) {
      const last = samples[samples.length - 1]!;
      reply.array(4);
      reply.bulk(name);
      reply.integer(last.unixSeconds);
      reply.integer(last.milliseconds);
      reply.integer(worstMs);
    }
  }),
  'latency|history': inTurn(({ server, reply }, args) => {
    const samples = server.latency.event(args.text(2))?.samples ?? [];
    reply.array(samples.length);
    for (const { unixSeconds, milliseconds } of samples) {
      reply.array(2);
      reply.integer(unixSeconds);
      reply.integer(milliseconds);
    }
  }),
  'latency|graph': inTurn(graph),
  'latency|reset': inTurn(({ server, reply }, args) => {
    reply.integer(server.latency.reset(args.count === 2 ? undefined : textsFrom(args, 2)));
  }),
  'latency|doctor': inTurn(({ server, reply }) => reply.verbatim(diagnosis(server))),
  'latency|histogram': inTurn(histogram),
  'latency|help': help('LATENCY', [
    ['DOCTOR', 'What took long, in words, and what to do about it.'],
    ['GRAPH <event>', 'The samples of a kind of event, drawn.'],
    ['HISTORY <event>', 'The samples of a kind of event: Unix time and milliseconds.'],
    ['LATEST', 'Of each kind of event: Unix time and milliseconds of the last sample, and the worst.'],
    ['RESET [<event> ...]', 'Forget the samples of these kinds of events, or of all.'],
    [
      'HISTOGRAM [<command> ...]',
      'How many calls of these commands, or all, took at most how many microseconds.',
    ],
  ]),
};

function textsFrom(args: Arguments, first: number): string[] {
  return Array.from({ length: args.count - first }, (_, index) => args.text(first + index));
}

function graph({ server, reply }: FrontContext, args: Arguments): void {
  const event = server.latency.event(args.text(2));
  if (event === undefined) {
    reply.error(`ERR No samples available for event '${args.text(2)}'`);
    return;
  }
  const times = event.samples.map(({ milliseconds }) => milliseconds);
  const heading = `${event.name} - high ${Math.max(...times)} ms, low ${Math.min(...times)} ms (all time high ${event.worstMs} ms)`;
  const nowSeconds = Math.floor(Date.now() / 1000);
  const columns = event.samples.map(({ unixSeconds, milliseconds }) => ({
    value: milliseconds,
    label: age(nowSeconds - unixSeconds),
  }));
  reply.verbatim(`${heading}\n${'-'.repeat(80)}\n${drawSparkline(columns)}`);
}

/** How long ago, in the largest unit that fits. */
function age(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function histogram({ server, reply }: FrontContext, args: Arguments): void {
  const commands =
    args.count === 2
      ? commandsUsed(server.store).map(({ command }) => command)
      : textsFrom(args, 2).flatMap(commandsNamed);
  const called = commands
    .map((command) => ({ command, totals: totalsOf(server.store, command) }))
    .filter(({ totals }) => totals.calls > 0);
  reply.map(called.length);
  for (const { command, totals } of called) {
    reply.bulk(command.name);
    writeHistogram(reply, totals.calls, cumulativeHistogram(totals));
  }
}

function writeHistogram(reply: ReplyWriter, calls: number, histogram: readonly [number, number][]): void {
  reply.map(2);
  reply.bulk('calls');
  reply.integer(calls);
  reply.bulk('histogram_usec');
  reply.map(histogram.length);
  for (const [microseconds, count] of histogram) {
    reply.integer(microseconds);
    reply.integer(count);
  }
}

/** The command of that name; of a command with subcommands, all of them. */
function commandsNamed(name: string): Command[] {
  const [parent, child] = name.toLowerCase().split('|');
  const command = findCommand(parent!);
  if (command === undefined) return [];
  if (child === undefined) return command.children.size === 0 ? [command] : [...command.children.values()];
  const sub = command.children.get(child);
  return sub === undefined ? [] : [sub];
}

function diagnosis(server: RespServer): string {
  const { values } = server.config;
  const thresholdMs = values['latency-monitor-threshold'];
  if (thresholdMs === 0)
    return 'Latency is not being watched. CONFIG SET latency-monitor-threshold <milliseconds> has events that take longer recorded.\n';
  const events = server.latency.events();
  if (events.length === 0) return `Nothing took ${thresholdMs} ms or longer since the last LATENCY RESET.\n`;
  const lines = events.map((event) => `- ${finding(event)}`);
  const advice = ['SLOWLOG GET shows which commands took long, and with which arguments.'];
  const slowerThan = values['slowlog-log-slower-than'];
  if (slowerThan < 0 || slowerThan > thresholdMs * 1000)
    advice.push(
      `The slow log leaves out some of them: CONFIG SET slowlog-log-slower-than ${thresholdMs * 1000} records them all.`,
    );
  if (values.appendfsync === 'always')
    advice.push('appendfsync is always, so each batch of writes waits for the disk; everysec does not.');
  return `Events that took ${thresholdMs} ms or longer:\n${lines.join('\n')}\n\nWhat to do:\n${advice.map((line) => `- ${line}`).join('\n')}\n`;
}

function finding({ name, samples, worstMs }: LatencyEvent): string {
  const times = samples.map(({ milliseconds }) => milliseconds);
  const mean = times.reduce((sum, each) => sum + each, 0) / times.length;
  const seconds = samples[samples.length - 1]!.unixSeconds - samples[0]!.unixSeconds;
  const every = samples.length < 2 ? '' : `, one every ${(seconds / (samples.length - 1)).toFixed(1)} s`;
  return `${name}: in ${samples.length} ${samples.length === 1 ? 'second' : 'seconds'}${every}; ${mean.toFixed(0)} ms on average, ${worstMs} ms at worst`;
}
