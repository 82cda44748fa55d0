import type { Arguments } from '../../base/arguments.js';
import type { WorkerReport } from '../../workers/protocol.js';
import { countsElsewhere } from '../counts-elsewhere.js';
import type { MemoryFigures } from '../memory-gauge.js';
import type { RespServer } from '../server.js';
import type { Session } from '../session.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { type InfoSource, SECTIONS, type Section } from './info-sections.js';

/** INFO [section …]. */
export const infoHandlers: FrontHandlers = { info: inTurn(info) };

async function info({ server, session, reply }: FrontContext, args: Arguments): Promise<void> {
  const sections = sectionsNamed(args);
  const asksWorkers = sections.some((section) => section.asksWorkers);
  const ttl = sections.some(({ title }) => title === 'Keyspace');
  // At a cluster door each node tells of its own keys.
  const elsewhere = ttl && session.door === '' ? countsElsewhere(server) : undefined;
  const reports = asksWorkers ? await server.store.report(ttl) : [];
  const source = infoSource(server, session, reports, (await elsewhere) ?? new Map());
  reply.verbatim(sections.map((section) => textOf(section, source)).join('\r\n'));
}

/** The sections that the arguments ask for, in the order of the table whatever theirs is. Unknown names ask nothing. */
function sectionsNamed(args: Arguments): Section[] {
  if (args.count === 1) return SECTIONS.filter(({ isDefault }) => isDefault);
  const names = new Set(Array.from({ length: args.count - 1 }, (_, index) => args.token(index + 1)));
  if (names.has('ALL') || names.has('EVERYTHING')) return [...SECTIONS];
  return SECTIONS.filter(
    ({ title, isDefault }) => names.has(title.toUpperCase()) || (isDefault && names.has('DEFAULT')),
  );
}

function infoSource(
  server: RespServer,
  session: Session,
  reports: readonly WorkerReport[],
  elsewhere: InfoSource['elsewhere'],
): InfoSource {
  const shards = new Map(reports.flatMap((report) => report.shards.map((shard) => [shard.shard, shard])));
  let memory: MemoryFigures | undefined;
  return {
    server,
    session,
    reports,
    shards,
    elsewhere,
    get memory() {
      memory ??= server.memory.figures(reports);
      return memory;
    },
    nowMs: Date.now(),
  };
}

function textOf({ title, fields }: Section, source: InfoSource): string {
  const lines = fields(source).map(([name, value]) => `${name}:${value}\r\n`);
  return `# ${title}\r\n${lines.join('')}`;
}
