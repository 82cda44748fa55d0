import { ListArguments } from '../../../src/base/arguments.js';
import { ReplyWriter, type RespVersion } from '../../../src/base/reply-writer.js';
import { bitmapCommands } from '../../../src/commands/bitmaps.js';
import type { CommandDefinition, ShardSettings } from '../../../src/commands/definition.js';
import { hyperloglogCommands } from '../../../src/commands/hyperloglog.js';
import { stringCommands } from '../../../src/commands/strings.js';
import { Row, RowType, valueText } from '../../../src/types/row.js';
import { MemoryView } from '../../support/memory-view.js';
import { type Reply, ReplyParser, render } from '../../support/reply.js';

/** The definitions that this harness runs. */
export const STRING_COMMANDS: readonly CommandDefinition[] = [
  ...stringCommands,
  ...bitmapCommands,
  ...hyperloglogCommands,
];

const byName = new Map(STRING_COMMANDS.map((definition) => [definition.name, definition]));

/** Runs the commands on strings against a view in memory. */
export class StringHarness {
  readonly view = new MemoryView();
  version: RespVersion = 2;
  settings: ShardSettings = {
    protoMaxBulkBytes: 1024 * 1024,
    eventTimeDriftMaxMs: 60_000,
    maxmemoryPolicy: 'noeviction',
    heldBytesMax: 1 << 28,
  };

  reply(...words: (string | Buffer)[]): Reply {
    const args = ListArguments.of(...words);
    const writer = new ReplyWriter();
    writer.version = this.version;
    const { view, settings } = this;
    byName.get(args.text(0).toLowerCase())!.run!(
      { view, reply: writer, settings, clientId: 1, writable: true, target: undefined },
      args,
    );
    const parser = new ReplyParser();
    parser.push(writer.take());
    const reply = parser.next();
    if (reply === undefined || parser.pendingBytes > 0) {
      throw new Error(`not one reply to ${words.join(' ')}`);
    }
    return reply;
  }

  /** The reply as one line of text. */
  rendered(...words: (string | Buffer)[]): string {
    return render(this.reply(...words));
  }

  /** As {@link rendered}, the command's words given as one line. */
  run(line: string): string {
    return this.rendered(...line.split(' '));
  }

  set(key: string, value: string, expiresAtMs = 0): void {
    this.view.setString(key, value, expiresAtMs);
  }

  /** Latin1 text of the value; undefined where there is no key. */
  value(key: string): string | undefined {
    const row = this.view.peek(key);
    return row && valueText(row.value);
  }

  /** A key of another type. */
  setList(key: string): void {
    const row = new Row(key);
    row.type = RowType.List;
    this.view.rows.set(key, row);
  }
}
