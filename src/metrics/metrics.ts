import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import type { Topology } from '../cluster/topology.js';
import type { Master } from '../master/master.js';
import { diskSpaceOf } from '../node/agent.js';
import type { RespServer } from '../resp/server.js';
import { commandsUsed } from '../resp/statistics.js';
import { CLUSTER_FAMILIES } from './cluster-families.js';
import { MetricsEndpoint } from './endpoint.js';
import { type Exposition, ExpositionBuilder } from './exposition.js';
import { FEED_FAMILIES, feedFigures } from './feed-families.js';
import { MASTER_FAMILIES, masterFigures } from './master-families.js';
import { type HeldFigures, NODE_FAMILIES } from './node-families.js';
import { PROCESS_FAMILIES } from './process-families.js';
import { Question } from './question.js';

/** How long a scrape waits for workers and the disk, milliseconds; Prometheus gives it 10 s by default. */
const ANSWER_MS = 2000;

/** What a process has to tell of. */
export interface Subject {
  readonly role: string;
  /** Where there are clients. */
  readonly server?: RespServer | undefined;
  /** Where it is in this process. */
  readonly master?: Master | undefined;
}

/**
 * Opens the port that `metrics-port` names. Nothing is gathered but when somebody asks.
 * @throws Error with a message for people
 */
export function openMetrics(config: Config, logger: Logger, subject: Subject): Promise<MetricsEndpoint> {
  const gatherer = new Gatherer(config, logger, subject);
  return MetricsEndpoint.open(config, logger, () => gatherer.gather());
}

class Gatherer {
  private readonly reports = new Question(
    async () => this.subject.server?.store.report() ?? [],
    (error) => this.logger.verbose(`metrics: the workers do not say what they hold: ${error.message}`),
  );
  private readonly disk = new Question(
    () => diskSpaceOf(this.config.values.dir),
    (error) => this.logger.verbose(`metrics: the disk does not say how full it is: ${error.message}`),
  );

  constructor(
    private readonly config: Config,
    private readonly logger: Pick<Logger, 'verbose'>,
    private readonly subject: Subject,
  ) {}

  async gather(): Promise<Exposition> {
    const { role, server, master } = this.subject;
    const exposition = new ExpositionBuilder();
    await exposition.add(PROCESS_FAMILIES, role);
    if (server !== undefined) await this.addNode(exposition, server);
    const topology: Topology | undefined = server?.store.keyspaces.topology ?? master?.topology;
    if (topology !== undefined) await exposition.add(CLUSTER_FAMILIES, topology);
    if (master !== undefined) await exposition.add(MASTER_FAMILIES, masterFigures(master.view));
    return exposition.finish();
  }

  private async addNode(exposition: ExpositionBuilder, server: RespServer): Promise<void> {
    const { store } = server;
    const [held, disk] = await Promise.all([
      this.held(server),
      store.id === '' ? undefined : this.disk.within(ANSWER_MS),
    ]);
    await exposition.add(NODE_FAMILIES, { server, commands: commandsUsed(store), held, disk });
    await exposition.add(FEED_FAMILIES, feedFigures(store));
  }

  private async held({ memory }: RespServer): Promise<HeldFigures | undefined> {
    const reports = await this.reports.within(ANSWER_MS);
    if (reports === undefined) return undefined;
    const shards = new Map(reports.flatMap((report) => report.shards.map((shard) => [shard.shard, shard])));
    return { reports, shards, memory: memory.figures(reports) };
  }
}
