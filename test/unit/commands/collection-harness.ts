import { ListArguments } from '../../../src/base/arguments.js';
import { ReplyWriter, type RespVersion } from '../../../src/base/reply-writer.js';
import type { ShardSettings } from '../../../src/commands/definition.js';
import { findCommand } from '../../../src/commands/table.js';
import { MemoryView } from '../../support/memory-view.js';
import { ReplyParser, render } from '../../support/reply.js';

/** Runs commands of any family on a view in memory. */
export class CollectionHarness {
  readonly view = new MemoryView();
  version: RespVersion = 2;
  writable = true;
  private readonly settings: ShardSettings;

  constructor(settings: Partial<ShardSettings> = {}) {
    this.settings = {
      protoMaxBulkBytes: 1 << 20,
      eventTimeDriftMaxMs: 60_000,
      maxmemoryPolicy: 'noeviction',
      heldBytesMax: 1 << 28,
      ...settings,
    };
  }

  /** The reply to a command, rendered; its words given as one line. */
  run(line: string): string {
    const args = ListArguments.of(...line.split(' '));
    const reply = new ReplyWriter();
    reply.version = this.version;
    const { view, settings, writable } = this;
    const command = findCommand(args.text(0).toLowerCase())!;
    const context = { view, reply, settings, clientId: 1, writable, target: undefined };
    (command.children.get(args.count > 1 ? args.text(1).toLowerCase() : '') ?? command).run(context, args);
    const parser = new ReplyParser();
    parser.push(reply.take());
    const parsed = parser.next();
    if (parsed === undefined || parser.pendingBytes > 0) throw new Error(`not one reply to ${line}`);
    return render(parsed);
  }
}
