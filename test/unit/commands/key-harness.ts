import { ListArguments } from '../../../src/base/arguments.js';
import { ReplyWriter, type RespVersion } from '../../../src/base/reply-writer.js';
import type { CommandDefinition, ShardSettings } from '../../../src/commands/definition.js';
import { dumpCommands } from '../../../src/commands/dump.js';
import { expiryCommands } from '../../../src/commands/expiry.js';
import { keyCommands } from '../../../src/commands/keys.js';
import { objectCommands } from '../../../src/commands/object.js';
import { scanCommands } from '../../../src/commands/scan.js';
import { vastoCommands } from '../../../src/commands/vasto.js';
import { MemoryView } from '../../support/memory-view.js';
import { type Reply, ReplyParser, render } from '../../support/reply.js';

/** The definitions that the tests of this folder's keyspace commands cover. */
export const KEYSPACE_COMMANDS: readonly CommandDefinition[] = [
  ...keyCommands,
  ...expiryCommands,
  ...scanCommands,
  ...objectCommands,
  ...dumpCommands,
  ...vastoCommands,
];

const byName = new Map<string, CommandDefinition>();
for (const definition of KEYSPACE_COMMANDS)
  for (const each of [definition, ...(definition.subcommands ?? [])]) byName.set(each.name, each);

/** Runs keyspace commands on a view in memory, with a second one as the other database. */
export class KeyHarness {
  readonly view = new MemoryView();
  readonly other = new MemoryView();
  version: RespVersion = 2;
  settings: ShardSettings = {
    protoMaxBulkBytes: 512 * 1024 * 1024,
    eventTimeDriftMaxMs: 60_000,
    maxmemoryPolicy: 'noeviction',
    heldBytesMax: 1 << 28,
  };

  get nowMs(): number {
    return this.view.nowMs;
  }

  set nowMs(value: number) {
    this.view.nowMs = value;
    this.other.nowMs = value;
  }

  /** The reply's bytes; `target` is what the front would bring as the other database. */
  bytes(words: readonly (string | Buffer)[], target: MemoryView = this.other): Buffer {
    const args = ListArguments.of(...words);
    const name = args.text(0).toLowerCase();
    const definition = byName.get(name)?.run
      ? byName.get(name)
      : byName.get(`${name}|${args.text(1).toLowerCase()}`);
    if (definition?.run === undefined) throw new Error(`no command ${name}`);
    const reply = new ReplyWriter();
    reply.version = this.version;
    definition.run(
      { view: this.view, reply, settings: this.settings, clientId: 1, writable: true, target },
      args,
    );
    return reply.take();
  }

  reply(...words: (string | Buffer)[]): Reply {
    const parser = new ReplyParser();
    parser.push(this.bytes(words));
    const reply = parser.next();
    if (reply === undefined || parser.pendingBytes > 0)
      throw new Error(`not one reply to ${words.join(' ')}`);
    return reply;
  }

  /** The reply as one line of text, words of the command given as one line too. */
  run(line: string): string {
    return render(this.reply(...line.split(' ')));
  }

  set(key: string, value: string, expiresAtMs = 0, flags = 0): void {
    this.view.setString(key, value, expiresAtMs, undefined, flags);
  }
}
